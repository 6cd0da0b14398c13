"""cifarnet in Python: runs, records, probabilities and figures."""

import doctest
import re

import numpy as np
import pytest

import cifarnet
from cifarnet import api, config, data, errors
from cifarnet.api import calls
from cifarnet.errors import ConfigError, RunError
from tests.common import SHORT, python

SMALL = SHORT | {"data": SHORT["data"] | {"dims": 20}, "network": {"hidden": [5]}}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A training on synthetic images that has ended, and its last record."""
    training = cifarnet.start(SHORT, runs_dir=tmp_path_factory.mktemp("runs"), label="tiny", seed=3)
    *_, record = training
    return training, record


@pytest.fixture
def run(trained):
    return trained[0].run


@pytest.mark.slow
def test_the_examples_of_the_documentation_run(tmp_path, monkeypatch):
    """Every >>> of the docstrings prints what it says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CIFARNET_SET", raising=False)
    results = [doctest.testmod(module) for module in (api, calls)]
    assert sum(result.attempted for result in results) > 20
    assert not any(result.failed for result in results)


LIGHT = """
import sys, cifarnet
assert "numpy" not in sys.modules
cifarnet.load
assert "numpy" in sys.modules
from cifarnet import plots
assert "matplotlib" not in sys.modules
import numpy as np
plots.render(plots.weights(np.ones((3072, 3))), "png")
assert "matplotlib.pyplot" not in sys.modules
import cifarnet.search.study
assert cifarnet.search.__module__ == "cifarnet.api.calls"
"""


def test_importing_is_light():
    """numpy comes with the first name that needs it, matplotlib with a figure, pyplot never; all names are there.

    cifarnet.search is the function, also where its room was imported first.
    """
    python("-c", LIGHT)
    assert all(hasattr(cifarnet, name) for name in dir(cifarnet))
    with pytest.raises(AttributeError, match="has no attribute 'loda'"):
        cifarnet.loda  # noqa: B018


def test_reprs_are_short(trained, run):
    """Of all that a cell may end with: nothing of the arrays."""
    training, record = trained
    assert repr(config.load("figure-4")).startswith("Settings(label='figure-4', training=Training(lam=0.01, schedule=")
    assert repr(training) == f"Training({run.path}: 20 of 20 updates)"
    assert repr(cifarnet.load(run.path)) == f"Run('{run.path}', completed)"
    assert repr(training.state) == "State(step 20, 3072-50-10, float32)"
    assert repr(training.dataset) == "Dataset(synthetic: 1,000 training and 1,000 validation images of 3,072 inputs)"
    assert repr(run.model) == "Model(3072-50-10, 154,160 parameters)"
    assert re.fullmatch(
        r"Record\(step 20, eta 1e-05, training \S+ % at cost \S+, validation \S+ % at cost \S+\)", repr(record)
    )


def test_a_run_is_html_with_its_curves(run, tmp_path):
    """What a folder holds is escaped; of a damaged or a young one there is less, and no error."""
    page = run._repr_html_()
    assert 'src="data:image/png;base64,' in page
    assert "training.schedule.n_s</td><td>10<" in page
    assert f"{100 * run.results['test_accuracy']:.2f} % of the test images" in page
    young = cifarnet.start(SHORT, runs_dir=tmp_path, label="young").run
    assert "<img" not in young._repr_html_()
    young.write("config.yaml", "nothing: [<b>")
    damaged = cifarnet.load(young.path)
    assert damaged.differing == {}
    assert "<table></table>" in damaged._repr_html_()


def test_a_search_that_was_left_is_resumed(tmp_path, monkeypatch):
    """The trial that has ended is not trained again; its settings are those that it began with."""

    class Left(calls._bar(1, "", False).__class__):
        def update(self, n=1):
            raise KeyboardInterrupt

    monkeypatch.setattr(calls, "_bar", lambda *_: Left(disable=True))
    over = {"over": {"network.hidden": {"values": [3, 5, 7]}}, "coarse": {"n_s": 5, "cycles": 1}}
    with pytest.raises(KeyboardInterrupt):
        cifarnet.search(SMALL | {"search": over}, runs_dir=tmp_path, jobs=1)
    monkeypatch.undo()
    left = cifarnet.load("latest", tmp_path)
    rows = left.read_rows("trials.csv")
    assert left.status == "interrupted" and len(rows) < 3
    with pytest.raises(RunError, match=r"goes on with cifarnet\.search\(resume="):
        left.resume()
    resumed = cifarnet.search(resume=left, jobs=1)
    assert resumed.path == left.path and resumed.status == "completed"
    assert resumed.read_rows("trials.csv")[: len(rows)] == rows and len(resumed.trials) == 3
    with pytest.raises(ValueError, match="as it is"):
        cifarnet.search(SMALL, resume=left)


def test_a_gradient_check_and_a_range_test_are_runs(tmp_path):
    """Errors and etas are in their results."""
    check = cifarnet.gradcheck(SMALL, dims=3, samples=2, lambdas=[0.1], methods=["centered"], runs_dir=tmp_path)
    assert check.results["passed"] and {row["method"] for row in check.results["parameters"]} == {"centred"}
    found = cifarnet.find_eta(SMALL, hidden=[5, 0, np.array([4, 3])], high=0.2, runs_dir=tmp_path)
    assert sorted(found.results["found"]) == ["hidden-4-3-lambda-0", "hidden-5-lambda-0", "hidden-none-lambda-0"]
    assert found.draw().axes


def test_a_training_left_early_goes_on(tmp_path):
    """By `Run.resume`; the page of the run then says completed."""
    for record in (training := cifarnet.start(SMALL, runs_dir=tmp_path)):
        if record.step == 7:
            assert training.run.status == "running"
            break
    assert training.run.status == "interrupted"
    assert [record.step for record in training.run.resume()] == list(range(8, 21))
    assert "completed" in (training.run.path / "run.html").read_text()


def test_iterating_again_goes_on_in_an_iterator_that_is_open(tmp_path):
    training = cifarnet.start(SMALL, runs_dir=tmp_path)
    records = iter(training)
    assert [next(records).step for _ in range(3)] == [0, 1, 2]
    assert [record.step for record in training] == list(range(3, 21))
    assert cifarnet.load(training.run.path).records["step"][-1] == 20


@pytest.mark.parametrize(
    ("call", "arguments", "message"),
    [
        (cifarnet.start, {"formats": "jpg"}, "no format jpg; there are png, svg and pdf"),
        (cifarnet.search, {"stage": "x"}, "no stage x; there are coarse and fine"),
        (cifarnet.find_eta, {"epochs": 0}, "epochs 0 must be a whole number, at least 1"),
        (cifarnet.find_eta, {"low": 1}, r"low 1 must be above 0 and below high 0\.5"),
        (cifarnet.gradcheck, {"samples": -1}, "samples -1 must be a whole number, at least 1"),
        (cifarnet.gradcheck, {"step": 0}, "step 0 must be above 0"),
        (cifarnet.gradcheck, {"methods": ["x"]}, "no method x; there are forward, centred, complex-step"),
        (cifarnet.train, {"threads": 1.5}, r"threads 1\.5 must be a whole number"),
    ],
)
def test_wrong_arguments_are_refused_before_a_run_is_made(tmp_path, call, arguments, message):
    with pytest.raises(ValueError, match=message):
        call(SMALL, runs_dir=tmp_path, **arguments)
    assert not list(tmp_path.iterdir())


LEFT = f"""
import cifarnet, sys
names = "begun", "untouched"
begun, untouched = (cifarnet.start({SHORT}, runs_dir=sys.argv[1], label=name, threads=4) for name in names)
records = iter(begun)
next(records), next(records)
"""


def test_trainings_that_a_process_leaves_at_its_end_are_interrupted(tmp_path):
    """The one that a notebook holds in the middle, and the one that nobody began; nothing is complained about."""
    assert python("-c", LEFT, tmp_path) == ("", "")
    for path in tmp_path.glob("2*"):
        run = cifarnet.load(path)
        assert (run.status, run.info["updates"]) == ("interrupted", int(run.label == "begun"))


def test_numbers_of_numpy_are_those_of_python():
    source = {"network": {"hidden": np.array([5, 4])}, "training": {"lambda": np.float64(0.5)}}
    settings = config.load(source, seed=np.int64(3))
    assert (settings.network.hidden, settings.training.lam, settings.seed) == ((5, 4), 0.5, 3)


def test_errors_name_arguments_and_not_options(tmp_path):
    for source in (None, config.load("quick")):
        with pytest.raises(ConfigError, match=r"^overrides: training.lamda = 1: unknown .*\nseed: seed = -1: must be"):
            cifarnet.train(source, ["training.lamda=1"], seed=-1, runs_dir=tmp_path)


def test_predict_agrees_with_evaluate(run):
    """On the test images, as pixels, the accuracy is that of the run."""
    with pytest.raises(ValueError, match="no split mean; there are train, validation and test"):
        run.evaluate("mean")
    test = data.load(run.settings.data)
    pixels = test.pixels(test.test, range(2000))
    P = run.predict(pixels)
    assert (P.argmax(axis=1) == test.test.y[:2000]).mean() == pytest.approx(run.results["test_accuracy"], abs=0.05)
    assert run.evaluate()["accuracy"] == run.results["test_accuracy"]
    assert run.evaluate("validation", checkpoint="cycle-1")["accuracy"] == run.results["validation_accuracy"]


def test_a_network_of_images_that_were_normalised_one_by_one_takes_no_pictures(run, monkeypatch):
    """It has no mean and deviation for them; its own images are evaluated."""
    settings = config.override(run.settings, {"deviations.statistics_of_image": True}, "test")
    monkeypatch.setitem(vars(run), "settings", settings)
    with pytest.raises(RunError, match=r"cannot classify pictures: deviations.statistics_of_image is on"):
        run.predict(np.zeros((1, 3072)))
    assert 0 < run.evaluate()["accuracy"] < 1


@pytest.mark.parametrize("name", ["curves", "eta", "weights"])
def test_every_figure_is_drawn_on_given_axes(run, name):
    """On one's own axes, in a figure of one's own; a wrong name is refused."""
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.subplots(1, 3)
    assert run.draw(name, axes=axes if name == "curves" else axes[1]) is figure
    assert axes[1].has_data()
    with pytest.raises(ValueError, match="no figure 'curve'; of this run there are curves, eta, weights"):
        run.draw("curve")


def test_every_error_has_its_exit_code():
    codes = {name: kind.exit_code for name, kind in vars(errors).items() if isinstance(kind, type)}
    assert codes == {
        "CifarnetError": 1, "ConfigError": 2, "DataError": 1, "RunError": 1, "GradientCheckFailed": 3, "Diverged": 4,
        "CodeError": 1,
    }  # fmt: skip
