"""What was measured of each candidate, and how likely the reported numbers are under it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import scipy

from cifarnet.causes.candidates import Candidate
from cifarnet.causes.numbers import Problem, key, shortened, work
from cifarnet.config import Settings
from cifarnet.experiments.pool import Scored
from cifarnet.readable import evenly
from cifarnet.statistics import likelihood as distributions
from cifarnet.statistics.inference import FEWEST, IMAGES, variance_of_other_images
from cifarnet.statistics.likelihood import FITS, Array, Prediction, Spread, floors, predict, quantity

SEEDS = 3  # of a candidate that may be right
FREEDOM = 4  # degrees of freedom of the deviation as stated, before any candidate adds to it
SHORT, PART = 250, 1 / 16  # a short training has max(SHORT, PART times those of a full one) updates
ALIKE = 2 / 3  # correlation of which images two trainings get right: .64 to .81 for other seeds and lambdas
HELD_OUT = {"train", "validation", "holdout_seed"}  # what says which images are held out


class Group(NamedTuple):
    """Rows on the same held-out images, and what is predicted and reported of each."""

    rows: list[str]
    predictions: list[Prediction]
    reported: list[Array]


class Task(NamedTuple):
    """A training, what it is for, and the images that are scored."""

    key: str
    settings: Settings
    what: str
    scored: Scored = "all"

    @property
    def work(self) -> float:
        return work(self.settings)


@dataclass
class Evidence:
    """The candidates of a problem, and what was measured of each training by its key; ``official`` are the images."""

    problem: Problem
    candidates: Sequence[Candidate]
    done: dict[str, Mapping[str, float]] = field(default_factory=dict)
    official: bool = True
    pairs: list[Candidate] = field(default_factory=list)
    known: dict[tuple[str, str, int, bool], Task] = field(default_factory=dict)
    found: dict[Any, Any] = field(default_factory=dict)  # predictions, as long as nothing more is done

    @property
    def stated(self) -> Candidate:
        return self.candidates[0]

    @cached_property
    def seeds(self) -> int:
        """How many trainings there are as stated of each row that is `seeded`."""
        return max(2, 1 + math.ceil(FREEDOM / len(self.problem.rows)))

    @property
    def seeded(self) -> list[str]:
        """The rows with that many trainings: of a table, as many as the deviation needs, evenly spread."""
        return [list(self.problem.rows)[i] for i in evenly(len(self.problem.rows), FREEDOM)]

    def task(self, candidate: Candidate, row: str, number: int, short: bool = False) -> Task:
        """Return a training of a candidate in a row, with the row's seed plus a number."""
        name = (candidate.name, row, number, short)
        if name not in self.known:
            stated = self.problem.trained[row]
            length = shortened(stated, max(SHORT, round(PART * stated.updates))) if short else stated
            settings = candidate.settings(row, length, stated.seed + number)
            what = ", ".join(filter(None, [candidate.name, row, f"seed {settings.seed}", "short" * short]))
            trains = any(measure.startswith("train") for measure in self.problem.measures(row))
            scored: Scored = "held-out" if short and not trains else "all"
            self.known[name] = Task(key(settings, scored), settings, what, scored)
        return self.known[name]

    @property
    def tried(self) -> list[Candidate]:
        """All candidates of which something is trained, as stated first."""
        entered, rows = [*self.candidates, *self.pairs], self.problem.rows
        return [c for c in entered if any(self.task(c, row, 0).key in self.done for row in rows)]

    def reported(self, row: str) -> Array:
        return np.array([number.value for number in self.problem.numbers_of(row)])

    def sample(self, candidate: Candidate, row: str, measures: Sequence[str]) -> Array:
        """Return what is measured so far of a candidate in a row, (n, p)."""
        tasks = (self.task(candidate, row, number) for number in range(self.seeds + SEEDS))
        rows = [[self.done[t.key][m] for m in measures] for t in tasks if t.key in self.done]
        return np.array(rows).reshape(len(rows), len(measures))

    def samples(self, candidates: Sequence[Candidate], rows: Sequence[str], measures: Sequence[str]) -> list[Array]:
        """Return what is measured of candidates in rows with several seeds."""
        found = [self.sample(candidate, row, measures) for row in rows for candidate in candidates]
        finite = [sample[np.isfinite(sample).all(axis=1)] for sample in found]
        return [sample for sample in finite if len(sample) > 1]

    def spread(self, row: str, candidates: Sequence[Candidate] | None = None) -> Spread:
        """Return how a row's numbers vary: from all that is trained in it, and in rows with the same measures.

        Costs vary as they are high: theirs is of the row alone, as soon as there is enough of it.
        """
        measures = self.problem.measures(row)
        alike = [r for r in self.problem.rows if self.problem.measures(r) == measures]
        every = self.tried if candidates is None else candidates
        samples, own = (self.samples(every, rows, measures) for rows in (alike, [row]))
        if not samples:
            return Spread(25 * floors(measures), np.ones(len(measures)), np.eye(len(measures)))
        found = distributions.spread(samples, measures)
        if len(own) < FEWEST:
            return found
        here = distributions.spread(own, measures)
        accuracy = np.array([quantity(measure) == "accuracy" for measure in measures])
        variance = np.where(accuracy, found.variance, here.variance)
        return Spread(variance, np.where(accuracy, found.df, here.df), found.correlation)

    def prediction(self, candidate: Candidate, row: str) -> Prediction | None:
        """Return where the numbers of a row would lie under a candidate; None where one would not be finite."""
        if self.found.get("trainings") != len(self.done):
            self.found = {"trainings": len(self.done)}
        if row not in self.found:
            self.found[row] = self.spread(row)
        if (candidate.name, row) not in self.found:
            self.found[candidate.name, row] = predict(*self.given(candidate, row), self.found[row])
        found: Prediction | None = self.found[candidate.name, row]
        return found

    def given(self, candidate: Candidate, row: str) -> tuple[Array, Array, Array]:
        """Return what is measured of a candidate in a row, and the known variances of each number.

        They are those of its rounding and of other bytes of the images, then that of other images held out, of which
        two networks get the same ones right in part: that part is the same in all rows.
        """
        numbers, n = self.problem.numbers_of(row), self.problem.rows[row].data.validation
        sample = self.sample(candidate, row, self.problem.measures(row))
        accuracies = np.array([quantity(number.measure) == "accuracy" for number in numbers])
        p, extra = sample.mean(axis=0), np.array([number.half**2 / 3 for number in numbers])
        if not self.official:
            extra = extra + IMAGES**2 * accuracies
        others = np.zeros(len(numbers))
        if isinstance(n, int):
            on_them = [one.measure.partition("@")[0].endswith("validation_accuracy") for one in numbers]
            others = np.where(on_them, variance_of_other_images(p, n), 0.0)
        return sample, extra + (1 - ALIKE) * others, ALIKE * others

    def predictions(self, candidate: Candidate, rows: Iterable[str]) -> list[Group] | None:
        """Return predictions and reported numbers of rows, those on the same images together; None as `prediction`."""
        groups = dict[str, Group]()
        for row in rows:
            if not (found := self.prediction(candidate, row)):
                return None
            images = self.problem.rows[row].data.model_dump_json(include=HELD_OUT)
            together = groups.setdefault(images, Group([], [], []))
            together.rows.append(row)
            together.predictions.append(found)
            together.reported.append(self.reported(row))
        return list(groups.values())

    def probability(self, candidate: Candidate, rows: Iterable[str]) -> float:
        """Return how probable numbers so far from the prediction, or farther, are under a candidate."""
        if not (groups := self.predictions(candidate, rows)):
            return 0.0
        p, df = (sum(len(v) for g in groups for v in g.reported), min(f.df for g in groups for f in g.predictions))
        away = sum(distributions.distance(group.predictions, group.reported) for group in groups)
        return float(scipy.special.fdtrc(p, df, away / p))

    @property
    def finished(self) -> list[Candidate]:
        """The candidates that are trained in all rows."""
        return [c for c in self.tried if all(self.task(c, row, 0).key in self.done for row in self.problem.rows)]

    def likelihood(self, candidate: Candidate, rows: Iterable[str] | None = None) -> float:
        """Return the logarithm of the likelihood under a candidate of the numbers of some rows, by default of all."""
        groups = self.predictions(candidate, rows or self.problem.rows)
        if groups is None:
            return -math.inf
        return sum(distributions.log_density(group.predictions, group.reported) for group in groups)

    def fits(self, candidate: Candidate) -> bool:
        """Return whether a candidate explains all numbers: together, as many of them as chance leaves, and narrowly.

        Who predicts no better than that any accuracy is possible, and any cost up to twice the printed one, does not.
        """
        if not (groups := self.predictions(candidate, self.problem.rows)):
            return False
        costs = [number.value for number in self.problem.numbers if quantity(number.measure) != "accuracy"]
        ignorance = -sum(math.log(2 * abs(cost) + 1e-9) for cost in costs)
        if self.likelihood(candidate) <= ignorance or self.probability(candidate, self.problem.rows) < FITS:
            return False
        shifted = [distributions.at_best_shared_shift(group.predictions, group.reported) for group in groups]
        settled = dict(zip((row for group in groups for row in group.rows), itertools.chain(*shifted), strict=True))
        halves = [np.array([number.half for number in self.problem.numbers_of(row)]) for row in settled]
        outside = sum(not n["compatible"] for row, found in settled.items() for n in self.within(found, row))
        return distributions.probability_of_outliers([*settled.values()], halves, outside) >= FITS

    def numbers(self, candidate: Candidate, row: str) -> list[dict[str, Any]]:
        """Return mean and interval of one more training for each number of a row, and whether it is within."""
        if found := self.prediction(candidate, row):
            return self.within(found, row)
        nothing = dict.fromkeys(("mean", "low", "high"), math.nan) | {"compatible": False}
        return [nothing for _ in self.problem.numbers_of(row)]

    def within(self, found: Prediction, row: str) -> list[dict[str, Any]]:
        """Return mean and interval of a prediction for each number of a row, and whether it is within."""
        numbers = self.problem.numbers_of(row)
        ends = found.intervals(np.array([number.half for number in numbers]))
        columns = zip(numbers, *(column.tolist() for column in (found.mean, *ends)), strict=True)
        return [{"mean": m, "low": a, "high": b, "compatible": a <= n.value <= b} for n, m, a, b in columns]
