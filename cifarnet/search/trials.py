"""Trials: settings become rows of figures. Nothing is written, so that trials run anywhere and side by side."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass
from dataclasses import replace as replaced
from functools import lru_cache
from pathlib import Path

from cifarnet import data, experiment
from cifarnet.config import Settings
from cifarnet.config.settings import Data
from cifarnet.data import Dataset
from cifarnet.errors import DataError, Diverged
from cifarnet.training import Record, State, train_abreast

_loading = threading.Lock()


@dataclass(frozen=True)
class Outcome:
    """What a trial found; accuracies are shares of 1 of the validation images, NaN what was not measured.

    status is completed, diverged, failed, or left for a trial that was ended by a request; note says why. In a group it
    is paused for the others where one has diverged, and alone for all where one has failed, as it is not known which.
    state is that after the last update, to go on from.
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


NEW = Outcome("new", best_validation_accuracy=0, seconds=0)


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
    """Train a group with `common` settings, on so many threads of one BLAS thread each; errors are outcomes.

    With the outcomes of the same trainings after fewer updates, only what is left is done.

    Raises
    ------
    DataError
        If the images here are not those of the search, or not to be had: no fault of the trials.
    """
    split = images(group[0].data, fingerprint, data_dir)
    earlier = [outcome or NEW for outcome in before or [None] * len(group)]
    started = time.perf_counter()
    try:
        return abreast(group, earlier, split, threads, stop)
    except Exception as error:  # whatever it is, the other trials go on
        if len(group) > 1:
            return [replaced(outcome, status="alone") for outcome in earlier]
        seconds = round(time.perf_counter() - started, 3)
        return [Outcome("failed", note=f"{type(error).__name__}: {error}", seconds=seconds)]


def common(settings: Settings) -> str:
    """What the trainings of a group have in common: all their settings but eta and lambda."""
    schedule = settings.training.schedule.model_copy(update={"eta_min": 0, "eta_max": 0})
    training = settings.training.model_copy(update={"lam": 0, "schedule": schedule})
    return settings.model_copy(update={"training": training}).model_dump_json()


def abreast(
    group: Sequence[Settings], before: Sequence[Outcome], split: Dataset, threads: int, stop: threading.Event | None
) -> list[Outcome]:
    """Train a group, until a training diverges: the others are then paused, so that it is told at once.

    The seconds of a trial are its share of those of the group.
    """
    states = [deepcopy(o.state) or experiment.initial(s) for s, o in zip(group, before, strict=True)]
    plans = [replaced(experiment.plan(settings, split), train_scores=False) for settings in group]
    outcomes, started = list(before), time.perf_counter()
    with closing(train_abreast(states, split.train, split.validation, plans, threads)) as points:
        for latest in points:
            outcomes = [after(outcome, point) for outcome, point in zip(outcomes, latest, strict=True)]
            if stop and stop.is_set():
                return [Outcome("left")] * len(group)
    status = "paused" if any(outcome.bad for outcome in outcomes) else "completed"
    share = (time.perf_counter() - started) / len(group)
    return [
        replaced(
            outcome,
            status=outcome.status if outcome.bad else status,
            seconds=round(outcome.seconds + share, 3),
            state=None if outcome.bad else state,
        )
        for outcome, state in zip(outcomes, states, strict=True)
    ]


def after(outcome: Outcome, point: Record | Diverged) -> Outcome:
    """The outcome with one more point of the training."""
    if isinstance(point, Diverged):
        return Outcome("diverged", note=str(point), seconds=outcome.seconds)
    if not point.validation:
        return outcome
    _, loss, accuracy = point.validation
    best = max(outcome.best_validation_accuracy, accuracy)
    return replaced(outcome, validation_accuracy=accuracy, best_validation_accuracy=best, validation_loss=loss)
