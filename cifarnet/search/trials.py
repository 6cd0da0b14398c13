"""Trials: settings become rows of figures. Nothing is written, so that trials run anywhere and side by side."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Generator, Hashable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from dataclasses import replace as replaced
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path

from cifarnet import data, experiment
from cifarnet.config import Settings
from cifarnet.config.settings import Data
from cifarnet.data import Dataset
from cifarnet.errors import DataError, Diverged
from cifarnet.evaluation import Scores
from cifarnet.training import Record, State, Workspace, train

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
    group: Sequence[Settings],
    threads: int,
    fingerprint: str,
    data_dir: Path | None = None,
    stop: threading.Event | None = None,
    before: Sequence[Outcome | None] = (),
) -> list[Outcome]:
    """Train each of a group, an update at a time in turn, on so many threads of one BLAS thread each.

    An error of a training is its outcome. With the outcomes of the same trainings after fewer cycles, only what is left
    is done. The group is `alike`.

    Raises
    ------
    DataError
        If the images here are not those of the search, or not to be had: no fault of the trials.
    """
    split = images(group[0].data, fingerprint, data_dir)
    workspace = None
    if threads == 1:
        workspace = Workspace(group[0].sizes, group[0].training.batch_size, 1, split.train.X.dtype)
    found = [Outcome("left")] * len(group)
    turns = {
        i: steps(settings, split, threads, workspace, earlier)
        for i, (settings, earlier) in enumerate(zip_longest(group, before))
    }
    while turns and not (stop and stop.is_set()):
        for i in list(turns):
            try:
                next(turns[i])
            except StopIteration as end:
                found[i] = end.value
                del turns[i]
    for turn in turns.values():
        turn.close()
    return found


def alike(settings: Settings) -> Hashable:
    """What trainings of one group have in common: images, memory, and for the sake of speed their batches."""
    return settings.data, settings.sizes, settings.training.batch_size, settings.seed


def steps(
    settings: Settings, split: Dataset, threads: int, workspace: Workspace | None, before: Outcome | None
) -> Generator[None, None, Outcome]:
    """One training, an update at a time; returns its outcome."""
    before = before or Outcome("new", best_validation_accuracy=0, seconds=0)
    state = before.state or experiment.initial(settings)
    plan = replaced(experiment.plan(settings, split), train_scores=False)
    scores, watch = list[Scores](), Watch()
    try:
        with closing(train(state, split.train, split.validation, plan, threads, workspace)) as points:
            for point in watch.timed(points):
                if point.validation:
                    scores.append(point.validation)
                yield
    except Diverged as error:
        return Outcome("diverged", note=str(error), seconds=round(watch.seconds, 3))
    except Exception as error:  # whatever it is, the other trials go on
        return Outcome("failed", note=f"{type(error).__name__}: {error}", seconds=round(watch.seconds, 3))
    return Outcome(
        "completed",
        validation_accuracy=scores[-1].accuracy,
        best_validation_accuracy=max(before.best_validation_accuracy, *(score.accuracy for score in scores)),
        validation_loss=scores[-1].loss,
        seconds=round(before.seconds + watch.seconds, 3),
        state=state,
    )


class Watch:
    """The seconds that a training takes, without those of the others in between."""

    seconds = 0.0

    def timed(self, points: Iterator[Record]) -> Iterator[Record]:
        while True:
            started = time.perf_counter()
            point = next(points, None)
            self.seconds += time.perf_counter() - started
            if point is None:
                return
            yield point
