"""Learning rates by the assignment's and the papers' formulas, and where cycles begin and end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifarnet.nn.schedules import Constant, Cosine, Cyclic, Exponential, Linear, Ramp, StepDecay

steps, halves = st.integers(0, 100_000), st.integers(1, 5000)


@given(steps, halves)
def test_a_cycle_is_the_assignments_two_lines(t, n_s):
    schedule, cycle = Cyclic(n_s=n_s), t // (2 * n_s)
    if t <= (2 * cycle + 1) * n_s:
        expected = 1e-5 + (t - 2 * cycle * n_s) / n_s * (1e-1 - 1e-5)
    else:
        expected = 1e-1 - (t - (2 * cycle + 1) * n_s) / n_s * (1e-1 - 1e-5)
    assert schedule.eta(t, 100) == pytest.approx(expected, abs=1e-12)
    assert 1e-5 - 1e-15 <= schedule.eta(t, 100) <= 1e-1 + 1e-15


def test_the_ends_of_a_cycle_are_exact():
    assert [Cyclic(n_s=500).eta(t, 100) for t in (0, 500, 1000)] == [1e-5, 1e-1, 1e-5]
    assert Cyclic(n_s="1 epoch").eta(90, 90) == 1e-1
    assert Cyclic(n_s="2 epochs", cycles=3).updates(90) == 3 * 2 * 180


def test_decays_by_hand():
    step = StepDecay(kind="step", eta=1, factor=0.1, every=3)
    assert [step.eta(t, 2) for t in (0, 5, 6, 12)] == pytest.approx([1, 1, 0.1, 0.01])
    smooth = Exponential(kind="exponential", eta=1, factor=0.9)
    assert [smooth.eta(t, 10) for t in (20, 5)] == pytest.approx([0.81, 0.9**0.5])
    assert Constant(kind="constant", eta=0.3, epochs=2).eta(7, 10) == 0.3
    assert Constant(kind="constant", epochs=2).updates(10) == 20
    assert [schedule.measurements for schedule in (Cyclic(), Constant(kind="constant", epochs=2))] == [10, 2]


@given(steps, st.integers(1, 2500), st.integers(1, 4))
def test_a_step_is_in_the_cycle_that_covers_it(t, n_s, growth):
    schedule = Cyclic(n_s=n_s, cycle_growth=growth)
    cycle, within, length = schedule.place(t, 100)
    before = Cyclic(n_s=n_s, cycles=cycle, cycle_growth=growth).updates(100) if cycle else 0
    assert before + within == t
    assert 0 <= within < length == 2 * n_s * growth**cycle


def test_cycles_grow_and_shrink():
    """n_s 10, growth 2, shrink 1/2: peaks of 1, 1/2 and 1/4 at 10, 20 + 20 and 60 + 40, and it ends at 0."""
    schedule = Cyclic(n_s=10, cycles=3, cycle_growth=2, cycle_shrink=0.5, eta_min=1e-9, eta_max=1.0)
    found = [schedule.eta(t, 100) for t in (0, 10, 20, 40, 60, 100, 140)]
    assert found == pytest.approx([0, 1, 0, 0.5, 0, 0.25, 0], abs=1e-8)
    assert schedule.updates(100) == 140


@pytest.mark.parametrize("kind", [Linear, Cosine])
def test_annealing_goes_down_and_starts_again(kind):
    schedule = kind(kind=kind.__name__.lower(), epochs=10, cycles=2, cycle_growth=2, eta_min=1e-12, eta_max=1.0)
    eta = [schedule.eta(t, 10) for t in range(301)]
    assert [eta[t] for t in (0, 50, 100, 200, 300)] == pytest.approx([1, 0.5, 1, 0.5, 0], abs=1e-9)
    assert eta[:100] == sorted(eta[:100], reverse=True)
    assert 0 < eta[99] < 0.02
    quarter = {"Linear": 0.75, "Cosine": (1 + 0.5**0.5) / 2}[kind.__name__]
    assert eta[25] == pytest.approx(quarter)


def test_ramps_rise_in_equal_steps_or_factors():
    bounds = {"epochs": 1, "eta_min": 1e-3, "eta_max": 1e-1}
    assert Ramp(**bounds).measurements == 60
    assert [Ramp(**bounds).eta(t, 10) for t in (0, 5, 10)] == pytest.approx([1e-3, 0.0505, 1e-1])
    assert [Ramp(log=True, **bounds).eta(t, 10) for t in (0, 5, 10)] == pytest.approx([1e-3, 0.01, 1e-1])
