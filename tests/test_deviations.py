"""Deviations: each is the assignment's loop with one step changed, and costs and changes nothing while it is off."""

from dataclasses import replace

import numpy as np
import pytest

from cifarnet import config, data, training
from cifarnet.config import Settings
from cifarnet.data import Split
from cifarnet.experiments import train
from cifarnet.nn import network
from cifarnet.nn.random import generator
from cifarnet.training import State, lockstep_key
from cifarnet.training.batches import rows_of_batches
from tests.common import alike, changed, in_float64


@pytest.fixture
def two_layers(tiny) -> Settings:
    return changed(tiny, network__hidden=[6, 5], training__lambda=0.05)


def trained(settings, toy):
    """Theta after a training in float64."""
    state = State.initial(settings, dtype=float)
    for _ in training.train(state, alike(in_float64(toy)), settings):
        pass
    return state.theta


def orders(n, seed, epoch):
    return generator(seed, "shuffle", epoch).permutation(n)


def naive(settings, toy, *, l2=lambda W: 0.1 * W, l2_b=0.0, summed=False, mask=True, fixed=False, first=0,
          order=orders, size=9, per_epoch=6, updates=28, theta=None):  # fmt: skip
    """The assignment's mini-batch loop, image by image, with one step changed."""
    Ws, bs = network.views(State.initial(settings, dtype=float).theta if theta is None else theta, settings.sizes)
    for t in range(updates):
        rows = order(60, settings.seed, t // per_epoch)[t % per_epoch * size :][:size]
        gWs, gbs = [0 * W for W in Ws], [0 * b for b in bs]
        for x, label in zip(toy.X[rows].astype(float), toy.y[rows], strict=True):
            H = [x]
            for W, b in zip(Ws[:-1], bs[:-1], strict=True):
                H.append(np.maximum(H[-1] @ W + b, 0))
            z = H[-1] @ Ws[-1] + bs[-1]
            g = np.exp(z - z.max()) / np.exp(z - z.max()).sum() - np.eye(10)[label]
            for layer in reversed(range(len(Ws))):
                gWs[layer] += np.outer(H[layer], g) / (1 if summed else len(rows))
                gbs[layer] += g / (1 if summed else len(rows))
                g = Ws[layer] @ g * ((H[layer] > 0) if mask and layer else 1)
        place = (t + first) % 14
        eta = 1e-5 + (0.1 - 1e-5) * min(place, 14 - place) / 7
        for W, b, gW, gb in zip(Ws, bs, gWs, gbs, strict=True):
            gW += l2(W)
            b -= eta * (0 if fixed else 1) * gb + eta * l2_b * b
            W -= eta * gW
    return np.concatenate([v.ravel() for v in (*Ws, *bs)])


NAIVE = {
    "l2_halved": {"l2": lambda W: 0.05 * W},
    "l2_per_batch": {"l2": lambda W: 0.1 * W / 9},
    "l2_per_image": {"l2": lambda W: 0.1 * W / 60},
    "l2_missing": {"l2": lambda W: 0 * W},
    "l2_on_biases": {"l2_b": 0.1},
    "gradient_summed": {"summed": True},
    "relu_unmasked": {"mask": False},
    "biases_fixed": {"fixed": True},
    "first_step_one": {"first": 1},
    "same_order": {"order": lambda n, seed, epoch: orders(n, seed, 0)},
    "with_replacement": {"order": lambda n, seed, epoch: generator(seed, "shuffle", epoch).integers(n, size=n)},
    "last_batch": {"per_epoch": 7},
    "cycles_as_epochs": {"updates": 12},
    "epochs_as_cycles": {"updates": 56},
    "epochs_by_batch_size": {"updates": 18},
}


def test_without_deviations_the_loop_is_the_assignments(two_layers, toy):
    np.testing.assert_allclose(trained(two_layers, toy), naive(two_layers, toy), rtol=1e-9)


@pytest.mark.parametrize("name", NAIVE)
def test_a_deviation_is_the_naive_loop_with_one_step_changed(two_layers, toy, name):
    chosen = changed(two_layers, name)
    found = trained(chosen, toy)
    np.testing.assert_allclose(found, naive(chosen, toy, **NAIVE[name]), rtol=1e-7)
    assert np.abs(found - trained(two_layers, toy)).max() > 1e-5


def test_deviations_of_different_steps_go_together(two_layers, toy):
    names = ("l2_per_batch", "l2_on_biases", "first_step_one", "last_batch")
    both = {key: value for name in names for key, value in NAIVE[name].items()} | {"l2_b": 0.1 / 9}
    np.testing.assert_allclose(trained(changed(two_layers, *names), toy), naive(two_layers, toy, **both), rtol=1e-7)


@pytest.mark.parametrize("kind", ["momentum", "adam"])
def test_deviations_reach_every_optimizer(two_layers, toy, kind):
    adam = changed(two_layers, training__optimizer__kind=kind)
    half = changed(adam, training__lambda=0.025)
    np.testing.assert_allclose(trained(changed(adam, "l2_halved"), toy), trained(half, toy), rtol=1e-9)
    biases = network.views(trained(changed(adam, "biases_fixed"), toy), adam.sizes)[1]
    assert not any(b.any() for b in biases)


def test_a_smaller_last_batch_is_right_with_changed_batches_and_two_threads(tiny, dataset):
    """Noise of 0 changes nothing, but makes the batches another way."""
    chosen = changed(tiny, "last_batch", training__dropout__input=0.2)
    assert [len(rows) for rows in rows_of_batches(60, chosen, 0, 8)] == [9] * 6 + [6, 9]
    for threads in (1, 2):
        state = State.initial(chosen)
        assert [r.epoch for r in training.train(state, dataset, chosen, threads)][7] == 1


def test_biases_may_be_drawn_and_layers_have_their_own_deviation(tiny):
    settings = changed(tiny, "biases_drawn", network__init={"std": [0.5, 2.0]}, network__hidden=[4000])
    Ws, bs = network.views(State.initial(settings).theta, settings.sizes)
    assert [W.std() for W in Ws] == pytest.approx([0.5, 2], rel=0.02)
    assert bs[0].std() == pytest.approx(0.5, rel=0.05)
    same = changed(settings, deviations={"biases_drawn": False})
    Ws_, bs_ = network.views(State.initial(same).theta, settings.sizes)
    assert np.array_equal(Ws_[1], Ws[1])
    assert not bs_[0].any()


@pytest.mark.parametrize(("name", "ends"), [("best_epoch", [6, 12, 18, 24]), ("best_cycle", [14, 28])])
def test_the_best_network_on_the_way_is_scored(tiny, dataset, name, ends):
    settings, thetas = changed(tiny, name, training__schedule__eta_max=3.0), {}
    state = State.initial(settings)
    for record in training.train(state, dataset, settings):
        if record.step in ends:
            thetas[record.validation.accuracy] = thetas.get(record.validation.accuracy, state.theta.copy())
            last = record
    best = max(thetas)
    assert np.array_equal(state.scored, thetas[best])
    results, *_ = train.final(settings, dataset, state, last.train, last.validation, 1)
    assert results["test_accuracy"] == results["validation_accuracy"] == pytest.approx(best)
    other = State.initial(settings)
    other.restore(state.arrays())
    assert np.array_equal(other.scored, state.scored)
    assert "best" not in State.initial(tiny).arrays()


def test_validation_values_may_be_printed_as_test(tiny, dataset, toy):
    dataset = replace(dataset, validation=Split(toy.X[:30] + 1, toy.y[:30]))
    dataset.__dict__["test"] = toy
    settings = changed(tiny, "validation_as_test")
    *_, last = training.train(state := State.initial(settings), dataset, settings)
    results, *_ = train.final(settings, dataset, state, last.train, last.validation, 1)
    assert results["test_loss"] == results["validation_loss"] == last.validation.loss


# --- inputs ---


def inputs(release):
    """The first 12 inputs of every file, (300, 12) each."""
    return [release.read(name).pixels[:, :12] / 255 for name in release.batches]


@pytest.mark.parametrize(
    "name", ["statistics_of_split", "statistics_of_file", "statistics_of_image", "statistics_of_all", "one_statistic"]
)
def test_inputs_are_normalised_by_the_statistics_that_a_deviation_has(tiny, release, name):
    images = {"data.train": [1, 2], "data.validation": [4], "data.dims": 12, "data.limit": None}
    found = data.load(changed(tiny, name, **images).data)
    files = inputs(release)
    train_, validation, test = np.concatenate(files[:2]), files[3], files[5]

    def by(X, known):
        return (X - known.mean(axis=0)) / known.std(axis=0)

    everything = np.concatenate([train_, validation, test])
    expected = {
        "statistics_of_split": [by(train_, train_), by(validation, validation), by(test, test)],
        "statistics_of_file": [
            np.concatenate([by(X, X) for X in files[:2]]),
            by(validation, validation),
            by(test, test),
        ],
        "statistics_of_image": [by(X.T, X.T).T for X in (train_, validation, test)],
        "statistics_of_all": [by(X, everything) for X in (train_, validation, test)],
        "one_statistic": [(X - train_.mean()) / train_.std() for X in (train_, validation, test)],
    }[name]
    for split, X in zip((found.train, found.validation, found.test), expected, strict=True):
        np.testing.assert_allclose(np.asarray(split.X), X, atol=1e-5)
    if name == "statistics_of_image":  # pictures have the brightness and contrast that the network sees
        return
    shown = found.pixels(found.test, range(9)).transpose(0, 3, 1, 2).reshape(9, -1)[:, :12]
    assert np.array_equal(shown, np.rint(255 * test[:9]))


def test_each_file_has_its_statistics_where_images_are_held_out(tiny, release):
    images = {"data.train": [1, 2], "data.validation": 100, "data.limit": None, "data.dims": 12}
    found = data.load(changed(tiny, "statistics_of_file", **images).data)
    X = inputs(release)[1]
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    np.testing.assert_allclose(found.validation.X, X[200:], atol=1e-5)
    assert found.train.X.shape == (500, 12)


# --- the config ---


def test_what_is_off_is_in_no_config_and_no_key(tiny):
    assert "deviations" not in config.plain(tiny)
    chosen = changed(tiny, "l2_halved")
    assert config.plain(chosen)["deviations"] == {"l2_halved": True}
    assert config.load(config.plain(chosen)) == chosen
    assert chosen.data == tiny.data != changed(tiny, "one_statistic").data


def test_trainings_that_differ_in_an_update_share_batches(tiny):
    shared = [{"deviations.l2_missing": True}, {"deviations.biases_drawn": True}, {"network.init": {"std": 0.1}}]
    alone = [{"deviations.same_order": True}, {"deviations.one_statistic": True}, {"deviations.best_epoch": True}]
    keys = [lockstep_key(changed(tiny, **changes)) for changes in (*shared, *alone)]
    assert set(keys[:3]) == {lockstep_key(tiny)}
    assert len({*keys}) == 4


def test_an_analytic_gradient_check_fails_under_a_deviation(two_layers, toy):
    split, theta = in_float64(toy), State.initial(two_layers, dtype=float).theta
    right = training.gradient(two_layers, theta, split, split)
    assert not np.allclose(training.gradient(changed(two_layers, "relu_unmasked"), theta, split, split), right)
