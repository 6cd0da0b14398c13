"""On the real CIFAR-10: the gradient, and the accuracies that the assignments' networks are known to reach."""

from statistics import fmean

import pytest

from cifarnet import config, data
from cifarnet.experiments import gradients
from cifarnet.nn.gradcheck import STEPS, TOLERANCES
from cifarnet.training import State, score, train

pytestmark = pytest.mark.real
ABSOLUTE = {"forward": 1e-5, "centred": 1e-9, "complex-step": 1e-13}


def trained(settings, dataset):
    """Train without measurements on the way; returns the state and the last record."""
    state = State.initial(settings)
    *_, last = train(state, dataset, settings)
    return state, last


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("lam", [pytest.param(0, marks=pytest.mark.slow), 0.1])
def test_gradients_agree_on_20_images_of_20_inputs(real_data_dir, lam, seed):
    """W1, b1, W2 and b2, each method within its error, but for the few values at a kink."""
    settings = config.load(overrides=["data.dims=20", f"training.lambda={lam}"])
    images = data.load(settings.data, real_data_dir, dtype="float64").train
    problem = gradients.problem(settings.model_copy(update={"seed": seed}), images, 20)
    for method in STEPS:
        for errors in problem.errors(list(problem.derivatives(method))):
            assert errors.norm_relative_error < TOLERANCES[method]
            assert errors.max_absolute_error < ABSOLUTE[method]
            assert errors.kinks < 5


@pytest.mark.parametrize(
    ("name", "seeds", "low", "high"),
    [
        ("figure-3", 1, 0.450, 0.475),
        pytest.param("assignment-1", 1, 0.36, 0.38, marks=pytest.mark.slow),
        pytest.param("figure-3", 3, 0.450, 0.475, marks=pytest.mark.torture),
        pytest.param("figure-4", 3, 0.46, 0.49, marks=pytest.mark.torture),
    ],
)
def test_the_assignments_networks_reach_what_is_known_of_them(real_data_dir, name, seeds, low, high):
    """Mean test accuracy; the course's own figures are 45.85 and 46.29 %, 47.47 and 48.11 %, and 36.69 %."""
    settings = config.load(name, ["evaluation.per_cycle=1"])
    dataset, chosen = data.load(settings.data, real_data_dir), settings.training
    states = [trained(settings.model_copy(update={"seed": seed}), dataset)[0] for seed in range(seeds)]
    scores = [score(s.theta, settings.sizes, dataset.test, chosen.loss_function.measured, chosen.l2) for s in states]
    assert low < fmean(scored.accuracy for scored in scores) < high


@pytest.mark.slow
def test_100_images_are_learnt_by_heart(real_data_dir):
    """The sanity check: 200 epochs on 100 images, lambda 0, end at a loss below .02 with all of them right."""
    settings = config.load("overfit", ["evaluation.per_cycle=1"])
    _, last = trained(settings, data.load(settings.data, real_data_dir))
    assert last.train.loss < 0.02
    assert last.train.accuracy == 1
