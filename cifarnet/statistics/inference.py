"""Where one more training would lie, and what paired seeds say of a claim."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from statistics import fmean as mean
from typing import Any, NamedTuple

import numpy as np
import scipy

from cifarnet.nn.random import generator

LEVEL = 0.95  # of every interval; 1 - LEVEL is the error rate of the claims of a page
LEVENE = 0.05  # below this p-value the rows of an exhibit keep deviations of their own
FEWEST = 3  # values, or samples, that can tell whether all vary alike
DRAWS = 20_000  # of the best of a search
IMAGES = 0.002  # deviation of an accuracy between the official images and others, such as recompressed ones


def stdev(values: Sequence[float]) -> float:
    """Return the standard deviation with n - 1, faster than the exact one of the standard library."""
    centre = mean(values)
    return math.sqrt(math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1))


def variance_of_other_images(p: Any, n: int) -> Any:
    """Return the variance between two sets of n images of which a fraction p, or an array of them, is right."""
    return 2 * p * (1 - p) / n


def quantile(df: float) -> float:
    """Return how many standard errors to both sides have the LEVEL: by Student's t, or the normal for infinite df."""
    upper = (1 + LEVEL) / 2
    return float(scipy.special.ndtri(upper) if math.isinf(df) else scipy.special.stdtrit(df, upper))


@cache
def alike_spreads(groups: tuple[tuple[float, ...], ...]) -> bool:
    """Whether Levene's test leaves it open that all groups have one standard deviation."""
    if len({stdev(row) for row in groups}) == 1:
        return True
    return bool(scipy.stats.levene(*groups).pvalue >= LEVENE)


class Spread(NamedTuple):
    """The standard deviation of trainings that differ in their seed, and its degrees of freedom."""

    std: float
    df: int


def spread(rows: Sequence[Sequence[float]], own: int = 0) -> Spread:
    """Return the deviation of a row's values, pooled over all rows (of one exhibit) where Levene's test allows it.

    Rows with the very same values are one network, recorded in several ways, and count once.
    """
    values = rows[own]
    alone = Spread(stdev(values), len(values) - 1) if len(values) > 1 else Spread(math.nan, 0)
    groups = tuple(sorted({tuple(row) for row in rows if len(row) >= FEWEST}))
    if len(groups) < 2 or len(values) < FEWEST or not alike_spreads(groups):
        return alone
    df = sum(len(row) - 1 for row in groups)
    return Spread(math.sqrt(sum((len(row) - 1) * stdev(row) ** 2 for row in groups) / df), df)


def interval(values: Sequence[float], spread: Spread, extra: float = 0.0, rounding: float = 0.0) -> tuple[float, float]:
    """Return the 95 % prediction interval of Student's t for one more training.

    ``extra`` is a variance that is known, such as that of other held-out images; it adds degrees of freedom as
    Satterthwaite's formula says. ``rounding`` is half a unit of the last printed digit. One value gives NaN.
    """
    if not spread.df:
        return math.nan, math.nan
    seeds = spread.std**2 * (1 + 1 / len(values))
    df = spread.df * (1 + extra / seeds) ** 2 if seeds else math.inf
    half = quantile(df) * math.sqrt(seeds + extra) + rounding
    return mean(values) - half, mean(values) + half


def interval_of_best(
    rows: Sequence[Sequence[float]], rank: int, trials: int, extra: float = 0.0, rounding: float = 0.0
) -> tuple[float, float]:
    """Return the 95 % interval of the rank-th highest value of a search, by simulation with a fixed seed.

    Each row gives one trial; trials beyond the rows repeat them in turn. The means are drawn together by as much as the
    seeds let them differ, or the best of them would seem too good. ``extra`` is common to all trials: they are measured
    on the same held-out images.
    """
    spreads = [spread(rows, own) for own in range(len(rows))]
    if not all(s.df for s in spreads):
        return math.nan, math.nan
    random = generator(0, "samples", rank)
    std = {s: s.std * np.sqrt(s.df / random.chisquare(s.df, DRAWS)) for s in dict.fromkeys(spreads)}
    means = [mean(row) for row in rows]
    noise = mean([s.std**2 / len(row) for s, row in zip(spreads, rows, strict=True)])
    between = stdev(means) ** 2 if len(means) > 1 else 0.0
    kept = max(0.0, 1 - noise / between) if between else 0.0
    values = np.empty((trials, DRAWS))
    for trial in range(trials):
        k = trial % len(rows)
        centre = mean(means) + kept * (means[k] - mean(means))
        values[trial] = centre + std[spreads[k]] * math.sqrt(1 + kept / len(rows[k])) * random.standard_normal(DRAWS)
    common = math.sqrt(extra + noise / len(rows)) * random.standard_normal(DRAWS)
    low, high = np.quantile(np.sort(values, axis=0)[-rank] + common, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low) - rounding, float(high) + rounding


class Result(NamedTuple):
    """What paired seeds say: the difference from one rival and its interval; p-values for the claim and against it."""

    rival: int
    difference: float
    low: float
    high: float
    p_for: float
    p_against: float

    @property
    def p(self) -> float:
        return min(self.p_for, self.p_against)


def beyond(differences: Sequence[float], limit: float = 0.0) -> float:
    """Return the one-sided p-value of Student's t that the mean of differences is above a limit.

    Without any deviation, as counts may be, it is that of the sign test.
    """
    n, distance = len(differences), mean(differences) - limit
    error = stdev(differences) / math.sqrt(n)
    if not error:
        return 2.0**-n if distance > 0 else 1.0
    return float(scipy.special.stdtr(n - 1, -distance / error))


def best(first: Sequence[float], others: Sequence[Sequence[float]]) -> Result:
    """Compare the first with the best of the others: with each of them, seed by seed.

    It is the best if it is above every one of them, each at the full level (an intersection-union test); it is not if
    any is above it, at a level that is divided by their number. For a single rival this is the two-sided t test.
    """
    differences = [[a - b for a, b in zip(first, other, strict=True)] for other in others]
    above = max(min(1.0, 2 * beyond(column)) for column in differences)
    below = min(1.0, len(others) * min(2 * beyond([-d for d in column]) for column in differences))
    return described(differences, min(range(len(others)), key=lambda k: mean(differences[k])), above, below)


def alike(first: Sequence[float], others: Sequence[Sequence[float]], margin: float) -> Result:
    """Compare the first with each of the others by two one-sided tests: within the margin of all, or beyond for one."""
    differences = [[a - b for a, b in zip(first, other, strict=True)] for other in others]
    mirrored = [[-d for d in column] for column in differences]
    both = [*differences, *mirrored]
    within = max(beyond(column, -margin) for column in both)
    p_value = min(1.0, len(both) * min(beyond(column, margin) for column in both))
    return described(differences, max(range(len(others)), key=lambda k: abs(mean(differences[k]))), within, p_value)


def described(differences: Sequence[Sequence[float]], rival: int, p_for: float, p_against: float) -> Result:
    """Add the mean difference from a rival and its 95 % interval."""
    column = differences[rival]
    half = quantile(len(column) - 1) * stdev(column) / math.sqrt(len(column))
    return Result(rival, mean(column), mean(column) - half, mean(column) + half, p_for, p_against)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for all of them being looked at (Holm 1979)."""
    order, highest = sorted(range(len(p_values)), key=lambda i: p_values[i]), 0.0
    adjusted = [0.0] * len(p_values)
    for place, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[i]))
        adjusted[i] = highest
    return adjusted


def combined(p_values: Sequence[float]) -> float:
    """Return one p-value for many that depend on each other in any way: e times their geometric mean.

    V. Vovk and R. Wang, Combining p-values via averaging, Biometrika 2020, Table 1.
    """
    return min(1.0, math.e * math.exp(mean(math.log(max(p, 1e-300)) for p in p_values)))
