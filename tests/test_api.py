"""cifarnet in Python: runs, records, probabilities and figures."""

import doctest
import re
import subprocess
import sys

import numpy as np
import pytest

import cifarnet
from cifarnet import api, config, data, errors, version
from cifarnet.api import calls
from cifarnet.errors import ConfigError, RunError

CONFIG = {"data": {"source": "synthetic", "limit": 1000, "validation": 1000}, "training": {"schedule": {"n_s": 10}}}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run on synthetic images."""
    return cifarnet.train(CONFIG, runs_dir=tmp_path_factory.mktemp("runs"), label="tiny", seed=3)


@pytest.mark.slow
def test_the_examples_of_the_documentation_run(tmp_path, monkeypatch):
    """Every >>> of the docstrings prints what it says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CIFARNET_SET", raising=False)
    results = [doctest.testmod(module) for module in (api, calls)]
    assert sum(result.attempted for result in results) > 20
    assert not any(result.failed for result in results)


def test_importing_cifarnet_is_light():
    """numpy comes with the first name that needs it, and all names are there."""
    code = "import sys, cifarnet; assert 'numpy' not in sys.modules; cifarnet.load; assert 'numpy' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert all(hasattr(cifarnet, name) for name in dir(cifarnet))
    with pytest.raises(AttributeError, match="has no attribute 'loda'"):
        cifarnet.loda  # noqa: B018


def test_search_is_the_function_also_where_its_room_was_imported_first():
    code = "import cifarnet.search.study, cifarnet; assert cifarnet.search.__module__ == 'cifarnet.api.calls'"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_reprs_are_short(run, tmp_path):
    """Of all that a cell may end with: nothing of the arrays."""
    training = cifarnet.start(CONFIG, runs_dir=tmp_path, label="short", formats=["svg"])
    *_, record = training
    assert repr(config.load("figure-4")).startswith("Settings(label='figure-4', training=Training(lam=0.01, schedule=")
    assert repr(training) == f"Training({training.run.path}: 20 of 20 updates)"
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
    young = cifarnet.start(CONFIG, runs_dir=tmp_path, label="young").run
    assert "<img" not in young._repr_html_()
    young.write("config.yaml", "nothing: [<b>")
    damaged = cifarnet.load(young.path)
    assert damaged.differing == {}
    assert "<table></table>" in damaged._repr_html_()


def test_a_search_goes_from_coarse_to_fine(tmp_path):
    """Over lambda, and over what search.over names; trials are ranked, the figure is drawn, a wrong origin refused."""
    small = {"trials": 2, "n_s": 5, "cycles": 1}
    search = {"coarse": small, "fine": small, "final": {"train": [1], "n_s": 5}}
    coarse = cifarnet.search(CONFIG | {"search": search}, runs_dir=tmp_path, jobs=1)
    fine = cifarnet.search(stage="fine", earlier=coarse, runs_dir=tmp_path, jobs=1, progress=False)
    assert fine.trials[0]["validation_accuracy"] == fine.results["validation_accuracy"]
    assert len(coarse.trials) == 2
    assert coarse.draw().axes and coarse.figures == ["search"]
    over = CONFIG | {"search": search | {"over": {"network.hidden": {"values": [3, 5]}}}}
    wide = cifarnet.search(over, runs_dir=tmp_path, jobs=1)
    assert sorted(trial["hidden"] for trial in wide.trials) == [3, 5]
    with pytest.raises(RunError, match="no search"):
        cifarnet.search(stage="fine", earlier=cifarnet.gradcheck(CONFIG, dims=3, samples=2, runs_dir=tmp_path))


def test_a_search_that_was_left_is_resumed(tmp_path, monkeypatch):
    """The trial that has ended is not trained again; its settings are those that it began with."""

    class Left(calls._bar(1, "", False).__class__):
        def update(self, n=1):
            raise KeyboardInterrupt

    monkeypatch.setattr(calls, "_bar", lambda *_: Left(disable=True))
    over = {"over": {"network.hidden": {"values": [3, 5, 7]}}, "coarse": {"n_s": 5, "cycles": 1}}
    with pytest.raises(KeyboardInterrupt):
        cifarnet.search(CONFIG | {"search": over}, runs_dir=tmp_path, jobs=1)
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
        cifarnet.search(CONFIG, resume=left)


def test_a_gradient_check_and_a_range_test_are_runs(tmp_path):
    """Errors and etas are in their results; wrong methods and ranges are refused before anything is written."""
    check = cifarnet.gradcheck(CONFIG, dims=3, samples=2, lambdas=[0.1], methods=["centered"], runs_dir=tmp_path)
    assert check.results["passed"] and {row["method"] for row in check.results["parameters"]} == {"centred"}
    found = cifarnet.find_eta(CONFIG, hidden=[[5], []], high=0.2, runs_dir=tmp_path)
    assert sorted(found.results["found"]) == ["hidden-5-lambda-0", "hidden-none-lambda-0"]
    assert found.draw().axes
    before = list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="no method backward; there are forward, centred, complex-step"):
        cifarnet.gradcheck(CONFIG, methods=["backward"], runs_dir=tmp_path)
    with pytest.raises(ValueError, match=r"low 1 must be above 0 and below high 0\.5"):
        cifarnet.find_eta(CONFIG, low=1, runs_dir=tmp_path)
    assert list(tmp_path.iterdir()) == before


def test_a_loaded_run_has_its_records_settings_and_results(run):
    """The settings are those that were given, flags over all; a run says in short what it is."""
    again = cifarnet.load(run.path)
    assert again.status == "completed"
    assert (again.settings.label, again.settings.seed, again.settings.data.limit) == ("tiny", 3, 1000)
    assert again.records["step"].tolist() == list(range(0, 21, 2))
    assert again.results["updates"] == 20
    assert repr(again) == f"Run('{run.path}', completed)"
    with pytest.raises(RunError, match=r"no run in .* begins like this"):
        cifarnet.load("nothing", run.path.parent)


def test_a_training_left_early_goes_on(run, tmp_path):
    """`Run.resume` ends with the same bytes; the page of the run then says completed."""
    for record in (training := cifarnet.start(CONFIG, runs_dir=tmp_path, label="tiny", seed=3)):
        if record.step == 7:
            assert training.run.status == "running"
            break
    assert training.run.status == "interrupted"
    assert [record.step for record in training.run.resume()] == list(range(8, 21))
    for name in ("model.npz", "metrics.csv"):
        assert (training.run.path / name).read_bytes() == (run.path / name).read_bytes()
    assert "completed" in (training.run.path / "run.html").read_text()


LEFT = f"""
import cifarnet, sys
begun, untouched = (cifarnet.start({CONFIG}, runs_dir=sys.argv[1], label=name) for name in ("begun", "untouched"))
records = iter(begun)
next(records), next(records)
"""


def test_trainings_that_a_process_leaves_at_its_end_are_interrupted(tmp_path):
    """The one that a notebook holds in the middle, and the one that nobody began; nothing is complained about."""
    done = subprocess.run([sys.executable, "-c", LEFT, tmp_path], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    for path in tmp_path.glob("2*"):
        run = cifarnet.load(path)
        assert (run.status, run.info["updates"]) == ("interrupted", int(run.label == "begun"))


def test_predict_agrees_with_evaluate(run):
    """On the test images, as pixels in both layouts and in both ranges, the accuracy is that of the run."""
    test = data.load(run.settings.data)
    pixels = test.pixels(test.test, range(2000))
    P = run.predict(pixels)
    assert (P.argmax(axis=1) == test.test.y[:2000]).mean() == pytest.approx(run.results["test_accuracy"], abs=0.05)
    rows = pixels.transpose(0, 3, 1, 2).reshape(-1, 3072)
    assert (run.predict(rows) == P).all()
    np.testing.assert_allclose(run.predict(rows / 255), P, atol=1e-6)
    assert run.evaluate()["accuracy"] == run.results["test_accuracy"]
    assert run.evaluate("validation", checkpoint="cycle-1")["accuracy"] == run.results["validation_accuracy"]


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


def test_a_wrong_setting_in_a_dict_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"did you mean training\.lambda"):
        cifarnet.start({"training": {"lamda": 1}}, runs_dir=tmp_path)


def test_every_error_has_its_exit_code():
    codes = {name: kind.exit_code for name, kind in vars(errors).items() if isinstance(kind, type)}
    assert codes == {
        "CifarnetError": 1, "ConfigError": 2, "DataError": 1, "RunError": 1, "GradientCheckFailed": 3, "Diverged": 4,
        "CodeError": 1,
    }  # fmt: skip


def test_a_version_names_the_commit():
    """Of a clone; a package that is built keeps it."""
    assert version.full().startswith(cifarnet.__version__)
    if commit := version.commit():
        assert re.fullmatch(r"[0-9a-f]{9}(\.dirty)?", commit)
        assert version.full() == f"{cifarnet.__version__}+g{commit}"
        assert commit[:9] in version.describe()
