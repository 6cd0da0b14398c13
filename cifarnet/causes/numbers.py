"""What is to be explained: rows of settings as they are stated, and the numbers that somebody printed of them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cifarnet.config import Settings
from cifarnet.experiments.pool import Outcome, Scored
from cifarnet.nn.network import weight_count
from cifarnet.readable import evenly

MEASURES = tuple(
    f"{split}_{kind}" for split in ("test", "validation", "train") for kind in ("accuracy", "loss", "cost")
)
EARLY = ("train_cost@0", *(f"first.{name}_{kind}" for name in ("train", "validation") for kind in ("cost", "accuracy")))
POINTS = 24  # of all curves together: more are no news, as neighbours go together
DENSEST, NEAR = 20, 0.005  # measurements of a cycle; the part of one that a step may be away from one
CHANCE = 0.1  # accuracy of a network whose cost is not finite: every image gets the first class


class Number(NamedTuple):
    """A printed number: the row that it is of, its measure, and half a unit of its last digit.

    A measure is a column of a run, such as ``test_accuracy``, at its end. ``first.X`` is X at the first measurement
    after the start, ``X@STEP`` a point of X's curve.
    """

    row: str
    measure: str
    value: float
    half: float


def words(measure: str, first: int | None = None) -> str:
    """Return a measure as people read it; ``first`` is the step of the first measurement after the start."""
    name, _, step = measure.removeprefix("first.").partition("@")
    split, _, kind = name.partition("_")
    when = f" after {int(float(step)):,} updates" if step not in ("", "0") else " at the start" if step else ""
    if measure.startswith("first."):
        when = f" after {first:,} updates" if first else " at the first measurement"
    return f"{'training' if split == 'train' else split} {kind}{when}"


@dataclass(frozen=True)
class Problem:
    """Rows and their numbers; ``likelier`` than others are some changes by dotted key, by their kind of candidate."""

    rows: Mapping[str, Settings]
    numbers: Sequence[Number]
    likelier: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)

    def numbers_of(self, row: str) -> list[Number]:
        return [number for number in self.numbers if number.row == row]

    def measures(self, row: str) -> list[str]:
        return [number.measure for number in self.numbers_of(row)]

    @cached_property
    def columns(self) -> list[str]:
        """What is recorded of every training: what is compared, and what may tell candidates from each other."""
        return list(dict.fromkeys([*(number.measure for number in self.numbers), *MEASURES, *EARLY]))

    @cached_property
    def trained(self) -> dict[str, Settings]:
        """The rows, measured no more often than their numbers need."""
        return {row: measured(settings, self.measures(row)) for row, settings in self.rows.items()}


def measured(settings: Settings, measures: Sequence[str]) -> Settings:
    """Return settings that are measured as a row's numbers need it."""
    steps = [float(measure.partition("@")[2]) for measure in measures if "@" in measure]
    if any(measure.startswith("first.") for measure in measures):  # when that is, the settings say
        return settings.model_copy(update={"search": None})
    per_cycle = measurements_per_cycle(steps, settings.training.schedule.length(settings.steps_per_epoch))
    return settings.changed(evaluation={"per_cycle": per_cycle}).model_copy(update={"search": None})


def measurements_per_cycle(steps: Sequence[float], length: int) -> int:
    """Return the fewest measurements of a cycle that are at all these steps, give or take `NEAR` of its length.

    Where none below `DENSEST` are, that: the straight lines between the measurements are short then.
    """
    parts = np.array(steps) / length
    return next((n for n in range(1, DENSEST) if (np.abs((parts * n).round() / n - parts) <= NEAR).all()), DENSEST)


def key(settings: Settings, scored: Scored) -> str:
    """Return a digest of what a training depends on, and of the images that are scored."""
    text = settings.model_dump_json(exclude={"label"}) + scored * (scored != "all")
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def shortened(settings: Settings, updates: int) -> Settings:
    """Return settings whose training has about this many updates: the same cycles, each shorter."""
    shorter = settings.training.schedule.scaled(updates / settings.updates, settings.steps_per_epoch)
    return settings.changed(training={"schedule": shorter}, evaluation={"per_cycle": 1})


def work(settings: Settings) -> float:
    """Return about how long a training takes, in weights times images."""
    schedule = settings.training.schedule
    measured = schedule.repeats[0] * (settings.evaluation.per_cycle or schedule.measurements) + 1
    scored = measured * (settings.data.n_train + settings.data.n_validation) + 10_000
    return float(weight_count(settings.sizes) * (2 * settings.updates * settings.training.batch_size + scored))


def first_step(settings: Settings) -> int:
    """Return the step of the first measurement after the start, that of a cycle's evenly spread ones."""
    schedule = settings.training.schedule
    return -(-schedule.length(settings.steps_per_epoch) // (settings.evaluation.per_cycle or schedule.measurements))


def values(outcome: Outcome, columns: Sequence[str], first: int) -> dict[str, float]:
    """Return what a training measured; where its cost was not finite, accuracies at chance."""
    if outcome.status == "diverged":
        return {name: CHANCE if name in MEASURES and "accuracy" in name else math.nan for name in columns}
    rows = [record.row() for record in outcome.records]
    records = {name: np.array([row[name] for row in rows], float) for name in rows[0]}
    return {name: value(name, outcome.results, records, first) for name in columns}


def value(name: str, results: Mapping[str, Any], records: Mapping[str, NDArray[Any]], first: int) -> float:
    """Return a number, by the name that `Number` has for it, from the results and the columns of a training.

    Between two records it is on the straight line; NaN after the last, and where it was not measured.
    """
    column, _, step = name.removeprefix("first.").partition("@")
    if column == name:
        return float(results.get(name, math.nan))
    at, known = float(step or first), records.get(column)
    return math.nan if known is None or at > records["step"][-1] else float(np.interp(at, records["step"], known))


def numbers_of_curves(curves: Mapping[str, Mapping[float, float]]) -> list[Number]:
    """Return the numbers of curves, by column and step: some points of each, evenly spread."""
    points = {name: list(curve.items()) for name, curve in curves.items()}
    chosen = {name: [found[i] for i in compared(len(found), len(curves))] for name, found in points.items()}
    return [Number("", f"{name}@{step:g}", value, 0.0) for name, found in chosen.items() for step, value in found]


def compared(count: int, curves: int) -> list[int]:
    """Return which of this many points of a curve are compared, where there are several curves."""
    return evenly(count, max(3, POINTS // curves))
