"""The likelihood of reported numbers, beside closed forms and simulations."""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.linalg import block_diag

from cifarnet.statistics import likelihood


def test_a_cost_that_varies_by_thousands_leaves_a_density():
    """By hand: that of two numbers with 1 degree of freedom is 1 / (2 pi) at its centre, divided by both scales."""
    found = likelihood.Prediction(np.array([0.4, 1e4]), np.diag([1e-8, 1e8]), 1.0, np.zeros(2))
    assert likelihood.log_density([found], [found.mean]) == pytest.approx(-math.log(2 * math.pi))


def test_what_trainings_on_the_same_images_have_in_common_is_in_their_density_once():
    """With many degrees of freedom it is that of a normal, whose covariance has what is common between all."""
    own, shared = [np.diag([4e-6]), np.array([[9e-6, 2e-6], [2e-6, 1e-6]])], [np.array([0.01]), np.array([0.02, 0.0])]
    rows = [likelihood.Prediction(np.zeros(len(s)), scale, 1e7, s) for scale, s in zip(own, shared, strict=True)]
    covariance = block_diag(*own) + np.outer(np.concatenate(shared), np.concatenate(shared))
    reported = np.array([0.012, 0.021, -0.001])
    parts = reported[:1], reported[1:]
    normal = stats.multivariate_normal.logpdf(reported, None, covariance)
    assert likelihood.log_density(rows, parts) == pytest.approx(normal, abs=1e-4)
    assert likelihood.distance(rows, parts) == pytest.approx(reported @ np.linalg.inv(covariance) @ reported)
    assert rows[1].deviations == pytest.approx(np.sqrt(np.diag(covariance)[1:]))
    settled = likelihood.at_best_shared_shift(rows, parts)
    assert [*settled[0].mean, *settled[1].mean] == pytest.approx([0.01151, 0.02302, 0.0], abs=0.0004)
    assert not any(found.shared.any() for found in settled)


@pytest.mark.parametrize(("correlation", "probability"), [(0.0, 0.0026), (1 - 1e-6, 0.05)])
def test_numbers_of_one_training_leave_their_intervals_together(correlation, probability):
    """More than four of twenty: the tail of a binomial where they are independent, and else as if they were one."""
    scale = correlation * np.ones((20, 20)) + (1 - correlation) * np.eye(20)
    found = likelihood.Prediction(np.zeros(20), 1e-4 * scale, 1e6, np.zeros(20))
    assert likelihood.probability_of_outliers([found], [np.zeros(20)], 5) == pytest.approx(probability, abs=0.01)
    assert likelihood.probability_of_outliers([found, found], [np.zeros(20)] * 2, 41) == 0


MEASURED = ["test_accuracy", "validation_accuracy"]


def samples(rng, scales, sizes):
    """Samples of two numbers that go together, one for each scale."""
    factor = np.linalg.cholesky([[1.6e-5, 1e-5], [1e-5, 4e-5]])
    return [scale * rng.standard_normal((n, 2)) @ factor.T for scale, n in zip(scales, sizes, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("vary", [0.0, 0.5])
def test_95_percent_of_further_trainings_are_within_the_interval_and_1_percent_beyond_the_rule(vary):
    """Also where each candidate has a deviation of its own."""
    rng, inside, beyond = np.random.default_rng(1), [], []
    for _ in range(1000):
        scales = np.exp(vary * rng.standard_normal(9))
        *known, new = samples(rng, [*scales, scales[3]], [7, *[3] * 8, 1])
        found = likelihood.predict(known[3], np.zeros(2), np.zeros(2), likelihood.spread(known, MEASURED))
        low, high = found.intervals(np.zeros(2))
        inside.append((low <= new[0]) & (new[0] <= high))
        beyond.append(stats.f.sf(likelihood.distance([found], new) / 2, 2, found.df) < 0.01)
    assert np.mean(inside) == pytest.approx(0.95, abs=0.02)
    assert np.mean(beyond) == pytest.approx(0.01, abs=0.015)


def test_chaotic_and_stuck_trainings_say_nothing_of_the_others():
    rng = np.random.default_rng(2)
    usual, chaotic = samples(rng, [1] * 6, [7] * 6), samples(rng, [100], [7])[0]
    stuck = np.full((7, 2), 0.1)
    alone, together = (likelihood.spread(found, MEASURED) for found in (usual, [*usual, chaotic, stuck]))
    assert together.variance == pytest.approx(alone.variance)
    assert together.df.tolist() == alone.df.tolist()
    assert likelihood.predict(chaotic, np.zeros(2), np.zeros(2), together).df == 6
    assert likelihood.predict(np.full((2, 2), math.nan), np.zeros(2), np.zeros(2), together) is None
