"""The gradient check passes what trains, and fails where a mistake is put into it."""

import numpy as np
import pytest

from cifarnet.deviations import Practice
from cifarnet.errors import ConfigError
from cifarnet.experiments import gradients
from cifarnet.nn import gradcheck, network
from cifarnet.nn.losses import L2
from cifarnet.training import loop, parallel
from tests.common import RUN_FILES, changed, files

EXTRAS = {
    "plain": {},
    "smoothed labels and dropout": {"label_smoothing": 0.3, "dropout": {"hidden": 0.25, "input": 0.2}},
    "hinge and dropout": {"loss": "hinge", "dropout": {"hidden": 0.5}},
    "adam": {"optimizer": {"kind": "adam"}},
    "average": {"average": 0.5},
}


@pytest.fixture
def small(monkeypatch):
    """The second network of a gradient check."""
    monkeypatch.setattr(gradients, "SQUARE", (4, 4))


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_gradient_that_trains_passes(trainings, small, extra):
    """By every method, within its tolerance, with every loss, dropout and optimizer; without a hidden layer, too."""
    values = {f"training__{name}": value for name, value in EXTRAS[extra].items()}
    settings = changed(trainings.settings, network__hidden=[] if extra == "plain" else [6], **values)
    check = gradients.check(settings, methods=list(gradcheck.STEPS), lambdas=[0.1], runs_dir=trainings.folder)
    assert len(list(check)) == len(check)
    assert check.run.results["passed"], check.run.results


def test_a_gradient_check_leaves_its_verdicts(trainings, pages):
    """lambda 0 and 0.1, the configured layers and square ones: errors, tolerance and verdict of each parameter."""
    plain = changed(trainings.settings, training__lambda=0)
    check = gradients.check(plain, methods=["centred"], samples=30, random_samples=True, runs_dir=trainings.folder)
    list(check)
    results, rows = check.run.results, check.run.results["parameters"]
    assert (results["passed"], results["method"]) == (True, "centred")
    assert results["max_relative_error"] == max(row["max_relative_error"] for row in rows)
    layers = {(6,): 2, gradients.SQUARE: 3}
    assert [(row["lambda"], tuple(row["hidden"]), row["name"]) for row in rows] == [
        (lam, hidden, f"{name}{layer}")
        for lam in (0, 0.1)
        for hidden, count in layers.items()
        for layer in range(1, count + 1)
        for name in "Wb"
    ]
    assert all(row["passed"] and row["norm_relative_error"] < row["tolerance"] == 1e-8 for row in rows)
    assert files(check.run.path) == RUN_FILES
    own = gradients.check(trainings.settings, runs_dir=trainings.folder)
    assert {problem.settings.training.lam for problem in own.problems} == {0.01}
    with pytest.raises(ConfigError, match="samples = 61: there are 60 training images"):
        gradients.check(plain, samples=61, runs_dir=trainings.folder)


def test_a_problem_is_of_the_first_or_of_random_images(trainings):
    """In float64, at the initial parameters, with another batch before it; random images follow from the seed."""
    images = trainings.dataset.train
    first = gradients.problem(trainings.settings, images, 20)
    assert first.theta.dtype == first.images.X.dtype == np.float64
    assert np.array_equal(first.images.X, images.X[:20])
    assert np.array_equal(first.before.X, images.X[20:40])
    assert not first.theta[-16:].any()
    assert gradients.problem(trainings.settings, images, 20, random_biases=True).theta[-16:].all()
    drawn = [gradients.problem(trainings.settings, images, 20, random_samples=True).images.X for _ in range(2)]
    assert np.array_equal(*drawn)
    assert not np.array_equal(drawn[0], first.images.X)


def backward(mistake):
    """The backward pass in NumPy's plainest terms, with a mistake that students make, or none."""
    stale = []

    def run(theta, sizes, Z, y, buffers, loss, scale=1.0, masks=None, *, rectifies=True):
        (Ws, bs), (gWs, gbs) = network.views(theta, sizes), buffers.layers
        values = network.activate(Ws, bs, Z, buffers, masks)
        stale.append([value.copy() for value in values])
        G = values[-1]
        mean = loss.values(G, y).mean()
        loss.gradient(G, (y + 1) % 10 if mistake == "labels shifted" else y)
        G *= scale / (1 if mistake == "sum for mean" else len(y))
        for layer in reversed(range(1, len(Ws))):
            H, W = values[layer - 1], Ws[layer]
            earlier = mistake == "stale activation" and len(stale) % 2 == 0  # the second batch of two
            gWs[layer][:] = (stale[-2][layer - 1] if earlier else H).T @ G
            gbs[layer][:] = G.sum() if mistake == "bias over nodes" else G.sum(axis=0)
            transposed = mistake == "square matrix transposed" and len(set(W.shape)) == 1
            G = (G @ (W if transposed else W.T)) * (1 if mistake == "no ReLU mask" else H > 0)
        gbs[0][:] = G.sum(axis=0)
        return mean, G

    return run


L2_TERM = {"no L2 term": lambda l2: 0.0, "lambda W, not 2 lambda W": lambda l2: l2.lam}
MISTAKES = {  # and the rows of the check that it shows in, at most
    "labels shifted": lambda row: True,
    "sum for mean": lambda row: True,
    "no ReLU mask": lambda row: row["name"][1:] in "12",
    "bias over nodes": lambda row: row["name"] in ("b2", "b3"),
    "stale activation": lambda row: row["name"] in ("W2", "W3"),
    "square matrix transposed": lambda row: row["hidden"] == [4, 4],
    "no L2 term": lambda row: row["lambda"] == 0.1 and row["name"] in ("W1", "W2", "W3"),
    "lambda W, not 2 lambda W": lambda row: row["lambda"] == 0.1 and row["name"] in ("W1", "W2", "W3"),
    "lambda on biases": lambda row: row["lambda"] == 0.1 and row["name"] in ("b1", "b2", "b3"),
    "a shard": lambda row: True,
}


def shard_without_its_last_rows(shard, turn, G, update, original=parallel.Shard.backward):
    original(shard, turn, G, lambda part, gradient: update(slice(part.start, part.stop - 6), gradient[:-6]))


@pytest.mark.parametrize("mistake", [None, *MISTAKES])
def test_a_mistake_in_what_trains_fails_the_gradient_check(trainings, small, monkeypatch, mistake):
    """Put into the backward pass, the L2 term, or a shard of the parallel update."""
    if mistake == "a shard":
        monkeypatch.setattr(parallel.Shard, "backward", shard_without_its_last_rows)
    elif mistake == "lambda on biases":
        monkeypatch.setattr(Practice, "decayed", lambda practice, sizes: network.parameter_count(sizes))
    elif mistake in L2_TERM:
        monkeypatch.setattr(L2, "decay", property(L2_TERM[mistake]))
    else:
        monkeypatch.setattr(loop, "backward", backward(mistake))
    check = gradients.check(changed(trainings.settings, training__lambda=0), runs_dir=trainings.folder)
    list(check)
    failed = [row for row in check.run.results["parameters"] if not row["passed"]]
    assert check.run.results["passed"] == (mistake is None) == (not failed)
    assert all(MISTAKES[mistake](row) for row in failed)
