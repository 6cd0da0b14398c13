"""The learning rate against the assignment's formulas, and the properties of a cycle."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifarnet.schedule import (
    constant,
    cosine,
    exponential_decay,
    linear,
    place,
    ramp,
    step_decay,
    total,
    triangular,
    triangular2,
)

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


@given(steps, n_steps, st.integers(1, 4))
def test_a_step_lies_in_the_cycle_that_covers_it(t, length, growth):
    """The cycles before it end at or before the step, its own ends after it, and each is growth times as long."""
    cycle, within, steps_in_it = place(t, length, growth)
    assert total(length, cycle, growth) + within == t
    assert 0 <= within < steps_in_it == length * growth**cycle


def test_cycles_grow_and_shrink():
    """n_s 10, growth 2, shrink 1/2: the peaks 1, 1/2 and 1/4 stand at 10, 20 + 20 and 60 + 40, and it ends at 0."""
    eta = partial(triangular2, n_s=10, growth=2, shrink=0.5, eta_min=0.0, eta_max=1.0)
    assert [eta(t) for t in (0, 10, 20, 40, 60, 100, 140)] == pytest.approx([0, 1, 0, 0.5, 0, 0.25, 0])
    assert total(20, 3, 2) == 140


@given(steps, n_steps)
def test_equal_cycles_are_triangular(t, n_s):
    """Without growth and shrinking, triangular2 is triangular."""
    same = triangular2(t, n_s=n_s, growth=1, shrink=1.0, **BOUNDS)
    assert same == pytest.approx(triangular(t, n_s=n_s, **BOUNDS), abs=1e-9)


@pytest.mark.parametrize("anneal", [linear, cosine])
def test_annealing_goes_down_and_starts_again(anneal):
    """eta_max at the start of every cycle, half of it halfway, falling on the way; the second is twice as long."""
    eta = partial(anneal, length=100, growth=2, cycles=2, eta_min=0.0, eta_max=1.0)
    assert [eta(t) for t in (0, 50, 100, 200, 300)] == pytest.approx([1, 0.5, 1, 0.5, 0])
    down = [eta(t) for t in range(100)]
    assert down == sorted(down, reverse=True)
    assert 0 < down[-1] < 0.02


def test_a_cosine_is_flat_at_both_ends():
    """A quarter of the way down the cosine stands at (1 + cos 45 degrees) / 2, above the line."""
    assert cosine(25, length=100, growth=1, cycles=1, eta_min=0.0, eta_max=1.0) == pytest.approx((1 + 0.5**0.5) / 2)


def test_ramps():
    """From 1e-3 to 1e-1: halfway lies .0505 in equal steps and .01 in equal factors."""
    bounds = {"steps": 10, "eta_min": 1e-3, "eta_max": 1e-1}
    assert [ramp(t, log=False, **bounds) for t in (0, 5, 10)] == pytest.approx([1e-3, 0.0505, 1e-1])
    assert [ramp(t, log=True, **bounds) for t in (0, 5, 10)] == pytest.approx([1e-3, 0.01, 1e-1])
