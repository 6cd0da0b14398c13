"""One trial: settings become a row of figures. Nothing is written, so that trials run anywhere and side by side."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from dataclasses import replace as replaced
from functools import lru_cache
from pathlib import Path

from cifarnet import data, experiment
from cifarnet.config import Settings
from cifarnet.config.settings import Data
from cifarnet.data import Dataset
from cifarnet.errors import DataError, Diverged
from cifarnet.evaluation import Scores
from cifarnet.training import Record, State, train

_loading = threading.Lock()


@dataclass(frozen=True)
class Outcome:
    """What a trial found; accuracies are shares of 1 of the validation images, NaN what was not measured.

    status is completed, diverged, failed, or left for a trial that was ended by a request; note says why. state is that
    after the last update, to go on from.
    """

    status: str
    validation_accuracy: float = math.nan
    best_validation_accuracy: float = math.nan
    validation_loss: float = math.nan
    seconds: float = math.nan
    note: str = ""
    state: State | None = None

    @property
    def bad(self) -> bool:
        """Whether the trial has no result."""
        return self.status in ("failed", "diverged")


def dataset(settings: Data, data_dir: Path | None = None) -> Dataset:
    """The images, one copy for all the trials of a process."""
    with _loading:
        return _load(settings, data_dir)


@lru_cache(maxsize=1)
def _load(settings: Data, data_dir: Path | None) -> Dataset:
    return data.load(settings, data_dir)


def images(settings: Data, fingerprint: str, data_dir: Path | None = None) -> Dataset:
    """The images, if they are those of the search.

    Raises
    ------
    DataError
        If they are others, or not to be had.
    """
    found = dataset(settings, data_dir)
    if found.fingerprint != fingerprint:
        raise DataError(
            f"the images have the fingerprint {found.fingerprint[:12]}, those of the search {fingerprint[:12]}; "
            "give every machine the same CIFAR-10"
        )
    return found


def run(
    settings: Settings,
    threads: int,
    fingerprint: str,
    data_dir: Path | None = None,
    stop: threading.Event | None = None,
    before: Outcome | None = None,
) -> Outcome:
    """Train once, on so many threads of one BLAS thread each; an error of the training is an outcome.

    With the outcome of the same training after fewer cycles, only what is left is done.

    Raises
    ------
    DataError
        If the images here are not those of the search, or not to be had: no fault of the trial.
    """
    split = images(settings.data, fingerprint, data_dir)
    before = before or Outcome("new", best_validation_accuracy=0, seconds=0)
    state = before.state or experiment.initial(settings)
    plan = replaced(experiment.plan(settings, split), train_scores=False)
    points = train(state, split.train, split.validation, plan, threads)
    started = time.perf_counter()
    try:
        scores = list(measured(points, stop))
    except Diverged as error:
        return Outcome("diverged", note=str(error), seconds=since(started))
    except Exception as error:  # whatever it is, the other trials go on
        return Outcome("failed", note=f"{type(error).__name__}: {error}", seconds=since(started))
    if stop and stop.is_set():
        return Outcome("left")
    return Outcome(
        "completed",
        validation_accuracy=scores[-1].accuracy,
        best_validation_accuracy=max(before.best_validation_accuracy, *(score.accuracy for score in scores)),
        validation_loss=scores[-1].loss,
        seconds=round(before.seconds + since(started), 3),
        state=state,
    )


def measured(points: Generator[Record, None, None], stop: threading.Event | None) -> Iterator[Scores]:
    """The validation scores of a training, up to a request to stop."""
    with closing(points):
        for point in points:
            if point.validation:
                yield point.validation
            if stop and stop.is_set():
                return


def since(started: float) -> float:
    return round(time.perf_counter() - started, 3)
