"""The other losses against their formulas worked by hand."""

import math

import numpy as np
import pytest

from cifarnet import network, objectives


def test_hinge_by_hand():
    """z = (2, 1.5, -1), right class 1: max(0, 2 - 1.5 + 1) + max(0, -1 - 1.5 + 1) = 1.5; slope (1, -1, 0)."""
    Z, y = np.array([[2, 1.5, -1], [0, 9, 0]], float), np.array([1, 1])
    assert objectives.hinge_losses(Z, y).tolist() == [1.5, 0]
    objectives.hinge_slope(Z, y)
    assert Z.tolist() == [[1, -1, 0], [0, 0, 0]]


def test_smoothed_labels_by_hand():
    """z = (log 2, 0), right class 0, a = .2: -(.9 log 2/3 + .1 log 1/3); slope p - (.9, .1)."""
    Z, y = np.array([[math.log(2), 0.0]]), np.array([0])
    [loss] = objectives.smoothed_losses(Z, y, smoothing=0.2)
    assert loss == pytest.approx(-(0.9 * math.log(2 / 3) + 0.1 * math.log(1 / 3)))
    objectives.smoothed_slope(Z, y, smoothing=0.2)
    np.testing.assert_allclose(Z, [[2 / 3 - 0.9, 1 / 3 - 0.1]])


def test_no_smoothing_is_the_plain_cross_entropy():
    """The very function, so the same bytes; and smoothing of 0 computed gives the same values."""
    assert objectives.smoothed(0.0) is network.CROSS_ENTROPY
    Z, y = np.random.default_rng(0).standard_normal((5, 10)), np.arange(5)
    np.testing.assert_allclose(objectives.smoothed_losses(Z.copy(), y, smoothing=0.0), network.losses(Z, y))
