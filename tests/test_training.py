"""The loop: what it updates and measures, in which order it takes the images, how it stops; and the measurements."""

import math
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from cifarnet import training
from cifarnet.config import Settings
from cifarnet.data import Split
from cifarnet.errors import Diverged
from cifarnet.nn import network
from cifarnet.nn.losses import L2, CrossEntropy
from cifarnet.training import State, parallel, score, tiles, train, train_lockstep
from cifarnet.training.batches import rows_of_batches
from cifarnet.training.timetable import Timetable
from tests.common import alike, in_float64, python

SIZES = (8, 6, 10)


def settings(schedule=None, per_cycle=3, train_cost="all", hidden=(6,), seed=5, **changes):
    """24 updates of 20 images in 2 cycles of 12, eta between .05 and .1, unless changed."""
    schedule = {"kind": "cyclic", "n_s": 6, "cycles": 2, "eta_min": 0.05, "eta_max": 0.1} | (schedule or {})
    return Settings.model_validate(
        {
            "seed": seed,
            "data": {"dims": 8, "limit": 60},
            "network": {"hidden": hidden, "init": "he"},
            "training": {"batch_size": 20, "lambda": 0.01, "schedule": schedule} | changes,
            "evaluation": {"per_cycle": per_cycle, "train_cost": train_cost},
        }
    )


def constant(eta, updates=24):
    """A schedule of one cycle with the same eta throughout; 3 updates are an epoch."""
    return {"kind": "cyclic", "n_s": updates // 2, "cycles": 1, "eta_min": eta, "eta_max": eta}


EXTRAS = {  # what can be added to the loop
    "momentum": {"optimizer": {"kind": "momentum"}},
    "adam": {"optimizer": {"kind": "adam"}},
    "dropout": {"dropout": {"input": 0.2, "hidden": 0.3}},
    "hinge": {"loss": "hinge"},
    "smoothing": {"label_smoothing": 0.2},
    "noise": {"augmentation": {"noise": 0.5}},
    "average": {"average": 0.5},
    "growth": {"schedule": {"n_s": 4, "cycle_growth": 2}},
}


@pytest.fixture
def often(monkeypatch):
    """Averages take a sample at every second update."""
    monkeypatch.setattr("cifarnet.training.timetable.UPDATES_PER_SAMPLE", 2)


def extra(name, **changes):
    return settings(**EXTRAS.get(name, {}) | changes)


def trained(dataset, chosen=None, dtype=np.float32, threads=1, **options):
    chosen = chosen or settings()
    state = State.initial(chosen, (dataset.train.X.shape[1], *chosen.network.hidden, 10), dtype)
    return state, list(train(state, dataset, chosen, threads, **options))


@pytest.fixture
def split_small(monkeypatch):
    """However small the network, as many threads share an update as are asked for."""
    monkeypatch.setattr(parallel, "HANDOVER", 1)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_updates_agree_with_an_independent_implementation(dataset, split_small, threads):
    """60 updates in float64 against theta - eta * gradient of J, written anew in the course's layout, to 1e-9."""
    data, chosen = alike(in_float64(dataset.train)), settings(constant(0.02, 60), shuffle=False)
    final, _ = trained(data, chosen, np.float64, threads)
    start = State.initial(chosen, SIZES, np.float64)
    W1, W2 = (W.copy() for W in network.views(start.theta, SIZES)[0])
    b1, b2 = np.zeros(6), np.zeros(10)
    for t in range(60):
        rows = slice(20 * (t % 3), 20 * (t % 3) + 20)
        X, Y = data.train.X[rows].T, np.eye(10)[data.train.y[rows]].T
        H = np.maximum(W1.T @ X + b1[:, None], 0)
        E = np.exp(W2.T @ H + b2[:, None])
        G = E / E.sum(axis=0) - Y
        G1 = (W2 @ G) * (H > 0)
        g1, g2 = G1 @ X.T / 20 + 2 * 0.01 * W1.T, G @ H.T / 20 + 2 * 0.01 * W2.T
        W1, W2 = W1 - 0.02 * g1.T, W2 - 0.02 * g2.T
        b1, b2 = b1 - 0.02 * G1.mean(axis=1), b2 - 0.02 * G.mean(axis=1)
    np.testing.assert_allclose(final.theta, np.concatenate([W1.ravel(), W2.ravel(), b1, b2]), rtol=0, atol=1e-9)


def test_records_are_measured_before_during_and_after(dataset):
    final, records = trained(dataset)
    assert [r.step for r in records] == list(range(25))
    assert [r.step for r in records if r.train] == [0, 4, 8, 12, 16, 20, 24]
    assert [r.cycle for r in records if r.train] == [1, 1, 1, 1, 2, 2, 2]
    assert records[-1].epoch == 8
    assert records[-1].train == score(final.theta, SIZES, dataset.train, CrossEntropy(), L2(0.01))


@pytest.mark.parametrize(
    ("threads", "name", "hidden"),
    [(2, "", ()), (4, "", (5, 4)), *((2, name, (6,)) for name in EXTRAS), (4, "dropout", (5, 4))],
)
def test_threads_change_nothing_but_the_last_bits(dataset, often, split_small, threads, name, hidden):
    data, chosen = alike(in_float64(dataset.train)), extra(name, hidden=hidden)
    (one, alone), (several, shared) = (trained(data, chosen, np.float64, count) for count in (1, threads))
    np.testing.assert_allclose(several.theta, one.theta, rtol=0, atol=1e-12)
    for a, b in zip(alone, shared, strict=True):
        np.testing.assert_allclose(list(a.row().values()), list(b.row().values()), rtol=1e-12)
    first, second = (trained(dataset, chosen, threads=threads)[0].theta.tobytes() for _ in range(2))
    assert first == second


def slow_workers(monkeypatch):
    backward = parallel.Shard.backward

    def late(shard, *arguments):
        if shard.tiles[0] == 0:
            time.sleep(0.02)
        backward(shard, *arguments)

    monkeypatch.setattr(parallel.Shard, "backward", late)


def test_theta_is_complete_at_every_score_and_after_close(dataset, split_small, monkeypatch):
    """With a worker that lags behind, theta at scores, and after leaving at any step, is that of the step."""
    after = {}
    for k in range(1, 7):
        state = State.initial(settings(), SIZES)
        records = train(state, dataset, settings())
        next(r for r in records if r.step == k)
        after[k] = state.theta.copy()
        records.close()
    slow_workers(monkeypatch)
    for k, theta in after.items():
        state = State.initial(settings(), SIZES)
        records = train(state, dataset, settings(), 2)
        record = next(r for r in records if r.step == k)
        if record.train:
            np.testing.assert_allclose(state.theta, theta, rtol=0, atol=1e-6)
        records.close()
        np.testing.assert_allclose(state.theta, theta, rtol=0, atol=1e-6)


@pytest.mark.parametrize("how", ["ends", "is closed", "diverges", "gather", "multiply", "backward"])
def test_threads_end_with_the_training(dataset, split_small, monkeypatch, how):
    """Also where one of them raises an error in a part of its work, which surfaces."""
    work = getattr(parallel.Shard, how, None)

    def failing(shard, *arguments):
        if shard.tiles[0] == 1:
            raise MemoryError("no room")
        work(shard, *arguments)

    before, chosen = threading.active_count(), settings(constant(1e30 if how == "diverges" else 0.1))
    records = train(State.initial(chosen, SIZES), dataset, chosen, 4)
    next(records), next(records)
    assert threading.active_count() == before + 3
    if how == "is closed":
        records.close()
    elif how == "ends":
        list(records)
    elif how == "diverges":
        with pytest.raises(Diverged, match=r"after \d+ updates at eta 1e\+30; lower eta"):
            list(records)
    else:
        monkeypatch.setattr(parallel.Shard, how, failing)
        with pytest.raises(MemoryError, match="no room"):
            list(records)
    assert threading.active_count() == before


LEFT = """
import atexit, threading
atexit.register(lambda: print(threading.active_count()))  # the first to be registered is the last to be called
import numpy as np
from tests.test_training import SIZES, Split, State, alike, parallel, settings, train
parallel.HANDOVER = 1.0
toy = Split(np.ones((60, 8), np.float32), np.zeros(60, int))
records = train(State.initial(settings(), SIZES), alike(toy), settings(), 4)
next(records), next(records)
assert threading.active_count() == 4
"""


def test_threads_end_before_the_interpreter_does():
    """A training that is left open at the exit keeps no thread in the BLAS, which would hang or crash there."""
    assert python("-c", LEFT) == ("1\n", "")


@pytest.mark.parametrize(
    ("threads", "sizes", "batch_size", "expected"),
    [
        (2, (3072, 50, 10), 100, [range(8), range(8, 16)]),
        (64, (3072, 50, 10), 100, [range(5), range(5, 10), range(10, 16)]),
        (2, (3072, 1000, 10), 100, [range(1), range(1, 2)]),
        (7, (3072, 50, 10), 10**6, [range(i, i + 1) for i in range(6)]),
        (2, (8, 6, 10), 20, [range(1)]),
    ],
)
def test_shards_are_equal_and_large_enough(threads, sizes, batch_size, expected):
    assert parallel.shards(threads, sizes, batch_size) == expected


def test_tiles_give_the_same_bytes_on_any_number_of_threads(split_small, monkeypatch):
    rng = np.random.default_rng(0)
    split = Split(rng.standard_normal((60, 768)).astype(np.float32), np.arange(60) % 10)
    data, chosen = alike(split), settings(constant(0.01, 6), hidden=(70,), batch_size=60)
    thetas = [trained(data, chosen, threads=threads)[0].theta for threads in (1, 2, 3)]
    assert [len(parallel.shards(threads, (768, 70, 10), 60)) for threads in (1, 2, 3)] == [1, 2, 3]
    assert len({theta.tobytes() for theta in thetas}) == 1
    monkeypatch.setattr(tiles, "SMALL", 0)
    untiled, _ = trained(data, chosen)
    np.testing.assert_allclose(thetas[0], untiled.theta, rtol=0, atol=1e-5)
    assert thetas[0].tobytes() != untiled.theta.tobytes()


@given(n_s=st.integers(1, 200), per_cycle=st.integers(1, 50), cycles=st.integers(1, 4))
def test_a_cycle_has_as_many_measurements_as_asked_for(n_s, per_cycle, cycles):
    timetable = Timetable(settings({"n_s": n_s, "cycles": cycles}, per_cycle), 3)
    measured = [t for t in range(timetable.updates + 1) if timetable.measured(t)]
    assert len(measured) == 1 + cycles * min(per_cycle, 2 * n_s)
    assert {0, *range(0, timetable.updates + 1, 2 * n_s)} <= set(measured)


@given(n=st.integers(1, 300), batch_size=st.integers(1, 60), epoch=st.integers(0, 3), shuffle=st.booleans())
def test_the_batches_of_an_epoch_are_disjoint_and_drop_the_remainder(n, batch_size, epoch, shuffle):
    chosen = settings(batch_size=min(n, batch_size), shuffle=shuffle)
    per_epoch = n // chosen.training.batch_size
    drawn = [i for b in rows_of_batches(n, chosen, epoch * per_epoch, (epoch + 1) * per_epoch) for i in b]
    assert len(drawn) == len(set(drawn)) == per_epoch * chosen.training.batch_size
    assert set(drawn) <= set(range(n))
    assert shuffle or drawn == list(range(len(drawn)))


def test_every_epoch_has_an_order_of_its_own_and_can_be_entered_anywhere():
    rows = list(rows_of_batches(60, settings(), 0, 9))
    epochs = [np.concatenate(rows[i : i + 3]).tolist() for i in (0, 3, 6)]
    assert all(sorted(epoch) == list(range(60)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in [list(range(60)), *epochs]}) == 4
    assert np.array_equal(rows[4:], list(rows_of_batches(60, settings(), 4, 9)))


def test_20_images_are_learnt_by_heart(dataset):
    few = Split(dataset.train.X[:20], dataset.train.y[:20])
    _, records = trained(alike(few), settings(constant(0.5, 300), **{"lambda": 0.0}))
    assert records[-1].train.loss < 0.02
    assert records[-1].train.accuracy == 1


def test_a_row_has_the_columns_of_metrics_csv(dataset):
    final, records = trained(dataset)
    row = records[-1].row()
    assert list(row)[:7] == ["step", "epoch", "cycle", "eta", "train_cost", "train_loss", "train_accuracy"]
    assert row["train_cost"] == pytest.approx(row["train_loss"] + 0.01 * float((final.theta[:108] ** 2).sum()))
    assert math.isnan(records[1].row()["validation_accuracy"])


def test_training_scores_can_be_left_out(dataset):
    final, records = trained(dataset)
    same, fewer = trained(dataset, train_scores=False)
    assert same.theta.tobytes() == final.theta.tobytes()
    assert [point._replace(train=None) for point in records[1:]] == fewer[1:]
    with pytest.raises(Diverged, match=r"diverged: the (cost|loss of a batch) is"):
        trained(dataset, settings(constant(1e30)), train_scores=False)


def test_costs_recorded_from_batches_are_their_running_mean(dataset):
    """The recorded loss after 4 updates is the mean of the four batch losses; the first one starts a moving average."""
    _, records = trained(dataset, settings(train_cost="running_mean"))
    assert records[4].train.loss == pytest.approx(np.mean([r.batch_loss for r in records[1:5]]))
    _, records = trained(dataset, settings(train_cost="running_mean", per_cycle=12))
    weights = State.initial(settings(), SIZES).theta[:108]
    assert records[1].train.cost - records[1].train.loss == pytest.approx(0.01 * float(weights @ weights))
    _, records = trained(dataset, settings(train_cost="moving_average"))
    expected = records[1].batch_loss
    for r in records[2:5]:
        expected = 0.99 * expected + 0.01 * r.batch_loss
    assert records[4].train.loss == pytest.approx(expected)


@pytest.mark.parametrize("name", EXTRAS)
def test_an_extra_resumed_from_any_step_ends_with_the_same_bytes(dataset, often, name):
    final, _ = trained(dataset, extra(name))
    left, resumed = State.initial(extra(name), SIZES), State.initial(extra(name), SIZES)
    records = train(left, dataset, extra(name))
    next(r for r in records if r.step == 7)
    records.close()
    resumed.restore(left.arrays())
    list(train(resumed, dataset, extra(name)))
    assert final.theta.tobytes() == resumed.theta.tobytes()
    assert final.theta.tobytes() != trained(dataset)[0].theta.tobytes()


@pytest.mark.parametrize(
    ("name", "threads"),
    [*((name, 1) for name in ("nothing", "batches", *EXTRAS)), ("nothing", 3), ("dropout", 3), ("average", 3)],
)
def test_trainings_in_lockstep_are_as_if_alone(dataset, often, split_small, name, threads):
    cost = {"train_cost": "running_mean"} if name == "batches" else {}
    group = [
        extra(name, **cost, **{"lambda": lam, "schedule": EXTRAS.get(name, {}).get("schedule", {}) | {"eta_max": eta}})
        for eta, lam in ((0.06, 0.01), (0.07, 0.02), (0.08, 0.0))
    ]
    states = [State.initial(s, SIZES) for s in group]
    records = list(zip(*train_lockstep(states, dataset, group, threads), strict=True))
    for chosen, state, seen in zip(group, states, records, strict=True):
        alone, found = trained(dataset, chosen, threads=threads)
        assert repr(list(seen)) == repr(found)
        assert state.theta.tobytes() == alone.theta.tobytes()
    assert len({training.lockstep_key(s) for s in group}) == 1


@pytest.mark.parametrize("threads", [1, 3])
def test_where_one_in_lockstep_diverges_the_others_go_on(dataset, split_small, threads):
    group = [settings(), settings({"eta_max": 1e30}), settings(**{"lambda": 0.1})]
    states = [State.initial(s, SIZES) for s in group]
    points = list(train_lockstep(states, dataset, group, threads))
    first, second, third = zip(*points, strict=True)
    with pytest.raises(Diverged) as error:
        trained(dataset, group[1], threads=threads)
    assert {str(point) for point in second if isinstance(point, Diverged)} == {str(error.value), str(second[-1])}
    for chosen, state, seen in ((group[0], states[0], first), (group[2], states[2], third)):
        alone, found = trained(dataset, chosen, threads=threads)
        assert repr(list(seen)) == repr(found)
        assert state.theta.tobytes() == alone.theta.tobytes()


def test_a_network_without_a_finite_cost_is_left_out_from_the_start(dataset):
    states = [State.initial(settings(), SIZES) for _ in range(2)]
    states[1].theta[0] = np.inf
    points = list(train_lockstep(states, dataset, [settings()] * 2))
    assert "after 0 updates" in str(points[0][1])
    assert points[-1][0].step == 24
    assert states[0].theta.tobytes() == trained(dataset)[0].theta.tobytes()


def test_lockstep_gathers_each_batch_once(dataset, monkeypatch):
    taken, take = [], np.take
    monkeypatch.setattr(np, "take", lambda *found, **rest: taken.append(1) or take(*found, **rest))
    list(train_lockstep([State.initial(settings(), SIZES) for _ in range(3)], dataset, [settings()] * 3))
    assert len(taken) == 24


def test_changed_batches_stay_as_they_are_while_they_are_used(dataset, split_small, monkeypatch):
    """With a worker that is always late, the same bytes: no batch is written over before its last product."""
    prompt, _ = trained(dataset, extra("dropout"), threads=2)
    slow_workers(monkeypatch)
    late, _ = trained(dataset, extra("dropout"), threads=2)
    assert np.array_equal(prompt.theta, late.theta)


def test_growing_cycles_are_measured_and_end_where_they_should(dataset):
    """Cycles of 8, 16 and 32 updates, four points in each, numbered 1 to 3."""
    chosen = settings({"n_s": 4, "cycles": 3, "cycle_growth": 2}, per_cycle=4)
    _, records = trained(dataset, chosen)
    assert [r.step for r in records if r.train] == [0, 2, 4, 6, 8, 12, 16, 20, 24, 32, 40, 48, 56]
    timetable = training.Timetable(chosen, chosen.steps_per_epoch)
    ends = {r.step: r.cycle for r in records if timetable.ends_cycle(r.step)}
    assert ends == {8: 1, 24: 2, 56: 3}


def test_a_cycle_ends_with_the_mean_of_its_samples(dataset, often):
    """Half of a cycle of 12, every second update: theta after 8, 10 and 12 updates, and again in the next cycle."""
    chosen, timetable = settings({"cycles": 1}, average=0.5), Timetable(extra("average"), 3)
    samples = {t: timetable.sample(t) for t in range(25) if timetable.sample(t)}
    assert samples == {8: 1, 10: 2, 12: 3, 20: 1, 22: 2, 24: 3}
    state = State.initial(chosen, SIZES)
    thetas = {r.step: state.theta.copy() for r in train(state, dataset, chosen)}
    last, _ = trained(dataset, settings({"cycles": 1}))
    np.testing.assert_allclose(thetas[12], (thetas[8] + thetas[10] + last.theta) / 3, rtol=0, atol=1e-6)


# Measurements


@pytest.mark.parametrize("n", [1, 499, 500, 501, 1234])
def test_neither_blocks_nor_threads_change_a_score(n):
    rng = np.random.default_rng(n)
    split = Split(rng.standard_normal((n, 8)), rng.integers(0, 10, n))
    theta = State.initial(settings(), SIZES, np.float64).theta
    found = score(theta, SIZES, split, CrossEntropy(), L2(0.1))
    assert score(theta, SIZES, split, CrossEntropy(), L2(0.1), threads=3) == found
    P = network.predict(theta, SIZES, split.X)
    assert found.loss == pytest.approx(-np.log(P[np.arange(n), split.y]).mean())
    assert found.cost == pytest.approx(found.loss + 0.1 * (theta[:108] ** 2).sum())
    assert found.accuracy == (P.argmax(axis=1) == split.y).mean()
    Q, losses = training.outcomes(theta, SIZES, split, CrossEntropy(), threads=2)
    assert training.scores_of(theta, SIZES, L2(0.1), Q, losses, split.y) == found
    np.testing.assert_allclose(Q, P)
    small, single = Split(split.X.astype(np.float32), split.y), theta.astype(np.float32)
    _, losses = training.outcomes(single, SIZES, small, CrossEntropy())
    mean = sum(float(loss) for loss in losses) / n
    assert score(single, SIZES, small, CrossEntropy(), L2(0.0)).loss == pytest.approx(mean, rel=1e-12)


@pytest.mark.parametrize(("n", "d", "m", "k"), [(1, 3072, 50, 384), (50, 3072, 50, 384), (130, 768, 120, 128),
                                               (130, 3072, 400, 3072), (70, 10, 5, 10)])  # fmt: skip
def test_products_in_tiles_are_products(n, d, m, k):
    rng = np.random.default_rng(n)
    X, W = rng.standard_normal((n, d)), rng.standard_normal((d, m))
    product = tiles.Product((d, m, 10), np.float64)
    assert product.k == k
    np.testing.assert_allclose(product(X, W, np.empty((n, m))), X @ W, rtol=0, atol=1e-11)


def test_confusions_are_counted_true_by_predicted():
    matrix = training.confusion(np.array([1, 1, 0, 1]), np.array([0, 0, 0, 1]), 3)
    assert matrix.tolist() == [[1, 2, 0], [0, 1, 0], [0, 0, 0]]
    summary = training.summary(matrix, np.array([0.5, 1.5, 1, 1]), ["a", "b", "c"])
    assert (summary["accuracy"], summary["loss"]) == (0.5, 1)
    assert summary["per_class"]["b"] == {"precision": 1 / 3, "recall": 1.0, "f1": 0.5, "n": 1}
    assert summary["per_class"]["c"] == {"precision": None, "recall": None, "f1": None, "n": 0}
    assert summary["averages"]["macro"]["recall"] == pytest.approx((1 / 3 + 1) / 2)
    assert summary["averages"]["weighted"]["recall"] == pytest.approx(0.5)


def test_the_surest_mistakes_come_first():
    P = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.05, 0.95]])
    assert training.worst_mistakes(P, np.array([0, 1, 0, 0]), 2).tolist() == [3, 2]


def test_an_ensemble_counts_votes_and_means():
    """Two of three name class 1, the mean prefers class 0; a tie of votes goes to the larger mean."""
    Ps = np.array([[[0.9, 0.1]], [[0.45, 0.55]], [[0.45, 0.55]]])
    rows = training.growth(Ps, np.array([0]))
    assert [row["mean_probability"] for row in rows] == [1, 1, 1]
    assert [row["majority_vote"] for row in rows] == [1, 1, 0]


def test_the_blas_keeps_its_limit_until_the_last_holder_lets_go():
    def limit():
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    before = limit()
    first, second = training.blas_threads(1), training.blas_threads(1)
    first.__enter__(), second.__enter__()
    first.__exit__(None, None, None)
    assert set(limit()) <= {1}
    second.__exit__(None, None, None)
    assert limit() == before


def test_a_thread_limits_the_blas_after_another_one_did():
    """threadpoolctl 3.8 lets one thread set the limit; those of a pool take turns."""
    found = []

    def hold():
        with training.blas_threads(1):
            found.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")

    with threadpool_limits(2, user_api="blas"):
        for _ in range(2):
            thread = threading.Thread(target=hold)
            thread.start(), thread.join()
    assert set(found) == {1}


def test_trainings_that_overlap_in_one_process_keep_their_bytes(dataset):
    """Interleaved generators, and threads: each ends with the bytes of a training alone."""
    alone, _ = trained(dataset, threads=2)
    states = [State.initial(settings(), SIZES) for _ in range(4)]
    for _ in zip(*(train(state, dataset, settings(), 2) for state in states[:2]), strict=True):
        pass
    threads = [threading.Thread(target=lambda s=s: list(train(s, dataset, settings(), 2))) for s in states[2:]]
    [thread.start() for thread in threads], [thread.join() for thread in threads]
    assert {state.theta.tobytes() for state in states} == {alone.theta.tobytes()}
