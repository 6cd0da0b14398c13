"""The optimisers against their formulas written one value at a time, and on a bowl whose minimum is known."""

import math
from functools import partial

import numpy as np
import pytest

from cifarnet import optimisers

MOMENTUM = partial(optimisers.momentum, beta=0.9, nesterov=False)
NESTEROV = partial(optimisers.momentum, beta=0.9, nesterov=True)
ADAM = partial(optimisers.adam, beta1=0.9, beta2=0.999, epsilon=1e-8)
RULES = {"momentum": (MOMENTUM, 1), "nesterov": (NESTEROV, 1), "adam": (ADAM, 2)}


def by_hand(name, gradients, eta):
    """One parameter that starts at 1, and its values after each of the gradients."""
    theta, v, m, s, path = 1.0, 0.0, 0.0, 0.0, []
    for t, g in enumerate(gradients, 1):
        if name == "adam":
            m, s = 0.9 * m + 0.1 * g, 0.999 * s + 0.001 * g * g
            theta -= eta * (m / (1 - 0.9**t)) / (math.sqrt(s / (1 - 0.999**t)) + 1e-8)
        else:
            v = 0.9 * v + eta * g
            theta -= 0.9 * v + eta * g if name == "nesterov" else v
        path.append(theta)
    return path


@pytest.mark.parametrize("name", RULES)
def test_updates_are_the_papers_formulas(name):
    """Six updates with changing gradients, to 1e-14."""
    rule, count = RULES[name]
    theta, moments, path = np.ones(1), np.zeros((count, 1)), []
    gradients = [0.5, -1.0, 2.0, 0.1, 0.0, -3.0]
    for step, g in enumerate(gradients):
        rule(theta, np.array([g]), moments, 0.1, step)
        path.append(theta[0])
    assert path == pytest.approx(by_hand(name, gradients, 0.1), abs=1e-14)


@pytest.mark.parametrize("name", RULES)
def test_a_slice_is_updated_as_the_whole_is(name):
    """Blocks, and slices as threads own them, give the bytes of one update of all of theta; biases do not decay."""
    rule, count = RULES[name]
    rng = np.random.default_rng(1)
    P = 2 * optimisers.BLOCK + 17
    theta, gradient = rng.standard_normal((2, P)).astype(np.float32)
    moments = np.abs(rng.standard_normal((count, P))).astype(np.float32)
    whole, parts = [[a.copy() for a in (theta, gradient, moments)] for _ in range(2)]
    whole[1][: P - 5] += np.float32(0.02) * theta[: P - 5]
    rule(*whole, 0.1, 3)
    update = optimisers.Update(rule, parts[0], parts[2], eta=0.1, step=3, weights=P - 5, decay=0.02)
    for part in (slice(0, 1001), slice(1001, P)):
        update(part, parts[1][part])
    assert np.array_equal(whole[0], parts[0])
    assert np.array_equal(whole[2], parts[2])


@pytest.mark.parametrize(("name", "eta"), [("momentum", 0.02), ("nesterov", 0.02), ("adam", 0.05)])
def test_the_bottom_of_a_bowl_is_found(name, eta):
    """theta^T D theta / 2 with curvatures from .1 to 10: within 1e-2 of the minimum after 1,000 updates."""
    rule, count = RULES[name]
    D, theta = np.geomspace(0.1, 10, 5), np.ones(5)
    moments = np.zeros((count, 5))
    for step in range(1000):
        rule(theta, D * theta, moments, eta, step)
    assert np.abs(theta).max() < 1e-2
