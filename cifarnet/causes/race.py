"""Which trainings decide it: all candidates in short ones, those that may be right in longer ones, pairs last.

`Race.todo` returns the trainings that are to be done next, from those that are done: whoever is stopped goes on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import combinations, islice

import numpy as np

from cifarnet.causes.candidates import Candidate, pair
from cifarnet.causes.evidence import SEEDS, SHORT, Evidence, Task
from cifarnet.causes.likelihood import Array, predict, quantity
from cifarnet.causes.numbers import MEASURES

LONG = 5  # times the work as stated: who takes longer is tried where nothing else explains the numbers
SHRINKS, GROWS = 0.25, 1.5  # between which parts of its effect on a short training that on a full one lies,
BEYOND = {"accuracy": 0.04, "cost": 0.5, "loss": 0.5}  # give or take
MARGIN = {"accuracy": 0.03, "cost": 0.3, "loss": 0.3}  # who is as near to the number is trained with more seeds
DROPPED = 0.001  # probability of such a distance, below which a candidate is dropped
NEAREST = 4  # candidates that are trained in all rows in any case
MOST, LEADERS = 8, 4  # candidates that are trained with more seeds, and those with as many as there are as stated;
CLOSE = 12.0  # none whose likelihood is by this power of e below the best one
PAIRS = 8  # of candidates, the nearest ones if their effects add up


class Race(Evidence):
    """The trainings of a diagnosis, stage by stage."""

    def todo(self) -> list[Task]:
        """Return the trainings that are to be done now; none at the end."""
        for tasks in self.stages():
            if missing := {task.key: task for task in tasks if task.key not in self.done}:
                return list(missing.values())
        return []

    def stages(self) -> Iterator[list[Task]]:
        """Yield the trainings of each stage, which follow from what the stages before it measured."""
        yield self.tasks([self.stated], self.problem.rows, self.seeds)
        if self.is_long:
            yield self.shorts()
        yield from self.rounds(self.entrants)
        if not self.explained(self.timely):
            yield from self.rounds(self.late)
        if not self.explained(self.candidates):
            yield from self.rounds(self.paired)

    def tasks(self, candidates: Iterable[Candidate], rows: Iterable[str], seeds: int) -> list[Task]:
        return [self.task(c, row, number) for row in rows for number in range(seeds) for c in candidates]

    def rounds(self, entrants: Sequence[Candidate]) -> Iterator[list[Task]]:
        """Yield the trainings of candidates in one row, in all rows, and with more seeds, of fewer each time.

        Where the settings as stated explain the numbers, few need more seeds.
        """
        every = list(self.problem.rows)
        for rows in ([self.hardest], every):
            yield self.tasks(entrants, rows, 1)
            entrants = self.kept(entrants, rows)
        as_stated = self.fits(self.stated)
        entrants = self.likely(entrants, LEADERS if as_stated else MOST)
        yield self.tasks(entrants, every, SEEDS)
        if not as_stated:
            yield self.tasks(self.likely(entrants, LEADERS), every, self.seeds)

    @cached_property
    def hardest(self) -> str:
        """The row whose numbers are the most unlikely as stated, of equal ones the one that takes the least time."""
        return max(self.problem.rows, key=lambda row: (self.strangeness(row), -self.task(self.stated, row, 0).work))

    def strangeness(self, row: str) -> float:
        """Return how far the numbers of a row are from those as stated, which alone the deviation is of."""
        found = predict(*self.given(self.stated, row), self.spread(row, [self.stated]))
        return round(found.distance(self.reported(row)) / len(found.mean), 1) if found else math.inf

    @property
    def is_long(self) -> bool:
        """Whether a short training is much shorter than that of the hardest row."""
        return self.problem.rows[self.hardest].updates >= 3 * SHORT

    def shorts(self) -> list[Task]:
        tried = [self.stated, *(c for c in self.timely if self.is_short(c))]
        return [self.task(c, self.hardest, 0, short=True) for c in tried]

    def is_short(self, candidate: Candidate) -> bool:
        """Return whether a short training says anything of a candidate: not of one that changes the length."""
        return not any(key.endswith(("_as_epochs", "_as_cycles")) for key in candidate.rows.get(self.hardest, {}))

    @cached_property
    def expected(self) -> float:
        """About how much work there is in all, if some of the candidates go on to the end."""
        stated, others = self.work(self.stated), sum(self.work(c) for c in self.timely)
        return self.seeds * stated + others / len(self.problem.rows) + others / 2

    def work(self, candidate: Candidate) -> float:
        return sum(self.task(candidate, row, 0).work for row in self.problem.rows)

    @cached_property
    def timely(self) -> list[Candidate]:
        """The candidates that take about as long as the settings as stated."""
        return [c for c in self.candidates[1:] if self.work(c) <= LONG * self.work(self.stated)]

    @property
    def late(self) -> list[Candidate]:
        """The candidates that take much longer."""
        return [c for c in self.candidates[1:] if c not in self.timely]

    @property
    def entrants(self) -> list[Candidate]:
        """The candidates that the short trainings leave."""
        return [c for c in self.timely if not (self.is_long and self.is_short(c) and self.leads_away(c))]

    def leads_away(self, candidate: Candidate) -> bool:
        """Return whether a short training rules a candidate out, by the strangest number at the end of the training.

        Its effect on the full training is taken to be a quarter to one and a half of that on a short one of the same
        seed, and up to 4 points of accuracy, or .5 of a cost, more or less; the number is out of reach beyond that.
        """
        numbers = self.problem.of(self.hardest)
        found = predict(*self.given(self.stated, self.hardest), self.spread(self.hardest, [self.stated]))
        if not found:
            return False
        needed, deviation = self.reported(self.hardest) - found.mean, np.sqrt(np.diag(found.scale))
        j = int(np.abs(needed / deviation).argmax())
        stated, own = (self.done[self.task(c, self.hardest, 0, short=True).key] for c in (self.stated, candidate))
        measure, kind = numbers[j].measure, quantity(numbers[j].measure)
        effect = own[measure] - stated[measure]
        if measure not in MEASURES or not math.isfinite(effect):
            return False
        reach = BEYOND[kind] + 3 * float(deviation[j])
        low, high = sorted((SHRINKS * effect, GROWS * effect))
        return not low - reach <= needed[j] <= high + reach

    def kept(self, entrants: Sequence[Candidate], rows: Sequence[str]) -> list[Candidate]:
        """Return who goes on, the most probable first: who may be right, who is near, and the nearest in any case."""
        probable = {c.name: self.probability(c, rows) for c in entrants}
        ranked = sorted(entrants, key=lambda c: -probable[c.name])
        near = [c for c in ranked if probable[c.name] > DROPPED or all(self.is_near(c, row) for row in rows)]
        return [c for c in ranked if c in near or c in ranked[:NEAREST]]

    def likely(self, entrants: Sequence[Candidate], most: int) -> list[Candidate]:
        """Return the candidates of the highest likelihood, the first in any case, others that are not far below it."""
        known = {c.name: self.likelihood(c) for c in entrants}
        ranked = sorted(entrants, key=lambda c: -known[c.name])[:most]
        return [c for c in ranked if known[c.name] >= known[ranked[0].name] - CLOSE]

    def is_near(self, candidate: Candidate, row: str) -> bool:
        found = self.prediction(candidate, row)
        margins = np.array([MARGIN[quantity(number.measure)] for number in self.problem.of(row)])
        return bool(found and (np.abs(found.mean - self.reported(row)) < margins).all())

    @cached_property
    def paired(self) -> list[Candidate]:
        """The pairs that would come nearest to the numbers of the hardest row if their effects added up."""
        measures = [number.measure for number in self.problem.of(self.hardest)]
        stated = np.nanmean(self.sample(self.stated, self.hardest, measures), axis=0)
        scale, needed = np.sqrt(self.spread(self.hardest).variance), self.reported(self.hardest) - stated
        effects = {c.name: self.effect(c, measures, stated) / scale for c in self.timely}
        singles = [c for c in self.timely if np.isfinite(e := effects[c.name]).all() and np.abs(e).max() > 1]

        def distance(two: tuple[Candidate, Candidate]) -> float:
            return float(((effects[two[0].name] + effects[two[1].name] - needed / scale) ** 2).sum())

        nearest = (pair(*two, self.problem.rows) for two in sorted(combinations(singles, 2), key=distance))
        self.pairs = list(islice(filter(None, nearest), PAIRS))
        return self.pairs

    def effect(self, candidate: Candidate, measures: Sequence[str], stated: Array) -> Array:
        """Return what a candidate changes in the hardest row, or of one that a short training excluded, in this one."""
        sample = self.sample(candidate, self.hardest, measures)
        if len(sample):
            mean: Array = sample.mean(axis=0) - stated
            return mean
        short, own = (self.done[self.task(c, self.hardest, 0, short=True).key] for c in (self.stated, candidate))
        return np.array([own[m] - short[m] if m in MEASURES else 0.0 for m in measures])
