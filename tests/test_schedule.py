"""The learning rate against the assignment's formulas, and the properties of a cycle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifarnet.schedule import constant, exponential_decay, step_decay, triangular

n_steps = st.integers(1, 5000)
steps = st.integers(0, 100_000)
BOUNDS = {"eta_min": 1e-5, "eta_max": 1e-1}


@given(steps, n_steps)
def test_a_cycle_is_the_assignments_two_lines(t, n_s):
    """Both branches of the assignment's definition, with l = the cycle that t is in."""
    cycle = t // (2 * n_s)
    if t <= (2 * cycle + 1) * n_s:
        expected = 1e-5 + (t - 2 * cycle * n_s) / n_s * (1e-1 - 1e-5)
    else:
        expected = 1e-1 - (t - (2 * cycle + 1) * n_s) / n_s * (1e-1 - 1e-5)
    assert triangular(t, n_s=n_s, **BOUNDS) == pytest.approx(expected, abs=1e-12)


@given(steps, n_steps)
def test_a_cycle_is_periodic_continuous_and_within_bounds(t, n_s):
    """The same again after 2 n_s steps, one step changes eta by (max - min) / n_s, never outside its bounds."""
    eta, following = triangular(t, n_s=n_s, **BOUNDS), triangular(t + 1, n_s=n_s, **BOUNDS)
    assert 1e-5 - 1e-15 <= eta <= 1e-1 + 1e-15
    assert eta == pytest.approx(triangular(t + 2 * n_s, n_s=n_s, **BOUNDS), abs=1e-9)
    assert abs(following - eta) == pytest.approx((1e-1 - 1e-5) / n_s, abs=1e-9)


def test_the_ends_of_a_cycle_are_exact():
    """eta_min at 0 and 2 n_s, eta_max at n_s."""
    assert [triangular(t, n_s=500, **BOUNDS) for t in (0, 500, 1000)] == [1e-5, 1e-1, 1e-5]


def test_decays():
    """A factor 10 every 3 steps in steps, and .9 every 10 steps smoothly."""
    assert [step_decay(t, eta=1, factor=0.1, every=3) for t in (0, 2, 3, 6)] == pytest.approx([1, 1, 0.1, 0.01])
    assert exponential_decay(20, eta=1, factor=0.9, every=10) == pytest.approx(0.81)
    assert exponential_decay(5, eta=1, factor=0.9, every=10) == pytest.approx(0.9**0.5)
    assert constant(7, eta=0.3) == 0.3
