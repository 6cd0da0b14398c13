"""How likely reported numbers are under trainings: Student's t, with deviations pooled over what was trained.

The numbers of one row come from one training, so they are judged together, with the correlations between them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy  # its parts are imported when they are used: statistics take a second
from numpy.typing import NDArray

from cifarnet.statistics.inference import FEWEST, quantile

Array = NDArray[Any]
STRANGE = 50.0  # times the usual variance, or a part of it: a training that is chaotic, or stuck
FITS = 0.01  # probability of such numbers, below which they are not explained
MOST = {"accuracy": 60.0, "cost": 6.0, "loss": 6.0}  # degrees of freedom of a usual variance; a high cost varies more
DRAWS = 2000
SHIFTS = np.linspace(-5, 5, 401)  # in deviations of what trainings have in common
FLOOR = {"accuracy": 0.001, "cost": 0.002, "loss": 0.002}  # the least deviation: that of a run of equal seeds is none


class Spread(NamedTuple):
    """How trainings that differ in their seed vary: by how much usually, and how alike that is for all candidates.

    ``variance`` (p,) is the usual one of each number, ``df`` (p,) the degrees of freedom that it is worth beside a
    candidate's own: many where all vary alike, few where each has a variance of its own. ``correlation`` is (p, p).
    """

    variance: Array
    df: Array
    correlation: Array


def floors(measures: Sequence[str]) -> Array:
    """Return the least variance (p,) of each number."""
    return np.array([FLOOR[quantity(measure)] ** 2 for measure in measures])


def quantity(measure: str) -> str:
    """Return accuracy, loss or cost."""
    return measure.partition("@")[0].rpartition("_")[2]


def spread(samples: Sequence[Array], measures: Sequence[str]) -> Spread:
    """Return how samples (n, p) of several seeds vary: the prior of G. Smyth (2004, section 6.2) for their variances.

    Variances beyond 50 times the usual one, or below a 50th, are of chaotic or stuck trainings, and left out.
    """
    df, least = np.array([len(sample) - 1 for sample in samples]), floors(measures)
    own = np.array([sample.var(axis=0, ddof=1) for sample in samples])  # (k, p)
    variances, bias = np.maximum(own, least), scipy.special.digamma(df / 2) - np.log(df / 2)
    logs = np.where(own < least, -np.inf, np.log(variances) - bias[:, None])
    known = [prior(column, df, MOST[quantity(m)]) for column, m in zip(logs.T, measures, strict=True)]
    usual, worth = (np.array(column) for column in zip(*known, strict=True))
    residuals = [(s - s.mean(axis=0)) / np.sqrt(v) for s, v in zip(samples, variances, strict=True)]
    together = np.concatenate(residuals)
    weight = df.sum() / (df.sum() + len(least))  # correlations of few trainings are drawn towards 0
    correlation = weight * together.T @ together / df.sum()
    np.fill_diagonal(correlation, 1.0)
    return Spread(np.maximum(usual, least), worth, correlation)


def prior(logs: Array, df: Array, most: float) -> tuple[float, float]:
    """Return the usual variance, and the degrees of freedom that it is worth, from unbiased logarithms (k,)."""
    if not (finite := np.isfinite(logs)).any():
        return 0.0, most
    near = np.abs(logs - np.median(logs[finite])) < math.log(STRANGE)
    logs, df = (column[near if near.any() else finite] for column in (logs, df))
    total = min(float(df.sum()), most)
    if len(logs) < FEWEST:
        return float(np.exp(np.average(logs, weights=df))), total
    excess = float(logs.var(ddof=1) - scipy.special.polygamma(1, df / 2).mean())
    if excess <= scipy.special.polygamma(1, total / 2):
        return float(np.exp(np.average(logs, weights=df))), total
    worth = scipy.optimize.brentq(lambda d: scipy.special.polygamma(1, d / 2) - excess, 0.1, total)
    return float(np.exp(logs.mean() + scipy.special.digamma(worth / 2) - math.log(worth / 2))), max(worth, 1.0)


class Prediction(NamedTuple):
    """Where one more training would lie: a multivariate t of p numbers, with a scale matrix (p, p).

    ``shared`` (p,) is their deviation beside that, which trainings that are scored on the same images have in common.
    """

    mean: Array
    scale: Array
    df: float
    shared: Array

    @property
    def deviations(self) -> Array:
        """The scale (p,) of each number by itself."""
        found: Array = np.sqrt(np.diag(self.scale) + self.shared**2)
        return found

    def intervals(self, half: Array) -> tuple[Array, Array]:
        """Return the lower and upper ends (p,) of each number's interval; ``half`` a unit of its last digit."""
        reach = quantile(self.df) * self.deviations + half
        return self.mean - reach, self.mean + reach


def probability_of_outliers(predictions: Sequence[Prediction], halves: Sequence[Array], count: int) -> float:
    """Return how probable it is that this many of the numbers of trainings, or more, lie outside of their intervals.

    Numbers of one training leave them together, so that the count has no binomial distribution: it is simulated.
    """
    rng, outside = np.random.default_rng(0), np.zeros(DRAWS, int)
    for found, half in zip(predictions, halves, strict=True):
        scales, (_, high) = np.sqrt(np.diag(found.scale)), found.intervals(half)
        correlation = found.scale / np.outer(scales, scales)
        away = scipy.stats.multivariate_t.rvs(0 * scales, correlation, found.df, DRAWS, rng).reshape(DRAWS, -1)
        outside += (np.abs(away) * scales > high - found.mean).sum(axis=1)
    return float((outside >= count).mean())


def distance(predictions: Sequence[Prediction], reported: Sequence[Array]) -> float:
    """Return the squared distance in scales of trainings on the same images: p times an F of all p numbers."""
    shared = np.concatenate([prediction.shared for prediction in predictions])
    scale = scipy.linalg.block_diag(*(prediction.scale for prediction in predictions)) + np.outer(shared, shared)
    difference = np.concatenate([value - found.mean for found, value in zip(predictions, reported, strict=True)])
    return float(difference @ np.linalg.solve(scale, difference))


def log_density(predictions: Sequence[Prediction], reported: Sequence[Array]) -> float:
    """Return the logarithm of the density of trainings on the same images: the mean over what they have in common."""
    return float(scipy.special.logsumexp(log_densities(predictions, reported)[1]))


def at_best_shared_shift(predictions: Sequence[Prediction], reported: Sequence[Array]) -> list[Prediction]:
    """Return the predictions with what they have in common as it fits the numbers best."""
    shifts, logs = log_densities(predictions, reported)
    shift = shifts[np.argmax(logs)]
    return [found._replace(mean=found.mean + shift * found.shared, shared=0 * found.shared) for found in predictions]


def log_densities(predictions: Sequence[Prediction], reported: Sequence[Array]) -> tuple[Array, Array]:
    """Return what trainings may have in common (k,), and the logarithms of its weight times the density with it (k,).

    Densities are worked out in units of the scales, which may differ by many powers.
    """
    shifts = SHIFTS if any(prediction.shared.any() for prediction in predictions) else np.zeros(1)
    total = scipy.stats.norm.logpdf(shifts) - scipy.special.logsumexp(scipy.stats.norm.logpdf(shifts))
    for found, value in zip(predictions, reported, strict=True):
        scales = np.sqrt(np.diag(found.scale))
        away = (value - found.mean - np.outer(shifts, found.shared)) / scales
        correlation = found.scale / np.outer(scales, scales)
        total = total + scipy.stats.multivariate_t.logpdf(away, None, correlation, found.df) - np.log(scales).sum()
    return shifts, np.atleast_1d(total)


def predict(sample: Array, extra: Array, shared: Array, spread: Spread) -> Prediction | None:
    """Return the prediction from a sample (n, p); None where a number of it is not finite.

    A candidate's variance is its own and the usual one, weighted by their degrees of freedom; that of a chaotic one is
    its own. ``extra`` are variances (p,) that are known, such as that of the rounding, and ``shared`` those that
    trainings have in common.
    """
    sample = sample[np.isfinite(sample).all(axis=1)]
    n = len(sample)
    if not n:
        return None
    own = sample.var(axis=0, ddof=1) if n > 1 else np.zeros(len(extra))
    df = spread.df + n - 1
    variance = (spread.df * spread.variance + (n - 1) * own) / df
    chaotic = own > STRANGE * spread.variance
    variance, df = np.where(chaotic, own, variance), np.where(chaotic, n - 1, df)
    deviation = np.sqrt(variance * (1 + 1 / n))
    scale = spread.correlation * np.outer(deviation, deviation) + np.diag(extra)
    return Prediction(sample.mean(axis=0), scale, float(df.min()), np.sqrt(shared))
