"""Experiments as run folders: one training and its resume, evaluations, range tests, gradient checks."""

import dataclasses
import errno
import gc
import threading

import numpy as np
import pytest

from cifarnet import config, data, plots
from cifarnet.data import Dataset, Split
from cifarnet.deviations import Practice
from cifarnet.errors import ConfigError, DataError, RunError
from cifarnet.experiments import evaluate, gradients, range_test, train
from cifarnet.nn import gradcheck, network
from cifarnet.nn.augmentation import variants
from cifarnet.nn.losses import L2
from cifarnet.nn.schedules import Ramp
from cifarnet.pages import render
from cifarnet.plots import figures
from cifarnet.runs import LATEST, Run
from cifarnet.training import loop, parallel
from tests.common import changed, files
from tests.faults import Faults, Trainings, injected


@pytest.fixture
def trainings(tiny, dataset, tmp_path, monkeypatch):
    """Run folders without pages, which take longer than the trainings."""
    monkeypatch.setattr(render, "write", lambda _: None)
    return Trainings(tiny, dataset, tmp_path, monkeypatch)


@pytest.fixture
def pages(trainings, monkeypatch):
    """For the tests that look at them."""
    monkeypatch.setattr(render, "write", WRITE)


WRITE = render.write
FILES = {".lock", "config.yaml", "environment.json", "log.txt", "run.html", "run.json"}  # of any run


# One training


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


def test_an_error_after_the_last_update_loses_no_update(trainings, monkeypatch):
    """The test images are damaged: failed, with the reason; once they are there, resume does what is left."""

    def damaged(_):
        raise DataError("test_batch is cut short")

    training = trainings.start()
    with monkeypatch.context() as patch, pytest.raises(DataError, match="cut short"):
        patch.setattr(Dataset, "test", property(damaged))
        trainings.train(training)
    assert (training.run.status, training.run.info["error"]) == ("failed", "test_batch is cut short")
    again = trainings.resume(training.run.path)
    assert again.info["resumed"] == [28]
    assert trainings.same(again.path)


def test_a_training_that_nobody_began_is_interrupted(trainings):
    """When it is forgotten, and when it is resumed in the same process; what has ended cannot be iterated over."""
    path = trainings.start().run.path
    gc.collect()
    assert Run(path).status == "interrupted"
    kept = trainings.start()
    assert trainings.same(trainings.resume(kept.run.path).path)
    with pytest.raises(RunError, match="interrupted; resume the run to go on"):
        list(kept)


@pytest.mark.parametrize("how", ["left", "raised", "kept"])
def test_a_training_left_in_a_loop_is_interrupted_and_goes_on(trainings, how):
    """Also where a notebook keeps the iterator: the same process takes it over."""
    training = trainings.start()
    kept = [iter(training)] if how == "kept" else []
    try:
        for record in kept[0] if kept else training:
            if record.step == 10 and how == "raised":
                raise KeyError("of a notebook")
            if record.step == 10:
                break
    except KeyError:
        pass
    assert training.run.status == ("running" if kept else "interrupted")
    done = trainings.resume(training.run.path)
    assert done.info["resumed"] == [10]
    assert trainings.same(done.path)
    assert [list(records) for records in kept] in ([], [[]])


def test_a_training_in_another_thread_is_not_taken_over(trainings):
    training, begun, end = trainings.start(), threading.Event(), threading.Event()

    def work():
        for record in training:
            if record.step == 5:
                begun.set()
                end.wait()

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait()
    with pytest.raises(RunError, match="another thread of this process is running it"):
        train.resume(Run(training.run.path))
    end.set()
    thread.join()
    assert trainings.same(training.run.path)


# Resume


def test_a_run_stopped_after_any_update_ends_with_the_same_bytes(trainings):
    """Marked interrupted, resumed: model.npz, metrics.csv, cycle checkpoints, results; stopped again, as well."""
    for steps in (0, 1, 13, 14, 15, 27, 28):
        run = trainings.train(trainings.start(), steps)
        assert Run(run.path).status == "interrupted"
        again = steps + 4
        run = trainings.resume(trainings.resume(run.path, again).path)
        assert run.info["resumed"] == [steps, min(again, 28)]
        assert trainings.same(run.path), steps


def test_all_that_a_training_remembers_goes_on(trainings):
    """Moments, the average of the weights, growing cycles, dropout, augmentation: stopped anywhere, the same bytes."""
    trainings.settings = changed(
        trainings.settings,
        training__optimizer={"kind": "adam"},
        training__schedule={"kind": "cyclic", "n_s": 9, "cycles": 2, "cycle_growth": 2, "eta_max": 0.01},
        training__dropout={"input": 0.1, "hidden": 0.2},
        training__augmentation={"noise": 0.1},
        training__label_smoothing=0.1,
        training__average=0.8,
    )
    trainings.full = trainings.train(trainings.start("full"))
    for step in (16, 53):
        run = trainings.train(trainings.start("stopped"), step)
        assert trainings.same(trainings.resume(run.path).path), step


def change_config(trainings, path, patch):
    (path / "config.yaml").write_text((path / "config.yaml").read_text().replace("lambda: 0.01", "lambda: 0.02"))


def change_images(trainings, path, patch):
    trainings.dataset = dataclasses.replace(trainings.dataset, fingerprint="another")


def change_numerics(trainings, path, patch):
    patch.setattr(train, "NUMERICS", train.NUMERICS + 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_config, r"training\.lambda was 0\.01 and is 0\.02 \(config\.yaml\); undo that"),
        (change_images, "the images are not those that it began with"),
        (change_numerics, r"it began with version \d of the numerics and this is version \d"),
    ],
)
def test_a_run_that_would_become_another_is_refused(trainings, monkeypatch, change, message):
    """The difference is named, the folder stays as it was, and anybody may take it."""
    run = trainings.train(trainings.start(), 10)
    change(trainings, run.path, monkeypatch)
    before = {name: (run.path / name).read_bytes() for name in files(run.path)}
    with pytest.raises(RunError, match=message):
        trainings.resume(run.path)
    assert before == {name: (run.path / name).read_bytes() for name in files(run.path)}
    with Run(run.path).take() as taken:
        taken.release()


def test_a_checkpoint_that_is_not_the_runs_own_is_refused(trainings):
    """The message names the file, what is wrong and the cure; the cure works."""
    run = trainings.train(trainings.start(), 10)
    path = run.path / LATEST
    arrays = run.read_arrays(LATEST, ["theta", "step", "metrics"])
    np.savez(path, **arrays, identity=np.array("another"))
    with pytest.raises(RunError, match=r"latest\.npz: it is of another run, .*; remove it, and the run is done again"):
        trainings.resume(run.path)
    path.write_bytes(b"PK")
    with pytest.raises(RunError, match=r"latest\.npz: cannot be read.*remove it"):
        trainings.resume(run.path)
    path.unlink()
    assert trainings.same(trainings.resume(run.path).path)


def test_runs_of_earlier_versions_go_on(trainings):
    """training.augmentation was called jitter; the identity of a checkpoint is the one that commit 467e260 wrote."""
    run = trainings.train(trainings.start(), 10)
    written = "3c94c276102d47469c6c56b025d50274c356179fbedb23909d4fe8323e21fc43"
    assert run.read_arrays(LATEST, ["identity"])["identity"].tolist() == written
    for name in ("run.json", "config.yaml"):
        text = (run.path / name).read_text()
        assert "augmentation" in text
        (run.path / name).write_text(text.replace("augmentation", "jitter"))
    assert trainings.same(trainings.resume(run.path).path)


def test_what_is_no_training_is_not_resumed(trainings):
    """The kind of run is named."""
    run = train.create(trainings.settings, trainings.dataset, trainings.folder, "gradcheck")
    run.finish("interrupted")
    with pytest.raises(RunError, match="a gradcheck run, not a training"):
        trainings.resume(run.path)


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
    assert not evaluate.evaluate(pair, "test").same_data
    expected = {f"figures/{kind}-ensemble-test.png" for kind in ("confusion", "mistakes", "members")}
    assert expected | {"confusion-ensemble-test.csv"} <= files(pair[0].path)
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


def test_the_rule_of_the_range_test_by_hand():
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
    assert files(run.path) == FILES | {"figures/range-test.png"} | tables
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


# Gradient checks


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
    assert files(check.run.path) == FILES
    own = gradients.check(trainings.settings, runs_dir=trainings.folder)
    assert {problem.settings.training.lam for problem in own.problems} == {0.01}
    with pytest.raises(ConfigError, match="--samples 61: there are 60 training images"):
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
