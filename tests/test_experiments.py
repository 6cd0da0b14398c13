"""Experiments as run folders: a training and its scores, evaluations, range tests."""

import errno

import numpy as np
import pytest

from cifarnet import config, data, plots
from cifarnet.data import Dataset, Split
from cifarnet.errors import ConfigError, RunError
from cifarnet.experiments import evaluate, range_test, train
from cifarnet.nn import network
from cifarnet.nn.augmentation import variants
from cifarnet.nn.schedules import Ramp
from cifarnet.plots import figures
from cifarnet.runs import LATEST, Run
from tests.common import RUN_FILES, changed, files
from tests.faults import Faults, injected


def test_a_training_cost_from_batches_is_scored_at_the_end(trainings):
    trainings.settings = changed(trainings.settings, evaluation__train_cost="running_mean")
    run = trainings.train(trainings.start())
    assert run.results["train_accuracy"] == trainings.full.results["train_accuracy"]
    assert run.records["train_cost"][-1] != run.results["train_cost"] == trainings.full.results["train_cost"]


def test_the_network_that_is_kept_is_the_one_that_is_scored(trainings):
    """Here the best epoch's, by a deviation, which is not the last."""
    trainings.settings = changed(trainings.settings, "best_epoch", training__schedule__eta_max=2)
    run = trainings.train(trainings.start())
    last = run.read_arrays(LATEST, ["theta"])["theta"]
    assert evaluate.evaluate([run], "test").summary["accuracy"] == run.results["test_accuracy"]
    assert not np.array_equal(run.model.theta, last)


def test_a_figure_that_fails_costs_no_training(tiny, dataset, tmp_path, monkeypatch):
    """The figure is named, the others are there, the results stand."""
    monkeypatch.setattr(data, "load", lambda *_, **__: dataset)
    broken = plots.FIGURES["curves"]._replace(draw=lambda run: 1 / 0)
    monkeypatch.setitem(plots.FIGURES, "curves", broken)
    done = train.start(tiny, runs_dir=tmp_path)
    list(done)
    assert done.run.status == "completed"
    assert done.run.results["test_accuracy"] == done.run.results["train_accuracy"]
    assert [name for name in files(done.run.path) if "figures" in name] == ["figures/eta.png"]
    (warning,) = done.warnings
    assert "curves" in warning
    assert "division by zero" in warning


# Evaluations


@pytest.fixture
def pair(trainings, tiny, monkeypatch):
    """Two runs on images of 32 x 32 x 3 inputs, of other seeds, normalisation and validation images."""
    rng, sets = np.random.default_rng(1), {}
    y = np.arange(70) % 10
    pixels = 0.3 * rng.random((10, 3072))[y] + 0.1 * rng.random((70, 3072))
    for held_out, mean in ((20, 0.2), (30, 0.1)):
        X = (pixels - mean).astype(np.float32)
        parts = Split(X[:-held_out], y[:-held_out]), Split(X[-held_out:], y[-held_out:]), Split(X, y)
        sets[held_out] = Dataset.of(*parts, mean=np.full(3072, mean), fingerprint=str(held_out))
    monkeypatch.setattr(data, "load", lambda settings, *_, **__: sets[settings.validation])
    settings = changed(tiny, data__dims=None, data__limit=None, training__schedule__eta_max=0.003)
    runs = []
    for seed, held_out in enumerate(sets):
        seeded = changed(settings, seed=seed, data__validation=held_out)
        runs.append(trainings.train(train.start(seeded, runs_dir=trainings.folder / "pair")))
    return runs


def probabilities(run, X):
    """P (n, K) of images normalised as in a run's training."""
    return network.predict(run.model.theta, run.model.sizes, X)


def test_every_member_sees_its_own_normalisation(pair, monkeypatch):
    """Each network's accuracy is that of its run; together they count by mean probability, with its cross-entropy."""
    found = evaluate.evaluate(pair, "test")
    P = np.mean([probabilities(run, data.load(run.settings.data).test.X) for run in pair], axis=0)
    y = data.load(pair[0].settings.data).test.y
    assert [m["accuracy"] for m in found.summary["members"]] == [run.results["test_accuracy"] for run in pair]
    assert found.summary["accuracy"] == (P.argmax(axis=1) == y).mean()
    assert found.summary["loss"] == pytest.approx(-np.log(P[np.arange(70), y]).mean())
    assert found.summary["by_members"][-1]["mean_probability"] == found.summary["accuracy"]
    assert (found.figures[0], found.same_data) == ("confusion-ensemble-test", True)
    monkeypatch.setattr(Run, "environment", {"data": {"fingerprint": "of others"}})
    (pair[0].path / "confusion-ensemble-test.csv").write_text("of the training's images")
    others = evaluate.evaluate(pair, "test")
    assert (others.figures[0], others.same_data) == ("confusion-ensemble-other-test", False)
    assert (pair[0].path / "confusion-ensemble-test.csv").read_text() == "of the training's images"
    expected = {f"figures/{kind}-ensemble-test.png" for kind in ("confusion", "mistakes", "members")}
    assert expected | {"confusion-ensemble-other-test.csv"} <= files(pair[0].path)
    with pytest.raises(RunError, match=r"has other validation images than .* take --split test"):
        evaluate.evaluate(pair, "validation")


@pytest.mark.parametrize(("flips", "shifts", "name"), [(True, 0, "flips-test"), (True, 1, "flips-shifts-1-test")])
def test_variants_of_images_count_by_their_mean(pair, flips, shifts, name):
    """The accuracy is that of the mean over an image and its mirror image, in every place, worked separately."""
    run, test = pair[0], data.load(pair[0].settings.data).test
    P = np.mean([probabilities(run, X) for X in variants(test.X, flips=flips, shifts=shifts)], axis=0)
    found = evaluate.evaluate([run], "test", flips=flips, shifts=shifts)
    assert found.summary["accuracy"] == (P.argmax(axis=1) == test.y).mean()
    assert found.summary["loss"] == pytest.approx(-np.log(P[np.arange(70), test.y]).mean(), rel=1e-4)
    assert found.figures[0] == f"confusion-{name}"
    assert "members" not in found.summary


def test_the_loss_over_variants_is_that_which_was_trained(pair, trainings):
    """Of two networks with the hinge loss, on each image and its mirror image: the mean of the four."""
    settings, y = changed(pair[0].settings, training__loss="hinge"), np.arange(70) % 10
    runs = [trainings.train(train.start(changed(settings, seed=seed), runs_dir=trainings.folder)) for seed in (1, 2)]
    X, losses = data.load(settings.data).test.X, []
    for run in runs:
        for images in variants(X, flips=True, shifts=0):
            Z = network.forward(run.model.theta, run.model.sizes, images)[-1]
            losses.append(np.maximum(0, Z - Z[np.arange(70), y][:, None] + 1).sum(axis=1).mean() - 1)
    assert len(losses) == 4
    assert evaluate.evaluate(runs, "test", flips=True).summary["loss"] == pytest.approx(np.mean(losses), rel=1e-5)


def test_checkpoints_are_evaluated_by_name(trainings):
    """cycle-N and latest, of an interrupted run, too; what is not there is named, with what is."""
    run = trainings.train(trainings.start(), 20)
    cycle = evaluate.evaluate([run], "test", checkpoint="cycle-1")
    P = network.predict(run.load_model("checkpoints/cycle-1.npz").theta, run.settings.sizes, trainings.dataset.test.X)
    assert cycle.summary["accuracy"] == (P.argmax(axis=1) == trainings.dataset.test.y).mean()
    assert cycle.figures == ["confusion-cycle-1-test"]
    latest = evaluate.evaluate([trainings.full], "test", checkpoint="latest").summary
    assert latest == evaluate.evaluate([trainings.full], "test").summary
    assert evaluate.evaluate([run], "test", checkpoint="latest").summary["n"] == 60
    for name in ("cycle-2", "../run"):
        with pytest.raises(RunError, match=rf"no checkpoint {name}; its checkpoints: best, latest, cycle-1$"):
            evaluate.evaluate([run], "test", checkpoint=name)
    with pytest.raises(RunError, match="has no network: it was interrupted after 20 updates"):
        evaluate.evaluate([run], "test")


def test_the_best_checkpoint_is_the_first_of_the_highest_validation_accuracy(trainings):
    """Not a later one that is as good; of a folder of an earlier version, the best since is not taken for it."""
    run = trainings.full
    accuracies, best = run.records["validation_accuracy"], run.read_arrays("checkpoints/best.npz", ["step"])
    assert best["step"] == run.records["step"][accuracies.argmax()]
    found = evaluate.evaluate([run], "validation", checkpoint="best")
    assert (found.summary["accuracy"], found.figures[0]) == (accuracies.max(), "confusion-best-validation")
    flat = {"eta_min": 1e-12, "eta_max": 1e-12, "n_s": 7, "cycles": 2}
    trainings.settings = changed(trainings.settings, training__schedule=flat)
    equal = trainings.train(trainings.start())
    assert equal.read_arrays("checkpoints/best.npz", ["step"])["step"] == 0
    trainings.settings = run.settings
    stopped = trainings.train(trainings.start(), 27)
    (stopped.path / "checkpoints/best.npz").unlink()
    again = trainings.resume(stopped.path)
    improved = accuracies[-1] > accuracies[:-1].max()
    assert (again.path / "checkpoints/best.npz").exists() == improved


def test_the_ends_of_cycles_are_an_ensemble(trainings):
    """The latest first; a run without one is refused, as are cut images that would be mirrored."""
    found = evaluate.evaluate([trainings.full], "test", cycles=True)
    assert [m["name"] for m in found.summary["members"]] == [f"{trainings.full.name}, cycle {n}" for n in (2, 1)]
    assert found.summary["members"][0]["accuracy"] == trainings.full.results["test_accuracy"]
    with pytest.raises(RunError, match="no finished cycle; its checkpoints: best, latest"):
        evaluate.evaluate([trainings.train(trainings.start(), 10)], "test", cycles=True)
    with pytest.raises(RunError, match=r"cannot be mirrored or moved"):
        evaluate.evaluate([trainings.full], "test", flips=True)


def test_a_folder_that_cannot_be_written_costs_no_result(trainings):
    """Its evaluation is there, with a warning, and the figures are not."""
    before = files(trainings.full.path)
    with injected(Faults(errno.EROFS, 0, lasting=True)):
        found = evaluate.evaluate([trainings.full], "test")
    assert found.summary["accuracy"] == trainings.full.results["test_accuracy"]
    (warning,) = found.warnings
    assert "figures could not be kept" in warning
    assert "Read-only file system" in warning
    assert files(trainings.full.path) == before


# Range tests


def test_the_range_test_finds_what_its_rule_finds_by_hand():
    """Up to a mean of .44 at .6 and down: eta_max there, eta_min where .134 is passed; too few points are refused."""
    accuracy = np.array([0.1, 0.11, 0.137, 0.3, 0.4, 0.45, 0.5, 0.45, 0.4, 0.3, 0.2, 0.1, 0.1])
    found = range_test.suggest(np.arange(13) / 10 + 0.001, accuracy)
    assert found == {"training.schedule.eta_min": 0.2, "training.schedule.eta_max": 0.6}
    with pytest.raises(RunError, match=r"only 3 of the 5 points"):
        range_test.suggest(np.ones(3), np.ones(3))


@pytest.mark.parametrize("log", [False, True])
def test_range_tests_leave_a_run_folder(trainings, pages, monkeypatch, log):
    """Curves from the first to the last eta, a figure, and a config with the eta found, for every combination."""
    monkeypatch.setattr(plots, "draw", figures.draw)
    settings = changed(trainings.settings, training__optimizer={"kind": "momentum"}, training__average=0.5)
    ramp = Ramp(eta_min=1e-4, eta_max=0.05, epochs=10, log=log, points=15)
    test = range_test.start(settings, ramp, hidden=[(5,), ()], lambdas=[0, 0.1], runs_dir=trainings.folder / "eta")
    names = [f"hidden-{layers}-lambda-{lam}" for layers in ("5", "none") for lam in ("0", "0.1")]
    assert [step for step in test if step[1] == 60] == [(name, 60, 60) for name in names]
    run = test.run
    tables = {f"{name}.{kind}" for name in names for kind in ("csv", "yaml")}
    assert files(run.path) == RUN_FILES | {"figures/range-test.png"} | tables
    assert (run.status, run.choices) == ("completed", config.flatten(config.plain(settings)))
    assert {"numpy", "data", "threads"} <= run.environment.keys()
    curves = run.read_table(f"{names[0]}.csv")
    assert len(curves["eta"]) == 16
    assert curves["eta"][0] == pytest.approx(1e-4)
    assert 0.04 < curves["eta"][-1] < 0.05
    losses = np.array([record.batch_loss for record in test.rising(test.tests[names[0]])])
    np.testing.assert_allclose(curves["loss"][1:], losses[1:].reshape(15, 4).mean(axis=1))
    without_average = changed(test.tests[names[0]], training__average=0)
    accuracies = [record.validation.accuracy for record in test.rising(without_average) if record.validation]
    assert curves["accuracy"].tolist() == accuracies
    values = run.results["found"][names[3]] | {"network.hidden": [], "training.lambda": 0.1}
    saved = config.load_saved(run.path / f"{names[3]}.yaml")
    assert saved == changed(settings, label=saved.label, **values)


def test_a_range_test_ends_where_it_diverges(trainings, monkeypatch):
    """The points before it count, the figure may fail, and the folder is complete."""
    monkeypatch.setattr(plots, "draw", figures.draw)
    monkeypatch.setattr(plots.experiments, "range_test", lambda *_, **__: 1 / 0)
    ramp = Ramp(eta_min=1e-4, eta_max=1e12, epochs=5, log=True, points=30)
    test = range_test.start(trainings.settings, ramp, runs_dir=trainings.folder / "eta")
    assert list(test)[-1][1] < 30
    ((name, pair),) = test.run.results["found"].items()
    assert name == "hidden-6-lambda-0.01"
    assert pair["training.schedule.eta_max"] < 100
    assert test.warnings == ["the figure range-test could not be drawn: division by zero"]


def test_only_a_schedule_with_a_range_is_tested(trainings):
    constant = changed(trainings.settings, training__schedule={"kind": "constant"})
    with pytest.raises(ConfigError, match="constant: has no eta_min and eta_max to find; take cyclic"):
        range_test.start(constant, Ramp(eta_min=1e-4, eta_max=1, epochs=1), runs_dir=trainings.folder / "eta")
    assert not (trainings.folder / "eta").exists()
