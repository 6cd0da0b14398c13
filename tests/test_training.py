"""The loop: what it updates and measures, in which order it takes the images, how it goes on; the measurements."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifarnet import training
from cifarnet.data import Split
from cifarnet.errors import Diverged
from cifarnet.nn import network
from cifarnet.nn.losses import L2, CrossEntropy
from cifarnet.training import State, score, train
from cifarnet.training.batches import rows_of_batches
from cifarnet.training.timetable import Timetable
from tests.common import alike, in_float64
from tests.loops import EXTRAS, SIZES, constant, extra, settings, trained


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
