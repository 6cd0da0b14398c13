"""On the real CIFAR-10: the gradient, and the accuracies that the assignments' networks are known to reach."""

from statistics import fmean

import pytest

from cifarnet import config, data, experiment, gradcheck, gradients
from cifarnet.evaluation import score
from cifarnet.training import train

pytestmark = pytest.mark.real

NORM = {"forward": 1e-5, "centred": 1e-8, "complex-step": 1e-13}
ABSOLUTE = {"forward": 1e-5, "centred": 1e-9, "complex-step": 1e-13}


@pytest.mark.parametrize("lam", [0, 0.1])
def test_gradients_agree_on_20_images_of_20_inputs(real_data_dir, lam):
    """Seeds 0 to 4, W1, b1, W2, b2, each method within its error, away from kinks."""
    settings = config.load(overrides=["data.dims=20", f"training.lambda={lam}"])
    images = data.load(settings.data, real_data_dir, dtype="float64").train
    for seed in range(5):
        problem = gradients.problem(settings.model_copy(update={"seed": seed}), images, 20)
        for method, h in gradcheck.STEPS.items():
            for errors in problem.errors(list(problem.slopes(method, h))):
                assert errors.norm_relative_error < NORM[method]
                assert errors.max_absolute_error < ABSOLUTE[method]
                assert errors.kinks < 5


@pytest.mark.parametrize(
    ("name", "seeds", "low", "high"),
    [("figure-3", 3, 0.450, 0.475), ("figure-4", 1, 0.46, 0.49), ("assignment-1", 1, 0.36, 0.38)],
)
def test_the_assignments_networks_reach_what_is_known_of_them(real_data_dir, name, seeds, low, high):
    """Mean test accuracy; the course's own figures are 45.85 and 46.29 %, 47.47 and 48.11 %, and 36.69 %."""
    settings = config.load(name, ["evaluation.per_cycle=1"])
    dataset = data.load(settings.data, real_data_dir)
    accuracies = []
    for seed in range(seeds):
        seeded = settings.model_copy(update={"seed": seed})
        state = experiment.initial(seeded)
        for _ in train(state, dataset.train, dataset.validation, experiment.plan(seeded)):
            pass
        accuracies.append(score(state.theta, settings.sizes, *dataset.test, settings.training.lam).accuracy)
    assert low < fmean(accuracies) < high


def test_100_images_are_learnt_by_heart(real_data_dir):
    """The sanity check: 200 epochs on 100 images, lambda 0, end at a loss below .02 with all of them right."""
    settings = config.load("overfit", ["evaluation.per_cycle=1"])
    dataset = data.load(settings.data, real_data_dir)
    *_, last = train(experiment.initial(settings), dataset.train, dataset.validation, experiment.plan(settings))
    assert last.train.loss < 0.02
    assert last.train.accuracy == 1
