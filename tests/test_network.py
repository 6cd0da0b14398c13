"""The network against numbers worked by hand, a naive loop twin, and what must hold for any input."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifarnet import network
from cifarnet.streams import stream

SIZES = (8, 6, 10)


def naive_cost_and_gradient(Ws, bs, X, y, lam):
    """Image by image and value by value, as the formulas read; gradients as nested lists."""
    gWs, gbs = [2 * lam * W for W in Ws], [np.zeros_like(b) for b in bs]
    cost = lam * sum(float(w) ** 2 for W in Ws for w in W.ravel())
    for x, label in zip(X, y, strict=True):
        H = [x]
        for layer, (W, b) in enumerate(zip(Ws, bs, strict=True)):
            z = [sum(H[-1][i] * W[i, j] for i in range(len(W))) + b[j] for j in range(len(b))]
            H.append(z if layer == len(Ws) - 1 else [max(v, 0.0) for v in z])
        total = sum(math.exp(z) for z in H[-1])
        p = [math.exp(z) / total for z in H[-1]]
        cost += -math.log(p[label]) / len(X)
        g = [(p[k] - (k == label)) / len(X) for k in range(len(p))]
        for layer in reversed(range(len(Ws))):
            for j, gj in enumerate(g):
                gbs[layer][j] += gj
                for i in range(len(Ws[layer])):
                    gWs[layer][i, j] += H[layer][i] * gj
            g = [sum(Ws[layer][i, j] * g[j] for j in range(len(g))) * (H[layer][i] > 0) for i in range(len(Ws[layer]))]
    return cost, np.concatenate([g.ravel() for g in gWs + gbs])


@pytest.mark.parametrize("sizes", [(8, 10), SIZES, (8, 5, 4, 10)])
@pytest.mark.parametrize("lam", [0, 0.1])
def test_cost_and_gradient_agree_with_the_formulas_written_as_loops(toy, sizes, lam):
    """One, two and three layers, with and without the L2 term: cost and gradient to 1e-12."""
    theta = network.initialise(sizes, 0.5, stream(1, "init"), np.float64)
    X, y = toy.X[:7].astype(float), toy.y[:7]
    cost, gradient = network.cost_and_gradient(theta, sizes, X, y, lam)
    Ws, bs = network.views(theta, sizes)
    expected_cost, expected_gradient = naive_cost_and_gradient(Ws, bs, X, y, lam)
    assert cost == pytest.approx(expected_cost, rel=1e-12)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=0, atol=1e-12)


def test_a_2_x_2_network_worked_by_hand():
    """x = (1, 2), W1 = [[1, -1], [0, 1]], b1 = (0, -2), W2 = I: h = (1, 0), z = (1, 0), and all that follows."""
    sizes = (2, 2, 2)
    theta = np.array([1, -1, 0, 1, 1, 0, 0, 1, 0, -2, 0, 0], float)
    cost, gradient = network.cost_and_gradient(theta, sizes, np.array([[1.0, 2.0]]), np.array([1]), 0.5)
    p = math.e / (math.e + 1)
    assert cost == pytest.approx(-math.log(1 - p) + 0.5 * 5)
    named = network.named(gradient, sizes)
    np.testing.assert_allclose(named["W2"], np.array([[p, -p], [0, 0]]) + np.eye(2))
    np.testing.assert_allclose(named["b2"], [p, -p])
    np.testing.assert_allclose(named["W1"], np.array([[p + 1, -1], [2 * p, 1]]))
    np.testing.assert_allclose(named["b1"], [p, 0])


def test_lambda_0_drops_the_penalty(toy):
    """With lambda = 0, J is the loss and its gradient the loss's."""
    theta = network.initialise(SIZES, "he", stream(0, "init"), np.float64)
    cost, gradient = network.cost_and_gradient(theta, SIZES, *toy, 0.0)
    loss, loss_gradient = network.loss_and_gradient(theta, SIZES, *toy)
    assert cost == loss
    assert np.array_equal(gradient, loss_gradient)


def test_buffers_change_no_value(toy):
    """The same bytes with memory used again and with fresh memory, for full and for smaller batches."""
    theta = network.initialise(SIZES, "xavier", stream(0, "init"))
    buffers = network.Buffers(SIZES, 60, np.float32)
    for n in (60, 13):
        loss, gradient = network.loss_and_gradient(theta, SIZES, toy.X[:n], toy.y[:n], buffers)
        fresh_loss, fresh = network.loss_and_gradient(theta, SIZES, toy.X[:n], toy.y[:n])
        assert loss == fresh_loss
        assert np.array_equal(gradient, fresh)


@given(st.integers(1, 30), st.integers(2, 12))
def test_uniform_logits_cost_log_k(n, K):
    """All-zero parameters make all classes equally likely: the loss is log K."""
    theta = np.zeros(network.parameter_count((4, 3, K)))
    loss, _ = network.loss_and_gradient(theta, (4, 3, K), np.ones((n, 4)), np.arange(n) % K)
    assert loss == pytest.approx(math.log(K))


@given(st.lists(st.floats(-50, 50), min_size=10, max_size=10), st.floats(-1e3, 1e3))
def test_softmax_ignores_a_shift(logits, shift):
    """Adding a number to all logits changes neither the probabilities nor the loss."""
    Z, moved = np.array([logits]), np.array([logits]) + shift
    y = np.array([3])
    np.testing.assert_allclose(network.losses(Z, y), network.losses(moved, y), atol=1e-9)
    np.testing.assert_allclose(Z, moved, atol=1e-9)
    assert Z.sum() == pytest.approx(1)


def test_logits_of_1e4_are_finite():
    """A loss of 2e4 is reported as such in float32, and the gradient is finite."""
    Z = np.array([[1e4, -1e4, 0.0]], np.float32)
    assert network.losses(Z, np.array([1])) == pytest.approx(2e4)
    np.testing.assert_array_equal(Z, [[1, 0, 0]])


def test_views_share_memory_with_theta():
    """Writing through a view changes theta, and all of theta belongs to exactly one view."""
    theta = np.zeros(network.parameter_count(SIZES))
    for view in network.named(theta, SIZES).values():
        view += 1
    assert (theta == 1).all()
    assert list(network.named(theta, SIZES)) == ["W1", "b1", "W2", "b2"]


def test_a_theta_of_the_wrong_length_is_refused():
    """The message says what the layers take."""
    with pytest.raises(ValueError, match=r"layers \(8, 6, 10\) take 124 values"):
        network.views(np.zeros(7), SIZES)


@pytest.mark.parametrize(("init", "std"), [("xavier", 500**-0.5), ("he", (2 / 500) ** 0.5), (0.01, 0.01)])
def test_initial_weights_have_the_stated_spread(init, std):
    """W1 of 500 x 200 has the standard deviation of its rule to 1 %; the biases are 0; float32 is float64 rounded."""
    sizes = (500, 200, 10)
    theta = network.initialise(sizes, init, stream(3, "init"), np.float64)
    Ws, bs = network.views(theta, sizes)
    assert Ws[0].std() == pytest.approx(std, rel=0.01)
    assert not any(b.any() for b in bs)
    assert np.array_equal(network.initialise(sizes, init, stream(3, "init")), theta.astype(np.float32))


def test_predict_gives_the_probabilities_of_the_loss(toy):
    """Rows sum to 1, and -log of the label's entry is the loss."""
    theta = network.initialise(SIZES, "he", stream(0, "init"), np.float64)
    P = network.predict(theta, SIZES, toy.X)
    loss, _ = network.loss_and_gradient(theta, SIZES, *toy)
    np.testing.assert_allclose(P.sum(axis=1), 1)
    assert -np.log(P[np.arange(60), toy.y]).mean() == pytest.approx(loss)
