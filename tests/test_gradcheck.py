"""The check on functions whose derivatives are known, on the network, and on gradients that are wrong."""

import numpy as np
import pytest

from cifarnet import gradcheck, gradients, network
from cifarnet.config.settings import Settings
from cifarnet.data import Split

METHODS = list(gradcheck.STEPS)


def polynomial(theta):
    return (theta**3).sum(), np.zeros(0, bool)


@pytest.mark.parametrize("method", METHODS)
def test_a_cubes_slope_is_three_squares(method):
    """Each method to its own order of accuracy."""
    theta = np.array([0.5, -1.0, 2.0])
    found = [s.value for s in gradcheck.slopes(polynomial, theta, method, gradcheck.STEPS[method])]
    error = {"forward": 1e-5, "centred": 1e-9, "complex-step": 1e-15}[method]
    np.testing.assert_allclose(found, 3 * theta**2, rtol=0, atol=error)


def test_a_step_across_a_kink_is_told_apart():
    """|theta| at 1e-6: a centred step of 1e-5 crosses the kink, at 1 it does not; the errors count it on its own."""

    def absolute(theta):
        return np.abs(theta).sum(), theta > 0

    slopes = list(gradcheck.slopes(absolute, np.array([1e-6, 1.0]), "centred", 1e-5))
    assert [s.crossed for s in slopes] == [True, False]
    values = np.array([s.value for s in slopes])
    [errors] = gradcheck.compare({"a": np.ones(2)}, {"a": values}, {"a": np.array([True, False])})
    assert (errors.n, errors.kinks) == (2, 1)
    assert errors.max_absolute_error < 1e-9
    assert errors.kink_max_absolute_error == pytest.approx(0.9)


def problem(toy, hidden=(6,), lam=0.1):
    settings = Settings(seed=1, data={"dims": 8}, network={"hidden": hidden}, training={"lambda": lam, "batch_size": 5})
    return gradients.problem(settings, Split(toy.X.astype(float), toy.y), 20)


@pytest.mark.parametrize("hidden", [(), (6,), (6, 5)])
@pytest.mark.parametrize("method", METHODS)
def test_the_networks_gradient_passes(toy, method, hidden):
    """One, two and three layers, by each method, within its tolerance."""
    checked = problem(toy, hidden)
    errors = checked.errors(list(checked.slopes(method, gradcheck.STEPS[method])))
    assert [e.name for e in errors] == [f"{n}{i}" for i in range(1, len(hidden) + 2) for n in "Wb"]
    assert all(e.norm_relative_error < gradcheck.TOLERANCES[method] for e in errors)


@pytest.mark.parametrize("wrong", ["no L2 term", "L2 not doubled", "ReLU let through", "sum for mean"])
def test_a_wrong_gradient_fails(toy, monkeypatch, wrong):
    """Four mistakes that students make are each found by the centred difference."""
    checked = problem(toy)
    right = network.cost_and_gradient

    def broken(theta, sizes, X, y, lam, **extras):
        cost, gradient = right(theta, sizes, X, y, {"no L2 term": 0, "L2 not doubled": lam / 2}.get(wrong, lam))
        if wrong == "sum for mean":
            gradient *= len(y)
        if wrong == "ReLU let through":
            Ws, _ = network.views(theta, sizes)
            gradient[:48] = (X.T @ (network.predict(theta, sizes, X) - np.eye(10)[y]) @ Ws[1].T / len(y)).ravel()
        return cost, gradient

    monkeypatch.setattr(network, "cost_and_gradient", broken)
    errors = checked.errors(list(checked.slopes("centred", 1e-5)))
    assert max(e.norm_relative_error for e in errors) > 1e-3


EXTRAS = {
    "smoothed labels": {"label_smoothing": 0.1},
    "dropout": {"dropout": {"hidden": 0.5, "input": 0.2}},
    "both": {"label_smoothing": 0.3, "dropout": {"hidden": 0.25}},
    "hinge": {"loss": "hinge"},
    "hinge and dropout": {"loss": "hinge", "dropout": {"hidden": 0.5}},
}


def with_extras(toy, name, hidden=(6, 5)):
    training = {"lambda": 0.1, "batch_size": 5} | EXTRAS[name]
    settings = Settings(seed=1, data={"dims": 8}, network={"hidden": hidden}, training=training)
    checked = gradients.problem(settings, Split(toy.X.astype(float), toy.y), 20)
    checked.theta[:] += 0.01  # with biases of 0, a node all of whose inputs are dropped lies on its kink
    return checked


@pytest.mark.parametrize("name", EXTRAS)
@pytest.mark.parametrize("method", METHODS)
def test_the_gradients_of_the_extras_pass(toy, method, name):
    """Label smoothing, dropout with a fixed mask and the hinge loss on three layers, by each method."""
    checked = with_extras(toy, name)
    errors = checked.errors(list(checked.slopes(method, gradcheck.STEPS[method])))
    assert all(e.norm_relative_error < gradcheck.TOLERANCES[method] for e in errors)


@pytest.mark.parametrize("name", ["smoothed labels", "dropout", "hinge"])
def test_the_gradient_of_another_cost_fails(toy, name):
    """The numerical gradient of an extra's cost is told from the plain cost's analytic one."""
    checked, plain = with_extras(toy, name), problem(toy, (6, 5))
    if name == "dropout":
        assert {0.0, 2.0} == set(np.unique(checked.masks[0]))
        assert (checked.images.X == 0).mean() == pytest.approx(0.2, abs=0.1)
    plain.theta[:] += 0.01
    errors = plain.errors(list(checked.slopes("centred", 1e-5)))
    assert max(e.norm_relative_error for e in errors) > 1e-3
