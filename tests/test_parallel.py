"""Threads that share an update, trainings in lockstep, and trainings side by side: the same numbers as one alone."""

import threading
import time

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from cifarnet import training
from cifarnet.data import Split
from cifarnet.errors import Diverged
from cifarnet.training import State, parallel, tiles, train, train_lockstep
from tests.common import alike, in_float64, python
from tests.loops import EXTRAS, SIZES, constant, extra, settings, trained


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
    state = State.initial(settings(), SIZES)
    after = {record.step: state.theta.copy() for record in train(state, dataset, settings())}
    slow_workers(monkeypatch)
    for k in range(1, 7):
        state = State.initial(settings(), SIZES)
        records = train(state, dataset, settings(), 2)
        record = next(r for r in records if r.step == k)
        if record.train:
            np.testing.assert_allclose(state.theta, after[k], rtol=0, atol=1e-6)
        records.close()
        np.testing.assert_allclose(state.theta, after[k], rtol=0, atol=1e-6)


def test_changed_batches_stay_as_they_are_while_they_are_used(dataset, split_small, monkeypatch):
    """With a worker that is always late, the same bytes: no batch is written over before its last product."""
    prompt, _ = trained(dataset, extra("dropout"), threads=2)
    slow_workers(monkeypatch)
    late, _ = trained(dataset, extra("dropout"), threads=2)
    assert np.array_equal(prompt.theta, late.theta)


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
from cifarnet.data import Split
from cifarnet.training import State, parallel, train
from tests.common import alike
from tests.loops import SIZES, settings
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


@pytest.mark.parametrize(("n", "d", "m", "k"), [(1, 3072, 50, 384), (50, 3072, 50, 384), (130, 768, 120, 128),
                                               (130, 3072, 400, 3072), (70, 10, 5, 10)])  # fmt: skip
def test_products_in_tiles_are_products(n, d, m, k):
    rng = np.random.default_rng(n)
    X, W = rng.standard_normal((n, d)), rng.standard_normal((d, m))
    product = tiles.Product((d, m, 10), np.float64)
    assert product.k == k
    np.testing.assert_allclose(product(X, W, np.empty((n, m))), X @ W, rtol=0, atol=1e-11)


# In lockstep


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


# Side by side


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
