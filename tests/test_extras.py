"""What can be added to the loop: optimisers, dropout, jitter, other losses, averages and cycles that grow."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from cifarnet import network, objectives, optimisers
from cifarnet.data import Split
from cifarnet.errors import Diverged
from cifarnet.parallel import shared
from cifarnet.streams import stream
from cifarnet.training import State, mask, train, train_abreast
from tests.test_training import PLAN, slow_helpers


@pytest.fixture(autouse=True)
def often(monkeypatch):
    """Averages take a sample at every second update."""
    monkeypatch.setattr("cifarnet.training.plan.EVERY", 2)


def state(plan=PLAN):
    """The state before the first update, with room for what the plan remembers."""
    theta = network.initialise(plan.sizes, "he", stream(plan.seed, "init"))
    moments = np.zeros((plan.remembered, len(theta)), np.float32)
    average = np.zeros(bool(plan.average) * len(theta), np.float32)
    return State(theta, 0, moments, average, np.zeros(3 * plan.from_batches))


def trained(data, plan=PLAN):
    final = state(plan)
    records = list(train(final, data, data, plan))
    return final, records


EXTRAS = {
    "momentum": {"rule": partial(optimisers.momentum, beta=0.9, nesterov=False), "remembered": 1},
    "adam": {"rule": partial(optimisers.adam, beta1=0.9, beta2=0.999, epsilon=1e-8), "remembered": 2},
    "dropout": {"drop_input": 0.2, "drop_hidden": 0.3},
    "hinge": {"objective": objectives.HINGE, "losses": objectives.HINGE.losses},
    "smoothing": {"objective": objectives.smoothed(0.2)},
    "jitter": {"jitter": lambda X, rng: X.__iadd__(rng.standard_normal(X.shape, np.float32))},
    "average": {"average": 0.5},
    "growth": {"growth": 2, "cycle": 8},
}


def plan_with(name):
    return replace(PLAN, **EXTRAS[name], eta=lambda t: 0.01)


@pytest.mark.parametrize("name", EXTRAS)
def test_an_extra_resumed_from_any_step_ends_with_the_same_bytes(toy, name):
    """What a checkpoint holds after 7 updates is all that the others need; and the extra does change the network."""
    plan = plan_with(name)
    whole, first, second = trained(toy, plan)[0], state(plan), state(plan)
    list(train(first, toy, toy, replace(plan, updates=7)))
    second.restore(first.arrays())
    list(train(second, toy, toy, plan))
    assert whole.theta.tobytes() == second.theta.tobytes()
    plain = trained(toy, replace(PLAN, eta=lambda t: 0.01))[0]
    assert (whole.theta.tobytes() == plain.theta.tobytes()) == (name == "growth")


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", ["nothing", "batches", *EXTRAS])
def test_trainings_abreast_are_as_if_alone(toy, monkeypatch, name, threads):
    """With every extra and any number of threads: the same bytes and the same records."""
    monkeypatch.setattr("cifarnet.parallel.HANDOVER", 1)  # as many threads as are asked for
    plan = replace(PLAN, **EXTRAS.get(name, {}), train_cost="running_mean" if name == "batches" else "all")
    plans = [replace(plan, eta=lambda t, eta=eta: eta, lam=eta / 2) for eta in (0.01, 0.02, 0.005)]
    found = [state(plan) for plan in plans]
    records = list(zip(*train_abreast(found, toy, toy, plans, threads), strict=True))
    for plan, one, seen in zip(plans, found, records, strict=True):
        alone = state(plan)
        assert repr(list(seen)) == repr(list(train(alone, toy, toy, plan, threads)))
        assert one.theta.tobytes() == alone.theta.tobytes()


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("after", [1, 5])
def test_trainings_abreast_end_where_one_diverges(toy, monkeypatch, threads, after):
    """The others are as if alone up to there, and go on to the same end."""
    monkeypatch.setattr("cifarnet.parallel.HANDOVER", 1)
    plans = [PLAN, replace(PLAN, eta=lambda t: 1e30 if t >= after else 0.01), replace(PLAN, lam=0.1)]
    found = [state(plan) for plan in plans]
    *records, (first, second, third) = train_abreast(found, toy, toy, plans, threads)
    with pytest.raises(Diverged) as error:
        list(train(state(plans[1]), toy, toy, plans[1], threads))
    assert str(second) == str(error.value)
    assert first.step == third.step == len(records) > after
    list(train_abreast([found[0], found[2]], toy, toy, [plans[0], plans[2]], threads))
    for plan, one in zip(plans[::2], found[::2], strict=True):
        alone = state(plan)
        list(train(alone, toy, toy, plan, threads))
        assert one.theta.tobytes() == alone.theta.tobytes()


def test_trainings_abreast_end_where_one_begins_without_a_finite_cost(toy):
    """Before any update."""
    found = [state(PLAN), state(PLAN)]
    found[1].theta[0] = np.inf
    [(first, second)] = train_abreast(found, toy, toy, [PLAN, PLAN])
    assert first.step == 0
    assert "after 0 updates" in str(second)
    assert found[0].theta.tobytes() == state(PLAN).theta.tobytes()


def test_trainings_abreast_fetch_each_batch_once(toy, monkeypatch):
    """However many they are."""
    taken, take = [], np.take
    monkeypatch.setattr(np, "take", lambda *found, **rest: taken.append(1) or take(*found, **rest))
    list(train_abreast([state(PLAN) for _ in range(3)], toy, toy, [PLAN] * 3))
    assert len(taken) == PLAN.updates


def test_trainings_abreast_go_on_from_one_step(toy):
    """Or the first of them would set the pace."""
    ahead = state(PLAN)
    list(train(ahead, toy, toy, replace(PLAN, updates=3)))
    with pytest.raises(ValueError, match="the same step"):
        list(train_abreast([ahead, state(PLAN)], toy, toy, [PLAN, PLAN]))


@pytest.mark.parametrize("name", EXTRAS)
def test_extras_on_two_threads_agree_with_one(name):
    """A first layer large enough to be shared: the same to rounding, whoever owns which slice."""
    rng = np.random.default_rng(0)
    data = Split(rng.standard_normal((80, 1000)).astype(np.float32), np.arange(80) % 10)
    thetas = []
    for threads in (1, 2):
        plan = replace(plan_with(name), sizes=(1000, 300, 10), batch_size=40, eta=lambda t: 1e-3, updates=6)
        assert len(shared(threads, plan.sizes, plan.batch_size)) == threads
        start = state(plan)
        list(train(start, data, data, plan, threads))
        thetas.append(start.theta)
    np.testing.assert_allclose(*thetas, rtol=0, atol=1e-5 if name != "adam" else 2e-3)


def test_altered_batches_stay_as_they_are_while_they_are_used(monkeypatch):
    """With a helper that is always late, the same bytes: no batch is written over before its last product."""
    rng = np.random.default_rng(0)
    data = Split(rng.standard_normal((400, 1000)).astype(np.float32), np.arange(400) % 10)
    plan = replace(plan_with("dropout"), sizes=(1000, 300, 10), batch_size=40, eta=lambda t: 1e-3, updates=20)
    assert plan.drop_input
    thetas = []
    for late in (False, True):
        if late:
            slow_helpers(monkeypatch)
        start = state(plan)
        list(train(start, data, data, plan, 2))
        thetas.append(start.theta)
    assert np.array_equal(*thetas)


def test_momentum_decays_the_weights_through_its_velocity(toy):
    """With beta 0 momentum is plain SGD on J, its L2 term included, to rounding."""
    rule = partial(optimisers.momentum, beta=0.0, nesterov=False)
    plan = replace(PLAN, rule=rule, remembered=1, lam=0.1)
    both = [trained(toy, p)[0].theta for p in (plan, replace(PLAN, lam=0.1))]
    np.testing.assert_allclose(*both, rtol=0, atol=1e-5)


def test_cycles_that_grow_are_measured_and_end_where_they_should(toy):
    """Cycles of 8, 16 and 32 updates, four points in each, numbered 1 to 3."""
    plan = replace(PLAN, cycle=8, growth=2, per_cycle=4, updates=56)
    _, records = trained(toy, plan)
    assert [r.step for r in records if r.train] == [0, 2, 4, 6, 8, 12, 16, 20, 24, 32, 40, 48, 56]
    assert [r.step for r in records if plan.ends_cycle(r.step)] == [8, 24, 56]
    assert {r.step: r.cycle for r in records if plan.ends_cycle(r.step)} == {8: 1, 24: 2, 56: 3}


def test_a_cycle_ends_with_the_mean_of_its_samples(toy):
    """Half of a cycle of 12, every second update: theta after 8, 10 and 12 updates, and again in the next cycle."""
    plan = plan_with("average")
    start = state(plan)
    assert [(t, plan.sample(t)) for t in range(25) if plan.sample(t)] == [
        (8, 1), (10, 2), (12, 3), (20, 1), (22, 2), (24, 3),
    ]  # fmt: skip
    thetas = {r.step: start.theta.copy() for r in train(start, toy, toy, replace(plan, updates=12))}
    last, _ = trained(toy, replace(plan, updates=12, average=0.0))
    np.testing.assert_allclose(thetas[12], (thetas[8] + thetas[10] + last.theta) / 3, rtol=0, atol=1e-6)


def test_dropped_values_are_made_good_for():
    """A quarter is 0, the rest 4/3, so that the mean stays 1."""
    values = mask((1000, 300), 0.25, stream(1, "dropout", 3))
    assert set(np.unique(values)) == {np.float32(0), np.float32(4 / 3)}
    assert values.mean() == pytest.approx(1, abs=0.01)
