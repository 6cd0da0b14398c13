"""Curves and class templates of a report beside ours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import scipy

from cifarnet.nn import network
from cifarnet.runs import Run
from cifarnet.statistics.inference import LEVEL, combined, quantile
from cifarnet.studies.figures import Curve, Floats

Verdict = Literal["compatible", "incompatible", "not decidable", "cannot be compared", "not run"]
NEAR = 0.01  # of the distance of two records: a point so near to one belongs to it, such as step 1 to the start


@dataclass(frozen=True)
class Compared:
    """A report's curve and ours: at each of its points our mean, deviation and prediction band."""

    curve: Curve
    mean: Floats
    std: Floats
    low: Floats
    high: Floats
    p_values: Floats
    n: int
    useful: float
    cause: Mapping[str, Any] | None = None  # what a diagnosis found

    @cached_property
    def verdicts(self) -> list[Verdict]:
        """The verdict of each point."""
        return [self.of(k) for k in range(len(self.curve.x))]

    def of(self, k: int) -> Verdict:
        low, high, y = self.low[k], self.high[k], self.curve.y[k]
        if math.isnan(self.mean[k]):
            return "not run" if not self.n else "cannot be compared"
        if math.isnan(low):
            return "not decidable"
        return "incompatible" if not low <= y <= high else "not decidable" if high - low > self.useful else "compatible"

    @property
    def within(self) -> float:
        """The fraction of the points that lie in the band; NaN without one."""
        known = np.isfinite(self.low)
        inside = (self.low <= self.curve.y) & (self.curve.y <= self.high)
        return float(inside[known].mean()) if known.any() else math.nan

    @property
    def distances(self) -> Floats:
        """The report's minus ours."""
        return self.curve.y - self.mean

    @property
    def largest(self) -> tuple[float, float]:
        """The largest distance, and the x where it is."""
        if not np.isfinite(self.distances).any():
            return math.nan, math.nan
        k = int(np.nanargmax(abs(self.distances)))
        return float(self.distances[k]), float(self.curve.x[k])

    @property
    def verdict(self) -> Verdict:
        """The verdict of the curve as one: its points depend on each other, and their p-values are combined as such."""
        p_values = self.p_values[np.isfinite(self.p_values)].tolist()
        if not p_values:
            return "not run" if not self.n else "not decidable"
        if combined(p_values) < 1 - LEVEL:
            return "incompatible"
        return "not decidable" if 2 * self.verdicts.count("not decidable") > len(self.verdicts) else "compatible"


def compare(curve: Curve, runs: Sequence[Run], x: str, extra: float, useful: float) -> Compared:
    """Compare a curve with ours at its own x, the records joined by straight lines; beyond the last there is nothing.

    ``extra`` is a known variance, as of other images, and ``useful`` the widest interval that decides anything.
    """
    tables = [table for run in runs if curve.column in (table := run.records)]
    ours, n = np.array([at(table, curve, x) for table in tables]), len(tables)
    nan = np.full(len(curve.x), np.nan)
    if not n:
        return Compared(curve, nan, nan, nan, nan, nan, 0, useful)
    mean = ours.mean(axis=0)
    if n == 1:
        return Compared(curve, mean, nan, nan, nan, nan, 1, useful)
    std = ours.std(axis=0, ddof=1)
    error = np.sqrt(np.maximum(std**2 * (1 + 1 / n) + extra, 1e-24))
    half = quantile(n - 1) * error + curve.reading
    p_values = 2 * scipy.special.stdtr(n - 1, -np.maximum(abs(curve.y - mean) - curve.reading, 0) / error)
    return Compared(curve, mean, std, mean - half, mean + half, p_values, n, useful)


def at(table: Mapping[str, Floats], curve: Curve, x: str) -> Floats:
    """Return the values of a training where a curve has its points."""
    values = table[curve.column]
    xs = np.arange(len(values), dtype=float) if x == "record" else table[x]
    place = np.interp(curve.x, xs, np.arange(len(xs)))
    place = np.where(abs(place - place.round()) <= NEAR, place.round(), place)
    found = np.interp(place, np.arange(len(values)), values)
    return np.where(curve.x <= xs[-1] + NEAR, found, np.nan)


class Templates(NamedTuple):
    """A report's class templates, its correlations (10, 10) with ours, theirs down, and how many fit their own best."""

    reported: Floats  # (3072, 10), as the columns of W
    correlations: Floats
    matches: int


def compare_templates(reported: Floats, runs: Sequence[Run]) -> Templates | None:
    """Correlate a report's templates with those of each of our trainings; the mean over them."""
    found: list[Any] = []
    for run in runs:
        W = network.views(run.model.theta, run.model.sizes)[0][0]
        found.append(np.corrcoef(reported.T, np.asarray(W, float).T)[:10, 10:])
    if not found:
        return None
    correlations = np.mean(found, axis=0)
    return Templates(reported, correlations, int((correlations.argmax(axis=1) == np.arange(10)).sum()))
