"""Scores against sums over all images at once, and the tables against counts by hand."""

import numpy as np
import pytest

from cifarnet import evaluation, network, products
from cifarnet.streams import stream

SIZES = (8, 6, 10)


@pytest.mark.parametrize("n", [1, 499, 500, 501, 1234])
def test_neither_blocks_nor_threads_change_a_score(n):
    """Cost, loss and accuracy over blocks are those over all images at once."""
    rng = np.random.default_rng(n)
    X, y = rng.standard_normal((n, 8)), rng.integers(0, 10, n)
    theta = network.initialise(SIZES, "he", stream(0, "init"), np.float64)
    scores = evaluation.score(theta, SIZES, X, y, 0.1)
    assert evaluation.score(theta, SIZES, X, y, 0.1, threads=3) == scores
    cost, _ = network.cost_and_gradient(theta, SIZES, X, y, 0.1)
    assert scores.cost == pytest.approx(cost)
    assert scores.accuracy == (network.predict(theta, SIZES, X).argmax(axis=1) == y).mean()
    P, losses = evaluation.outcomes(theta, SIZES, X, y, threads=2)
    assert evaluation.scores(theta, SIZES, 0.1, P, losses, y) == scores
    np.testing.assert_allclose(P, network.predict(theta, SIZES, X))


@pytest.mark.parametrize(("n", "d", "m", "k"), [(1, 3072, 50, 384), (50, 3072, 50, 384), (130, 768, 120, 128),
                                               (130, 3072, 400, 3072), (70, 10, 5, 10)])  # fmt: skip
def test_products_in_tiles_are_products(n, d, m, k):
    """X W to rounding, whether the images fill the last tiles or not, and where there are no tiles."""
    rng = np.random.default_rng(n)
    X, W = rng.standard_normal((n, d)), rng.standard_normal((d, m))
    product = products.Product((d, m, 10), np.float64)
    assert product.k == k
    np.testing.assert_allclose(product(X, W, np.empty((n, m))), X @ W, rtol=0, atol=1e-11)


def test_confusions_are_counted_true_by_predicted():
    """Two of class 0 taken for 1, one right of each."""
    matrix = evaluation.confusion(np.array([1, 1, 0, 1]), np.array([0, 0, 0, 1]), 3)
    assert matrix.tolist() == [[1, 2, 0], [0, 1, 0], [0, 0, 0]]
    summary = evaluation.summary(matrix, np.array([0.5, 1.5, 1, 1]), ["a", "b", "c"])
    assert summary["accuracy"] == 0.5
    assert summary["loss"] == 1
    assert summary["per_class"]["b"] == {"precision": 1 / 3, "recall": 1.0, "n": 1}
    assert summary["per_class"]["c"] == {"precision": None, "recall": None, "n": 0}


def test_the_surest_mistakes_come_first():
    """Right answers are left out, whatever their probability."""
    P = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.05, 0.95]])
    assert evaluation.worst_mistakes(P, np.array([0, 1, 0, 0]), 2).tolist() == [3, 2]
