"""Numbers at their edges: finite, and as stated; what is not finite is caught at once."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from cifarnet import network, schedule
from cifarnet.data import Split, dataset
from cifarnet.data.release import Batch
from cifarnet.errors import Diverged
from cifarnet.evaluation import confusion, outcomes, score, summary
from cifarnet.streams import stream
from cifarnet.training import Plan, State, train

ETA = partial(schedule.constant, eta=0.05)
PLAN = Plan((8, 6, 10), ETA, updates=12, cycle=12, per_cycle=4, batch_size=20, lam=0.01, shuffle=True, seed=5)


def trained(data, plan):
    state = State(network.initialise(plan.sizes, "xavier", stream(plan.seed, "init")))
    return state, list(train(state, data, data, plan))


def finite(state, records):
    scores = [value for r in records if r.train and r.validation for value in (*r.train, *r.validation)]
    return np.isfinite(state.theta).all() and np.isfinite(scores).all()


@pytest.mark.parametrize(
    "change",
    [
        {"batch_size": 1, "updates": 120, "cycle": 120},
        {"lam": 0.0},
        {"sizes": (8, 1, 10)},
        {"sizes": (8, 20_000, 10)},
        {"sizes": (8, 1, 1, 10)},
        {"batch_size": 60},
    ],
    ids=["batch size 1", "lambda 0", "m = 1", "20,000 nodes", "two layers of one node", "one batch"],
)
def test_the_edges_of_the_settings_train(toy, change):
    """Every score and parameter is finite, and the cost falls."""
    state, records = trained(toy, replace(PLAN, **change))
    assert finite(state, records)
    assert records[-1].train.cost < records[0].train.cost


def test_a_class_without_images(toy):
    """Training works; recall of that class, a share of nothing, is None, as is the precision of what is never said."""
    some = Split(toy.X[toy.y != 3], toy.y[toy.y != 3])
    state, records = trained(some, replace(PLAN, batch_size=18))
    assert finite(state, records)
    P, losses = outcomes(state.theta, PLAN.sizes, *some)
    told = summary(confusion(P.argmax(axis=1), some.y, 10), losses, tuple("abcdefghij"))
    assert told["per_class"]["d"]["recall"] is None
    assert told["per_class"]["d"]["n"] == 0
    assert math.isfinite(told["loss"])


def test_logits_of_1e4_in_a_whole_update(toy):
    """Logits of 1e4 and more: loss and gradient are finite in float32, the probabilities sum to 1."""
    theta = network.initialise(PLAN.sizes, "xavier", stream(1, "init"))
    X = 1e4 * toy.X
    logits = network.forward(theta, PLAN.sizes, X)[-1]
    assert np.abs(logits).max() > 1e4
    loss, gradient = network.loss_and_gradient(theta, PLAN.sizes, X, toy.y)
    assert math.isfinite(loss)
    assert np.isfinite(gradient).all()
    assert network.predict(theta, PLAN.sizes, X).sum(axis=1) == pytest.approx(1)
    assert math.isfinite(score(theta, PLAN.sizes, X, toy.y, 0.01).cost)


@pytest.mark.parametrize("normalize", ["standardize", "centre", "scale"])
def test_pixels_that_are_the_same_in_all_images(normalize):
    """A standard deviation of 0 counts as 1: the input is 0 everywhere, or with scale what it is."""
    pixels = np.full((10_000, 3072), 128, np.uint8)
    batch = Batch(np.zeros(10_000, np.uint8), pixels, b"", False)
    wanted = dataset.Data(train=(1,), validation=1000, normalize=normalize)
    train, _ = dataset.rows(wanted, [10_000])
    mean, std = dataset.statistics(wanted, [batch], train)
    assert (std == 1).all()
    X = dataset.gather([batch], train[:50], mean, std, np.float32).X
    assert pytest.approx(128 / 255 if normalize == "scale" else 0) == X


@pytest.mark.parametrize("poison", [np.nan, np.inf, 1e38])
def test_what_is_not_finite_is_caught_within_one_evaluation_interval(toy, poison):
    """A parameter that becomes NaN, infinite or huge after update 4: Diverged before the next measurement is over."""
    state = State(network.initialise(PLAN.sizes, "xavier", stream(5, "init")))
    records = train(state, toy, toy, PLAN)
    with pytest.raises(Diverged, match=r"after \d+ updates at eta"):
        for record in records:
            if record.step == 4:
                state.theta[:] = poison
    assert state.step <= 4 + PLAN.cycle // PLAN.per_cycle
