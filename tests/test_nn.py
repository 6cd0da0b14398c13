"""The mathematics against numbers worked by hand, naive loops, the papers' formulas, and what holds for any input."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cifarnet.nn import gradcheck, network
from cifarnet.nn.losses import L2, CrossEntropy, Hinge
from cifarnet.nn.model import Model
from cifarnet.nn.optimizers import BLOCK, SGD, Adam, Momentum
from cifarnet.nn.random import generator
from cifarnet.nn.schedules import Constant, Cosine, Cyclic, Exponential, Linear, Ramp, StepDecay

SIZES = (8, 6, 10)


def loss_and_gradient(theta, sizes, X, y, buffers=None, **more):
    """The mean loss and its gradient (P,), without the L2 term, by the passes that training makes."""
    buffers = buffers or network.Buffers(sizes, len(X), theta.dtype)
    Z = np.matmul(X, network.views(theta, sizes)[0][0], out=buffers.values[0][: len(X)])
    mean, G = network.backward(theta, sizes, Z, y, buffers, CrossEntropy(), **more)
    np.matmul(X.T, G, out=buffers.layers[0][0])
    return mean, buffers.theta


def naive_loss_and_gradient(Ws, bs, X, y):
    """Image by image and value by value, as the formulas read."""
    gWs, gbs, loss = [np.zeros_like(W) for W in Ws], [np.zeros_like(b) for b in bs], 0.0
    for x, label in zip(X, y, strict=True):
        H = [x]
        for layer, (W, b) in enumerate(zip(Ws, bs, strict=True)):
            z = [sum(H[-1][i] * W[i, j] for i in range(len(W))) + b[j] for j in range(len(b))]
            H.append(z if layer == len(Ws) - 1 else [max(v, 0.0) for v in z])
        total = sum(math.exp(z) for z in H[-1])
        p = [math.exp(z) / total for z in H[-1]]
        loss += -math.log(p[label]) / len(X)
        g = [(p[k] - (k == label)) / len(X) for k in range(len(p))]
        for layer in reversed(range(len(Ws))):
            for j, gj in enumerate(g):
                gbs[layer][j] += gj
                for i in range(len(Ws[layer])):
                    gWs[layer][i, j] += H[layer][i] * gj
            g = [sum(Ws[layer][i, j] * g[j] for j in range(len(g))) * (H[layer][i] > 0) for i in range(len(Ws[layer]))]
    return loss, np.concatenate([g.ravel() for g in gWs + gbs])


@pytest.mark.parametrize("sizes", [(8, 10), SIZES, (8, 5, 4, 10)])
def test_loss_and_gradient_are_the_formulas_written_as_loops(toy, sizes):
    theta = network.initialize(sizes, 0.5, generator(1, "init"), np.float64)
    X, y = toy.X[:7].astype(float), toy.y[:7]
    loss, gradient = loss_and_gradient(theta, sizes, X, y)
    expected_loss, expected_gradient = naive_loss_and_gradient(*network.views(theta, sizes), X, y)
    assert loss == pytest.approx(expected_loss, rel=1e-12)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=0, atol=1e-12)
    same_loss, scaled = loss_and_gradient(theta, sizes, X, y, scale=0.1)
    assert same_loss == loss
    np.testing.assert_allclose(scaled, 0.1 * expected_gradient, rtol=0, atol=1e-12)


def test_a_2_x_2_network_has_the_loss_and_gradient_worked_by_hand():
    """x = (1, 2), W1 = [[1, -1], [0, 1]], b1 = (0, -2), W2 = I: h = (1, 0), z = (1, 0), and all that follows."""
    theta = np.array([1, -1, 0, 1, 1, 0, 0, 1, 0, -2, 0, 0], float)
    loss, gradient = loss_and_gradient(theta, (2, 2, 2), np.array([[1.0, 2.0]]), np.array([1]))
    p = math.e / (math.e + 1)
    assert loss == pytest.approx(-math.log(1 - p))
    named = network.named_views(gradient, (2, 2, 2))
    np.testing.assert_allclose(named["W2"], [[p, -p], [0, 0]])
    np.testing.assert_allclose(named["b2"], [p, -p])
    np.testing.assert_allclose(named["W1"], [[p, 0], [2 * p, 0]])
    np.testing.assert_allclose(named["b1"], [p, 0])


def test_the_l2_term_is_as_worked_by_hand():
    """lambda = .5, w = (1, -2): J has .5 * 5 more, and its gradient 2 * .5 * w."""
    assert L2(0.5).cost(np.array([1.0, -2.0])) == 2.5
    assert L2(0.5).decay == 1.0
    assert L2(0.0).cost(np.array([np.inf])) == 0


def test_logits_of_1e4_have_a_finite_loss():
    Z = np.array([[1e4, -1e4, 0.0]], np.float32)
    assert CrossEntropy().values(Z, np.array([1])) == pytest.approx(2e4)
    np.testing.assert_array_equal(Z, [[1, 0, 0]])
    theta = np.array([1e4, -1e4, 0, 0])
    np.testing.assert_array_equal(network.predict(theta, (1, 2), np.ones((1, 1))), [[1, 0]])


def test_the_hinge_loss_is_as_worked_by_hand():
    """z = (2, 1.5, -1), label 1: max(0, 2 - 1.5 + 1) + max(0, -1 - 1.5 + 1) = 1.5; gradient (1, -1, 0)."""
    Z, y = np.array([[2, 1.5, -1], [0, 9, 0]], float), np.array([1, 1])
    assert Hinge().values(Z, y).tolist() == [1.5, 0]
    assert np.isnan(Hinge().values(Z * np.nan, y)).all()
    assert Hinge().kinks(Z, y).tolist() == [True, True, False, False, True, False]
    Hinge().gradient(Z, y)
    assert Z.tolist() == [[1, -1, 0], [0, 0, 0]]
    on_the_kink = np.array([[0.0, 1.0]])
    Hinge().gradient(on_the_kink, np.array([1]))
    assert on_the_kink.tolist() == [[0, 0]]


def test_smoothed_labels_are_as_worked_by_hand():
    """z = (log 2, 0), label 0, a = .2: -(.9 log 2/3 + .1 log 1/3); gradient p - (.9, .1)."""
    Z, y, loss = np.array([[math.log(2), 0.0]]), np.array([0]), CrossEntropy(0.2)
    assert loss.values(Z, y) == pytest.approx(-(0.9 * math.log(2 / 3) + 0.1 * math.log(1 / 3)))
    loss.gradient(Z, y)
    np.testing.assert_allclose(Z, [[2 / 3 - 0.9, 1 / 3 - 0.1]])
    assert loss.measured == CrossEntropy()


def test_dropped_nodes_pass_nothing_on():
    """H = (1, 2) with masks (0, 2) is (0, 4), and W2 = I hands it on; nor does the gradient pass by them."""
    theta = np.array([1, 0, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0], float)
    X, masks = np.array([[1.0, 2.0]]), [np.array([[0.0, 2.0]])]
    values = network.forward(theta, (2, 2, 2), X, masks)
    assert [v.tolist() for v in values[1:]] == [[[0, 4]], [[0, 4]]]
    _, gradient = loss_and_gradient(theta, (2, 2, 2), X, np.array([0]), masks=masks)
    theta[4:8] = [0, 0, 0, 2]  # W2 with its rows times the masks
    _, expected = loss_and_gradient(theta, (2, 2, 2), X, np.array([0]))
    for name in ("W1", "b1", "b2"):
        found, same = (network.named_views(g, (2, 2, 2))[name] for g in (gradient, expected))
        np.testing.assert_allclose(found, same)


def test_a_theta_of_the_wrong_length_is_refused():
    with pytest.raises(ValueError, match=r"layers \(8, 6, 10\) take 124 values"):
        network.views(np.zeros(7), SIZES)


@pytest.mark.parametrize(("init", "std"), [("xavier", 500**-0.5), ("he", (2 / 500) ** 0.5), (0.01, 0.01)])
def test_initial_weights_have_the_stated_spread(init, std):
    sizes = (500, 200, 10)
    theta = network.initialize(sizes, init, generator(3, "init"), np.float64)
    Ws, bs = network.views(theta, sizes)
    assert Ws[0].std() == pytest.approx(std, rel=0.01)
    assert not any(b.any() for b in bs)
    assert np.array_equal(network.initialize(sizes, init, generator(3, "init")), theta.astype(np.float32))


def test_random_numbers_are_a_function_of_seed_purpose_and_step():
    first = generator(1, "shuffle", 4).random()
    assert generator(1, "shuffle", 4).random() == first == 0.28483813657153456  # on every machine, in every version
    others = [(2, "shuffle", 4), (1, "dropout", 4), (1, "shuffle", 5), (1, "shuffle")]
    assert first not in [generator(*arguments).random() for arguments in others]


def test_a_model_predicts_from_pixels_in_any_form():
    rng = np.random.default_rng(0)
    theta = network.initialize((3072, 4, 10), "xavier", generator(0, "init"))
    model = Model(theta, (3072, 4, 10), np.full(3072, 0.5), np.full(3072, 0.25), tuple("abcdefghij"))
    images = rng.integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    rows = images.transpose(0, 3, 1, 2).reshape(3, -1)
    P = model.predict(images)
    np.testing.assert_allclose(P.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(P, model.predict(rows))
    np.testing.assert_allclose(P, model.predict(rows / 255), rtol=1e-5)
    expected = network.predict(theta, (3072, 4, 10), ((rows / 255 - 0.5) / 0.25).astype(np.float32))
    np.testing.assert_array_equal(P, expected)
    assert model.predict(images[:0]).shape == (0, 10)
    for wrong in (images[0], images + 0.5, rows / -255, np.zeros((1, 3000))):
        with pytest.raises(ValueError, match=r"images have shape|pixels are"):
            model.predict(wrong)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"theta": np.zeros(5, np.float32)}, "its layers take 86 numbers"),
        ({"theta": np.full(86, np.nan, np.float32)}, "values that are not finite"),
        ({"sizes": np.array([8, -6, 10])}, "layers of"),
        ({"mean": np.zeros(3)}, "not of its 8 inputs"),
        ({"std": np.zeros(8)}, "not positive"),
        ({"classes": np.array(["a"])}, "does not name 10 classes"),
    ],
)
def test_arrays_that_are_no_network_are_refused(change, why):
    arrays = Model(np.zeros(86, np.float32), (8, 4, 10), np.zeros(8), np.ones(8), tuple("abcdefghij")).arrays(7)
    assert Model.from_arrays(arrays).classes == tuple("abcdefghij")
    with pytest.raises(ValueError, match=why):
        Model.from_arrays(arrays | change)


# Schedules

steps, halves = st.integers(0, 100_000), st.integers(1, 5000)


@given(steps, halves)
def test_a_cycle_is_the_assignments_two_lines(t, n_s):
    schedule, cycle = Cyclic(n_s=n_s), t // (2 * n_s)
    if t <= (2 * cycle + 1) * n_s:
        expected = 1e-5 + (t - 2 * cycle * n_s) / n_s * (1e-1 - 1e-5)
    else:
        expected = 1e-1 - (t - (2 * cycle + 1) * n_s) / n_s * (1e-1 - 1e-5)
    assert schedule.eta(t, 100) == pytest.approx(expected, abs=1e-12)
    assert 1e-5 - 1e-15 <= schedule.eta(t, 100) <= 1e-1 + 1e-15


def test_the_ends_of_a_cycle_are_exact():
    assert [Cyclic(n_s=500).eta(t, 100) for t in (0, 500, 1000)] == [1e-5, 1e-1, 1e-5]
    assert Cyclic(n_s="1 epoch").eta(90, 90) == 1e-1
    assert Cyclic(n_s="2 epochs", cycles=3).updates(90) == 3 * 2 * 180
    assert Cyclic(n_s=800, cycles=1.25).updates(100) == 2000  # it ends in the middle of a cycle


def test_decays_are_as_worked_by_hand():
    step = StepDecay(kind="step", eta=1, factor=0.1, every=3)
    assert [step.eta(t, 2) for t in (0, 5, 6, 12)] == pytest.approx([1, 1, 0.1, 0.01])
    smooth = Exponential(kind="exponential", eta=1, factor=0.9)
    assert [smooth.eta(t, 10) for t in (20, 5)] == pytest.approx([0.81, 0.9**0.5])
    assert Constant(kind="constant", eta=0.3, epochs=2).eta(7, 10) == 0.3
    assert Constant(kind="constant", epochs=2).updates(10) == 20
    assert [schedule.measurements for schedule in (Cyclic(), Constant(kind="constant", epochs=2))] == [10, 2]


@given(steps, st.integers(1, 2500), st.integers(1, 4))
def test_a_step_is_in_the_cycle_that_covers_it(t, n_s, growth):
    schedule = Cyclic(n_s=n_s, cycle_growth=growth)
    cycle, within, length = schedule.place(t, 100)
    before = Cyclic(n_s=n_s, cycles=cycle, cycle_growth=growth).updates(100) if cycle else 0
    assert before + within == t
    assert 0 <= within < length == 2 * n_s * growth**cycle


def test_cycles_grow_and_shrink():
    """n_s 10, growth 2, shrink 1/2: peaks of 1, 1/2 and 1/4 at 10, 20 + 20 and 60 + 40, and it ends at 0."""
    schedule = Cyclic(n_s=10, cycles=3, cycle_growth=2, cycle_shrink=0.5, eta_min=1e-9, eta_max=1.0)
    found = [schedule.eta(t, 100) for t in (0, 10, 20, 40, 60, 100, 140)]
    assert found == pytest.approx([0, 1, 0, 0.5, 0, 0.25, 0], abs=1e-8)
    assert schedule.updates(100) == 140


@pytest.mark.parametrize("kind", [Linear, Cosine])
def test_annealing_goes_down_and_starts_again(kind):
    schedule = kind(kind=kind.__name__.lower(), epochs=10, cycles=2, cycle_growth=2, eta_min=1e-12, eta_max=1.0)
    eta = [schedule.eta(t, 10) for t in range(301)]
    assert [eta[t] for t in (0, 50, 100, 200, 300)] == pytest.approx([1, 0.5, 1, 0.5, 0], abs=1e-9)
    assert eta[:100] == sorted(eta[:100], reverse=True)
    assert 0 < eta[99] < 0.02
    quarter = {"Linear": 0.75, "Cosine": (1 + 0.5**0.5) / 2}[kind.__name__]
    assert eta[25] == pytest.approx(quarter)


def test_ramps_rise_in_equal_steps_or_factors():
    bounds = {"epochs": 1, "eta_min": 1e-3, "eta_max": 1e-1}
    assert Ramp(**bounds).measurements == 60
    assert [Ramp(**bounds).eta(t, 10) for t in (0, 5, 10)] == pytest.approx([1e-3, 0.0505, 1e-1])
    assert [Ramp(log=True, **bounds).eta(t, 10) for t in (0, 5, 10)] == pytest.approx([1e-3, 0.01, 1e-1])


# Optimizers

OPTIMIZERS = {"sgd": SGD(), "momentum": Momentum(kind="momentum"), "nesterov": Momentum(kind="nesterov"),
              "adam": Adam(kind="adam")}  # fmt: skip


def by_hand(name, gradients, eta):
    """One parameter that starts at 1, and its values after each of the gradients."""
    theta, v, m, s, path = 1.0, 0.0, 0.0, 0.0, []
    for t, g in enumerate(gradients, 1):
        if name == "adam":
            m, s = 0.9 * m + 0.1 * g, 0.999 * s + 0.001 * g * g
            theta -= eta * (m / (1 - 0.9**t)) / (math.sqrt(s / (1 - 0.999**t)) + 1e-8)
        elif name == "sgd":
            theta -= eta * g
        else:
            v = 0.9 * v + eta * g
            theta -= 0.9 * v + eta * g if name == "nesterov" else v
        path.append(theta)
    return path


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_updates_are_the_papers_formulas(name):
    optimizer, gradients = OPTIMIZERS[name], [0.5, -1.0, 2.0, 0.1, 0.0, -3.0]
    theta, moments, path = np.ones(1), np.zeros((optimizer.moments, 1)), []
    for step, g in enumerate(gradients):
        optimizer.step(theta, np.array([g * optimizer.scale(0.1)]), moments, 0.1, step, 0.0, 1)
        path.append(theta[0])
    assert path == pytest.approx(by_hand(name, gradients, 0.1), abs=1e-14)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_l2_term_moves_weights_and_no_biases(name):
    """A step with decay on the first 3 values is one with decay * theta in their gradient."""
    optimizer, theta, g = OPTIMIZERS[name], np.array([1.0, -2.0, 3.0, 4.0]), np.array([0.1, 0.2, -0.3, 0.4])
    with_decay, by_gradient = theta.copy(), theta.copy()
    moments = [np.zeros((optimizer.moments, 4)) for _ in range(2)]
    optimizer.step(with_decay, g * optimizer.scale(0.1), moments[0], 0.1, 0, 0.5, 3)
    full = (g + 0.5 * theta * (np.arange(4) < 3)) * optimizer.scale(0.1)
    optimizer.step(by_gradient, full, moments[1], 0.1, 0, 0.0, 4)
    np.testing.assert_allclose(with_decay, by_gradient, rtol=1e-12)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_slice_is_updated_as_all_of_theta_is(name):
    optimizer, rng, P = OPTIMIZERS[name], np.random.default_rng(1), 2 * BLOCK + 17
    theta, gradient = rng.standard_normal((2, P)).astype(np.float32)
    moments = np.abs(rng.standard_normal((optimizer.moments, P))).astype(np.float32)
    (theta1, g1, moments1), (theta2, g2, moments2) = [[a.copy() for a in (theta, gradient, moments)] for _ in range(2)]
    optimizer.step(theta1, g1, moments1, 0.1, 3, 0.02, P - 5)
    for part, weights in ((slice(0, 1001), 1001), (slice(1001, P), P - 5 - 1001)):
        optimizer.step(theta2[part], g2[part], moments2[:, part], 0.1, 3, 0.02, weights)
    assert np.array_equal(theta1, theta2)
    assert np.array_equal(moments1, moments2)


# Gradient checks


@pytest.mark.parametrize("method", gradcheck.STEPS)
def test_the_derivative_of_a_cube_is_three_squares(method):
    theta = np.array([0.5, -1.0, 2.0])
    step = gradcheck.STEPS[method]
    found = gradcheck.derivatives(lambda theta: ((theta**3).sum(), np.zeros(0, bool)), theta, method, step)
    error = {"forward": 1e-5, "centred": 1e-9, "complex-step": 1e-15}[method]
    np.testing.assert_allclose([d.value for d in found], 3 * theta**2, rtol=0, atol=error)


def test_a_step_across_a_kink_is_counted_separately():
    """|theta| at 1e-6: a centred step of 1e-5 crosses the kink, at 1 it does not."""
    probe = lambda theta: (np.abs(theta).sum(), theta > 0)  # noqa: E731
    found = list(gradcheck.derivatives(probe, np.array([1e-6, 1.0]), "centred", 1e-5))
    assert [d.crossed for d in found] == [True, False]
    values = np.array([d.value for d in found])
    [errors] = [gradcheck.compare("a", np.ones(2), values, np.array([True, False]))]
    assert (errors.n, errors.kinks) == (2, 1)
    assert errors.max_absolute_error < 1e-9
    assert errors.kink_max_absolute_error == pytest.approx(0.9)


def test_errors_are_the_formulas():
    """ga = (1, 1), gn = (1, 2): norms sqrt 2 and sqrt 5, differences 0 and -1."""
    found = gradcheck.compare("W1", np.array([1.0, 1.0]), np.array([1.0, 2.0]), np.zeros(2, bool))
    assert found.norm_relative_error == pytest.approx(1 / (5**0.5 + 2**0.5))
    assert found.max_relative_error == pytest.approx(1 / 3)
    assert (found.max_absolute_error, found.mean_absolute_error, found.mean_signed_error) == (1, 0.5, 0.5)


def test_the_tolerances_are_those_that_are_stated():
    """Wider ones would let a wrong gradient pass."""
    assert gradcheck.TOLERANCES == {"forward": 1e-5, "centred": 1e-8, "complex-step": 1e-13}
