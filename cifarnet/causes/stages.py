"""Which trainings a diagnosis needs, stage by stage: each stage leaves out candidates that cannot explain the numbers.

1. The settings as stated, with several seeds in all rows.
2. Screening: a short training of every candidate in the hardest row, the one whose numbers are strangest as stated.
3. Full trainings of those that the screening leaves: in the hardest row, then of the likeliest in all rows. Of a table,
   twice as many rows each time, and half as many candidates.
4. More seeds for the most likely; of a table, in some rows.
5. Where nothing explains the numbers: stages 3 and 4 for candidates that take much longer, and for pairs.

A limited effort has no stage 5 and begins with other readings and, where the settings as stated do not explain the
numbers, with what explains others of the same program; where one of these explains all, it ends.

`Stages.todo` finds the next trainings from those that are done, so that a stopped diagnosis goes on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, islice

import numpy as np

from cifarnet.causes.candidates import PRIORS, Candidate, pair
from cifarnet.causes.evidence import SEEDS, SHORT, Evidence, Task
from cifarnet.causes.numbers import MEASURES
from cifarnet.readable import evenly
from cifarnet.statistics.likelihood import Array, Prediction, distance, predict, quantity

LENGTHS = ("_as_epochs", "_as_cycles", "_by_batch_size", ".n_s", ".cycles")  # ends of keys for a training's length
LONG = 3  # times the work as stated: what takes longer is tried where nothing else explains the numbers
# The effect on a full training is SHRINKS to GROWS times that on a short one; that on a cost may vanish.
SHRINKS, GROWS = {"accuracy": 0.25, "cost": 0.0, "loss": 0.25}, 1.5
BEYOND = {"accuracy": 0.02, "cost": 0.5, "loss": 0.5}  # give or take this
CLOSE = 4.0  # for each number: a candidate goes on if its likelihood is at least the highest divided by e to this
MOST, FEW = 8, 3  # candidates that get more seeds; where the settings as stated explain the numbers, and of a table
PAIRS = 8  # pairs that are tried
TABLE = 4  # rows, from which on few candidates are trained in all of them, as the pattern over the rows tells much
FULL = 16  # trainings as stated that those of candidates take at most in one row of a table, in two, in half of them
SHARE = 1 / 3  # of the effort, where it is limited: for trainings in one row, in all rows, and with more seeds each


@dataclass
class Stages(Evidence):
    """The stages of a diagnosis; ``effort`` limits its work, so that fewer candidates get to the later stages."""

    effort: float = math.inf

    def todo(self) -> list[Task]:
        """Return the trainings that are to be done now; none at the end."""
        done, self.done = self.done, {}  # what a step trains follows from the steps before it, and not from later ones
        try:
            for tasks in self.stages():
                if missing := {task.key: task for task in tasks if task.key not in done}:
                    return list(missing.values())
                self.done |= {task.key: done[task.key] for task in tasks}
            return []
        finally:
            self.done = done

    def stages(self) -> Iterator[list[Task]]:
        """Yield the trainings of each step, which follow from what the steps before it measured."""
        unlimited = math.isinf(self.effort)
        together = unlimited and len(self.problem.rows) == 1  # so that no core waits in between
        yield self.tasks([self.stated], self.problem.rows, self.seeds) + (self.screening if together else [])
        if not unlimited:
            first = [c for c in self.quick if c.kind == "reading" or (c.kind == "known" and not self.fits(self.stated))]
            yield from self.full(first)
            if self.explained(first):
                return
        yield self.screening
        yield from self.full(self.screened)
        if unlimited and not self.explained(self.quick):
            yield from self.full([c for c in self.candidates[1:] if c not in self.quick])
        if unlimited and not self.explained(self.candidates):
            yield from self.full(self.paired)

    @property
    def screening(self) -> list[Task]:
        """A short training of every candidate, where the full ones are not short themselves."""
        tried = [self.stated, *filter(self.is_screened, self.quick)]
        enough = self.problem.rows[self.hardest].updates >= 3 * SHORT
        return [self.task(candidate, self.hardest, 0, short=True) for candidate in tried] if enough else []

    def explained(self, candidates: Sequence[Candidate]) -> bool:
        """Return whether all numbers are explained as stated, or by one of these, whatever was trained after them."""
        return any(self.fits(c) for c in self.finished if c is self.stated or c in candidates)

    def tasks(self, candidates: Iterable[Candidate], rows: Iterable[str], seeds: int) -> list[Task]:
        """Return the trainings of candidates with several seeds; of a table, with one where the others suffice."""
        count = {row: seeds if row in self.seeded else 1 for row in rows}
        return [self.task(c, row, number) for row in rows for number in range(count[row]) for c in candidates]

    def full(self, candidates: Sequence[Candidate]) -> Iterator[list[Task]]:
        """Yield full trainings of candidates: in one row, in all rows, and with more seeds, of fewer each time."""
        every, as_stated = len(self.problem.rows), self.fits(self.stated)
        is_table = every >= TABLE
        candidates = candidates[: FULL if is_table and as_stated else None]
        for count in (1, 2, every // 2, every) if is_table else (1, every):
            rows = [self.by_strangeness[i] for i in evenly(every, count)]
            candidates = self.affordable(candidates, rows, 1)
            yield self.tasks(candidates, rows, 1)
            candidates = self.likely(candidates, rows, max(FULL // count, FEW) if is_table else math.inf)
        seeds, most = min(SEEDS, self.seeds), FEW if as_stated or is_table else MOST
        yield self.tasks(self.affordable(self.likely(candidates, rows, most), rows, seeds), rows, seeds)

    def affordable(self, candidates: Sequence[Candidate], rows: Sequence[str], seeds: int) -> list[Candidate]:
        """Return readings, what is known, and others while the effort lasts; the first of these if it may be right."""
        left, found = SHARE * self.effort, [c for c in candidates if c.kind in ("reading", "known")]
        others = [c for c in candidates if c not in found]
        for candidate in others:
            work = sum(task.work for task in self.tasks([candidate], rows, seeds))
            may_be_right = candidate in self.tried or self.screening_gap(candidate)[0] < 1
            if work <= left or (candidate is others[0] and may_be_right):
                left -= work
                found.append(candidate)
        return found

    @cached_property
    def by_strangeness(self) -> list[str]:
        """The rows, those first whose numbers are the most unlikely as stated, of equal ones the shortest training."""
        rows = list(self.problem.rows)
        if len(rows) == 1:  # before anything is trained, too
            return rows

        def strangeness(row: str) -> float:
            found = self.as_stated(row)
            return round(distance([found], [self.reported(row)]) / len(found.mean), 1) if found else math.inf

        return sorted(rows, key=lambda row: (-strangeness(row), self.task(self.stated, row, 0).work))

    @property
    def hardest(self) -> str:
        """The row whose numbers are the most unlikely as stated."""
        return self.by_strangeness[0]

    def as_stated(self, row: str) -> Prediction | None:
        """Return the prediction of the settings as stated, with the deviation of their own trainings alone."""
        return predict(*self.given(self.stated, row), self.spread(row, [self.stated]))

    def is_screened(self, candidate: Candidate) -> bool:
        """Return whether a short training says anything of a candidate: not of one that changes the length."""
        return not any(key.endswith(LENGTHS) for key in candidate.rows.get(self.hardest, {}))

    @cached_property
    def expected(self) -> float:
        """About how much work there is in all, if some of the candidates go on to the end."""
        stated, others = self.work(self.stated), sum(self.work(c) for c in self.quick)
        return self.seeds * stated + min(others / len(self.problem.rows) + others / 2, self.effort)

    def work(self, candidate: Candidate) -> float:
        return sum(self.task(candidate, row, 0).work for row in self.problem.rows)

    @cached_property
    def quick(self) -> list[Candidate]:
        """The candidates that take about as long as the settings as stated."""
        return [c for c in self.candidates[1:] if self.work(c) <= LONG * self.work(self.stated)]

    @property
    def screened(self) -> list[Candidate]:
        """The candidates that the screening leaves, the most promising first."""
        found = {c.name: self.screening_gap(c) for c in self.quick}
        return sorted((c for c in self.quick if found[c.name][0] <= 1), key=lambda c: found[c.name])

    @cached_property
    def strangest(self) -> tuple[str, float, float]:
        """The strangest number of the hardest row that a short training measures, what it lacks, and its deviation."""
        found, numbers = self.as_stated(self.hardest), self.problem.numbers_of(self.hardest)
        if not found or not (known := [j for j, number in enumerate(numbers) if number.measure in MEASURES]):
            return MEASURES[0], math.nan, math.nan
        lacks, deviations = self.reported(self.hardest) - found.mean, found.deviations
        j = max(known, key=lambda j: abs(lacks[j] / deviations[j]))
        return numbers[j].measure, float(lacks[j]), float(deviations[j])

    def screening_gap(self, candidate: Candidate) -> tuple[float, float]:
        """Return how far the strangest number is from where a short training leads, and from what it changes.

        The effect of a candidate on the full training is taken to be a quarter (of a cost, nothing) to one and a half
        of that on a short one of the same seed, which leads there: 0. More than 1 is too far: 2 points of accuracy or
        .5 of a cost, and 3 deviations, beyond that. It is 1 where there is no short training.
        """
        measure, lacks, deviation = self.strangest
        effect = float(self.effect_of_short(candidate, [measure])[0])
        if not (math.isfinite(effect + lacks) and self.is_screened(candidate)):
            return 1.0, math.inf
        low, high = sorted((SHRINKS[quantity(measure)] * effect, GROWS * effect))
        distance = max(low - lacks, lacks - high, 0.0)
        return distance / (BEYOND[quantity(measure)] + 3 * deviation), abs(lacks - effect)

    def effect_of_short(self, candidate: Candidate, measures: Sequence[str]) -> Array:
        """Return what a candidate changes in a short training; NaN where it has none."""
        keys = [self.task(c, self.hardest, 0, short=True).key for c in (self.stated, candidate)]
        stated, own = (self.done.get(key, dict.fromkeys(MEASURES, math.nan)) for key in keys)
        return np.array([own[m] - stated[m] if m in MEASURES else 0.0 for m in measures])

    def likely(self, candidates: Sequence[Candidate], rows: Sequence[str], most: float = math.inf) -> list[Candidate]:
        """Return those of nearly the highest likelihood, the most probable first, as ``most`` trainings allow."""
        known = {c.name: self.likelihood(c, rows) for c in candidates}
        least = max(known.values(), default=0.0) - CLOSE * sum(len(self.problem.measures(row)) for row in rows)
        near = [candidate for candidate in candidates if known[candidate.name] >= least]
        ranked = sorted(near, key=lambda c: -known[c.name] - math.log(self.prior(c)))
        works = np.cumsum([self.work(candidate) for candidate in ranked]) / self.work(self.stated)
        return [c for c, work in zip(ranked, works, strict=True) if c is ranked[0] or work <= most]

    def prior(self, candidate: Candidate) -> float:
        """Return the probability before any number is known: that of a kind, divided among all that could be tried.

        A misprint is of one number: where a candidate takes several values for misprinted, it is a tenth of that.
        """
        singles, kind = len(self.candidates) - 1, candidate.kind
        count = singles * (singles - 1) / 2 if kind == "pair" else sum(c.kind == kind for c in self.candidates)
        several = kind == "misprint" and len(set(map(str, candidate.rows.values()))) > 1
        return PRIORS[kind] / count * (0.1 if several else 1)

    @cached_property
    def paired(self) -> list[Candidate]:
        """The pairs that would come nearest to the numbers of the hardest row if their effects added up."""
        measures = self.problem.measures(self.hardest)
        stated = np.nanmean(self.sample(self.stated, self.hardest, measures), axis=0)
        scale, needed = np.sqrt(self.spread(self.hardest).variance), self.reported(self.hardest) - stated
        effects = {c.name: self.effect(c, measures, stated) / scale for c in self.quick}
        singles = [c for c in self.quick if np.isfinite(e := effects[c.name]).all() and np.abs(e).max() > 1]

        def distance(two: tuple[Candidate, Candidate]) -> float:
            return float(((effects[two[0].name] + effects[two[1].name] - needed / scale) ** 2).sum())

        nearest = (pair(*two, self.problem.rows) for two in sorted(combinations(singles, 2), key=distance))
        self.pairs = list(islice(filter(None, nearest), PAIRS))
        return self.pairs

    def effect(self, candidate: Candidate, measures: Sequence[str], stated: Array) -> Array:
        """Return what a candidate changes in the hardest row, in a full training where there is one."""
        sample = self.sample(candidate, self.hardest, measures)
        return np.asarray(sample.mean(axis=0) - stated) if len(sample) else self.effect_of_short(candidate, measures)
