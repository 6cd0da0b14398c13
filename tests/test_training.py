"""The loop: what it updates, what it measures, in which order it takes the images, and when it stops."""

import math
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifarnet import network, parallel, products
from cifarnet.data import Split
from cifarnet.errors import Diverged
from cifarnet.evaluation import score
from cifarnet.streams import stream
from cifarnet.training import Plan, State, batches, train

PLAN = Plan(
    sizes=(8, 6, 10),
    eta=lambda t: 0.1,
    updates=24,
    cycle=12,
    per_cycle=3,
    batch_size=20,
    lam=0.01,
    shuffle=True,
    seed=5,
)


def state(plan=PLAN, dtype=np.float32):
    return State(network.initialise(plan.sizes, "he", stream(plan.seed, "init"), dtype))


def trained(data, plan=PLAN, dtype=np.float32, threads=1):
    final = state(plan, dtype)
    records = list(train(final, data, data, plan, threads))
    return final, records


@pytest.fixture
def split(monkeypatch):
    """However small the network, as many threads share an update as are asked for."""
    monkeypatch.setattr(parallel, "HANDOVER", 1)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_updates_agree_with_an_independent_implementation(toy, split, threads):
    """200 updates in float64 against theta - eta * gradient of J, written anew with autodiff-free matrices, to 1e-9."""
    data = Split(toy.X.astype(float), toy.y)
    plan = replace(PLAN, updates=200, eta=lambda t: 0.01 + 0.001 * (t % 7), shuffle=False)
    final, _ = trained(data, plan, np.float64, threads)
    W1, W2 = (W.copy() for W in network.views(state(plan, np.float64).theta, plan.sizes)[0])
    b1, b2 = np.zeros(6), np.zeros(10)
    for t in range(200):
        chosen = slice(20 * (t % 3), 20 * (t % 3) + 20)
        X, Y, eta = data.X[chosen].T, np.eye(10)[data.y[chosen]].T, plan.eta(t)  # as the course writes them
        H = np.maximum(W1.T @ X + b1[:, None], 0)
        E = np.exp(W2.T @ H + b2[:, None])
        G = E / E.sum(axis=0) - Y
        G1 = (W2 @ G) * (H > 0)
        steps = [G1 @ X.T / 20 + 2 * plan.lam * W1.T, G @ H.T / 20 + 2 * plan.lam * W2.T]
        W1, W2 = W1 - eta * steps[0].T, W2 - eta * steps[1].T
        b1, b2 = b1 - eta * G1.mean(axis=1), b2 - eta * G.mean(axis=1)
    np.testing.assert_allclose(final.theta, np.concatenate([W1.ravel(), W2.ravel(), b1, b2]), rtol=0, atol=1e-9)


def test_records_are_measured_before_during_and_after(toy):
    """Three points a cycle of 12, the first before any update, the last after all; a record for every update."""
    final, records = trained(toy)
    assert [r.step for r in records] == list(range(25))
    assert [r.step for r in records if r.train] == [0, 4, 8, 12, 16, 20, 24]
    assert [r.cycle for r in records if r.train] == [1, 1, 1, 1, 2, 2, 2]
    assert records[-1].epoch == 8
    assert records[-1].train == score(final.theta, PLAN.sizes, *toy, PLAN.lam)


@pytest.mark.parametrize("sizes", [(8, 10), (8, 6, 10), (8, 5, 4, 10)])
@pytest.mark.parametrize("threads", [2, 4])
def test_threads_change_nothing_but_the_last_bits(toy, split, sizes, threads):
    """One, two and three layers: theta and all records to 1e-12 in float64; twice the same bytes in float32."""
    data, plan = Split(toy.X.astype(float), toy.y), replace(PLAN, sizes=sizes)
    (one, alone), (several, shared) = (trained(data, plan, np.float64, count) for count in (1, threads))
    np.testing.assert_allclose(several.theta, one.theta, rtol=0, atol=1e-12)
    for a, b in zip(alone, shared, strict=True):
        np.testing.assert_allclose(list(a.row().values()), list(b.row().values()), rtol=1e-12)
    first, second = (trained(toy, plan, threads=threads)[0].theta.tobytes() for _ in range(2))
    assert first == second


def slow_helpers(monkeypatch):
    backward = parallel.Share.backward

    def late(share, *arguments):
        if share.tiles[0] == 0:
            time.sleep(0.02)
        backward(share, *arguments)

    monkeypatch.setattr(parallel.Share, "backward", late)


def test_theta_is_settled_at_every_score_and_after_close(toy, split, monkeypatch):
    """With a helper that lags behind, theta as found at scores, and after leaving at any step, is that of the step."""
    after = {k: trained(toy, replace(PLAN, updates=k), threads=2)[0].theta for k in range(1, 7)}
    slow_helpers(monkeypatch)
    for k, theta in after.items():
        left = state()
        records = train(left, toy, toy, PLAN, 2)
        record = next(r for r in records if r.step == k)
        assert not record.train or np.array_equal(left.theta, theta)
        records.close()
        assert np.array_equal(left.theta, theta)


@pytest.mark.parametrize("how", ["ends", "is closed", "diverges"])
def test_threads_end_with_the_training(toy, split, how):
    """No thread is left behind, whatever ends the generator."""
    before = threading.active_count()
    records = train(state(), toy, toy, replace(PLAN, eta=lambda t: 1e30 if how == "diverges" else 0.1), 4)
    next(records), next(records)
    assert threading.active_count() == before + 3
    if how == "is closed":
        records.close()
    elif how == "ends":
        list(records)
    else:
        with pytest.raises(Diverged):
            list(records)
    assert threading.active_count() == before


def test_threads_end_before_the_interpreter_does():
    """A training that is left open at the exit keeps no thread in the BLAS, which would hang or crash there."""
    script = """if True:
        import atexit, threading
        atexit.register(lambda: print(threading.active_count()))  # the first to be registered is the last to be called
        from test_training import PLAN, parallel, state, train
        from cifarnet.data import Split
        import numpy as np
        parallel.HANDOVER = 1.0
        toy = Split(np.ones((60, 8), np.float32), np.zeros(60, int))
        records = train(state(), toy, toy, PLAN, 4)
        next(records), next(records)
        assert threading.active_count() == 4
    """
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    assert done.stdout == "1\n", done.stderr


@pytest.mark.parametrize("method", ["gather", "multiply", "backward"])
def test_an_error_in_a_thread_surfaces(toy, split, monkeypatch, method):
    """Whatever fails in a helper ends the training with that error, and no thread is left behind."""
    before, original = threading.active_count(), getattr(parallel.Share, method)

    def failing(share, *arguments):
        if share.tiles[0] == 1:
            raise MemoryError("no room")
        original(share, *arguments)

    monkeypatch.setattr(parallel.Share, method, failing)
    with pytest.raises(MemoryError, match="no room"):
        trained(toy, threads=4)
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("threads", "sizes", "batch_size", "shares"),
    [
        (2, (3072, 50, 10), 100, [range(8), range(8, 16)]),
        (64, (3072, 50, 10), 100, [range(5), range(5, 10), range(10, 16)]),
        (2, (3072, 1000, 10), 100, [range(1), range(1, 2)]),
        (7, (3072, 50, 10), 10**6, [range(i, i + 1) for i in range(6)]),
        (2, (8, 6, 10), 20, [range(1)]),
    ],
)
def test_threads_have_equal_shares_and_enough_to_do(threads, sizes, batch_size, shares):
    """No more than are asked for, all tiles of the inputs, and not so many that handing over costs more."""
    assert parallel.shared(threads, sizes, batch_size) == shares


def test_tiles_make_the_threads_a_matter_of_speed(split):
    """Where the first layer is multiplied in tiles, their sum has one order: the same bytes with any number of threads.

    They agree with whole products, to rounding.
    """
    rng = np.random.default_rng(0)
    data = Split(rng.standard_normal((60, 768)).astype(np.float32), np.arange(60) % 10)
    plan = replace(PLAN, sizes=(768, 70, 10), batch_size=60, eta=lambda t: 0.01)
    thetas = [trained(data, plan, threads=threads)[0].theta for threads in (1, 2, 3)]
    assert [len(parallel.shared(threads, plan.sizes, 60)) for threads in (1, 2, 3)] == [1, 2, 3]
    assert len({theta.tobytes() for theta in thetas}) == 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "SMALL", 0)
        whole, _ = trained(data, plan)
    np.testing.assert_allclose(thetas[0], whole.theta, rtol=0, atol=1e-5)
    assert thetas[0].tobytes() != whole.theta.tobytes()


@given(cycle=st.integers(1, 400), per_cycle=st.integers(1, 50), cycles=st.integers(1, 4))
def test_a_cycle_has_as_many_measurements_as_asked_for(cycle, per_cycle, cycles):
    """Evenly spaced, at most one a step, and every cycle's end is one of them."""
    plan = replace(PLAN, cycle=cycle, per_cycle=per_cycle, updates=cycle * cycles)
    measured = [t for t in range(plan.updates + 1) if plan.measured(t)]
    assert len(measured) == 1 + cycles * min(per_cycle, cycle)
    assert {0, *range(0, plan.updates + 1, cycle)} <= set(measured)


@given(n=st.integers(1, 300), batch_size=st.integers(1, 300), epoch=st.integers(0, 3), shuffle=st.booleans())
def test_the_batches_of_an_epoch_are_disjoint_and_drop_the_remainder(n, batch_size, epoch, shuffle):
    """floor(n / batch_size) batches of distinct images; with a batch size that divides n, a partition."""
    plan = replace(PLAN, batch_size=min(n, batch_size), shuffle=shuffle)
    per_epoch = n // plan.batch_size
    drawn = [i for b in batches(n, plan, epoch * per_epoch) for i in b]
    assert len(drawn) == len(set(drawn)) == per_epoch * plan.batch_size
    assert set(drawn) <= set(range(n))
    assert shuffle or drawn == list(range(len(drawn)))


def test_an_epoch_can_be_entered_anywhere(toy):
    """From update 4 on, the batches are those that an epoch begun at update 3 goes on with."""
    whole, rest = list(batches(60, PLAN, 3)), list(batches(60, PLAN, 4))
    assert len(whole) == 3
    assert np.array_equal(whole[1:], rest)


def test_the_same_seed_gives_the_same_bytes(toy):
    """Twice the same theta; another seed, another one."""
    first, second = trained(toy)[0], trained(toy)[0]
    assert first.theta.tobytes() == second.theta.tobytes()
    assert trained(toy, replace(PLAN, seed=6))[0].theta.tobytes() != first.theta.tobytes()


def test_20_images_are_learnt_by_heart(toy):
    """300 updates on 20 images, lambda 0: loss below .02, all right."""
    few = Split(toy.X[:20], toy.y[:20])
    _, records = trained(few, replace(PLAN, updates=300, cycle=300, lam=0.0, eta=lambda t: 0.5))
    assert records[-1].train.loss < 0.02
    assert records[-1].train.accuracy == 1


def test_a_larger_lambda_shrinks_the_weights(toy):
    """The norm of the weights after training falls with lambda."""
    norms = [np.linalg.norm(trained(toy, replace(PLAN, updates=240, lam=lam))[0].theta[:108]) for lam in (0, 0.01, 0.1)]
    assert norms[0] > norms[1] > norms[2]


def test_a_training_that_diverges_says_where(toy):
    """An absurd eta ends in Diverged with the step, eta and a hint, and without a warning."""
    with pytest.raises(Diverged, match=r"after \d+ updates at eta 1e\+30; lower eta"):
        trained(toy, replace(PLAN, eta=lambda t: 1e30))


def test_a_row_has_the_columns_of_metrics_csv(toy):
    """Every score of both splits by its name; what was not measured is NaN."""
    _, records = trained(toy)
    row = records[0].row()
    assert list(row)[:4] == ["step", "epoch", "cycle", "eta"]
    assert list(row)[4:7] == ["train_cost", "train_loss", "train_accuracy"]
    assert row["train_cost"] == pytest.approx(
        row["train_loss"] + float(network.penalty(state().theta, PLAN.sizes, 0.01))
    )
    assert math.isnan(records[1].row()["validation_accuracy"])


def test_training_scores_can_be_left_out(toy):
    """The same updates and validation scores; no training scores; a cost that is not finite is found all the same."""
    whole, records = trained(toy)
    final, fewer = trained(toy, replace(PLAN, train_scores=False))
    assert final.theta.tobytes() == whole.theta.tobytes()
    assert [point._replace(train=None) for point in records[1:]] == fewer[1:]
    with pytest.raises(Diverged, match=r"diverged: the (cost|loss of a batch) is"):
        trained(toy, replace(PLAN, train_scores=False, eta=lambda t: 1e30))
