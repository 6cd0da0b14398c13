"""The range test: its rule on curves made by hand, its networks, and what it leaves in a run folder."""

import functools
import json

import numpy as np
import pytest
from click.testing import CliRunner

from cifarnet import config, data, range_test, runs
from cifarnet.cli.find_eta import find_eta
from cifarnet.errors import ConfigError, RunError
from cifarnet.range_test import Ramp


@pytest.fixture(scope="module", autouse=True)
def light():
    """Images are made once for all tests, and few points are measured."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", functools.lru_cache(data.load))
        patch.setattr(range_test, "POINTS", 15)
        yield


def test_the_rule_by_hand():
    """Up from .1 to .5 at .6 and down again: eta_max at the peak, eta_min where .14 is passed."""
    eta = np.arange(13) / 10
    accuracy = np.array([0.1, 0.11, 0.15, 0.3, 0.4, 0.45, 0.5, 0.45, 0.4, 0.3, 0.2, 0.1, 0.1])
    assert range_test.suggest(eta, accuracy) == pytest.approx((0.2, 0.6))
    assert range_test.flags(0.012345, 0.1) == {
        "training.schedule.eta_min": 0.012,
        "training.schedule.eta_max": 0.1,
    }


def test_too_few_points_are_told():
    """Where the first eta is too high already, the message says what to lower."""
    with pytest.raises(RunError, match=r"only 3 points .* begin with a lower eta"):
        range_test.suggest(np.ones(3), np.ones(3))


def test_layers_and_lambdas_are_combined():
    """Two of each give four settings; without a range to find, a refusal."""
    settings = config.load("quick")
    found = range_test.variants(settings, [(50,), ()], [0.0, 0.01])
    assert list(found) == [
        f"hidden-{layers}-lambda-{lam}" for layers in ("50", "none") for lam in ("0", "0.01")
    ]  # fmt: skip
    assert found["hidden-none-lambda-0.01"].network.hidden == ()
    assert found["hidden-none-lambda-0.01"].training.lam == 0.01
    with pytest.raises(ConfigError, match="constant: has no eta_min and eta_max to find; take cyclic"):
        range_test.variants(config.load(None, ["training.schedule.kind=constant"]), [], [])


@pytest.mark.parametrize("log", [False, True])
def test_a_run_folder_holds_curves_figure_and_a_config(tmp_path, log):
    """15 points and the start, eta rising to the last update's; the config is the settings with the eta found."""
    settings = config.load("quick", ["training.optimizer={kind: momentum}", "training.dropout.hidden=0.1"])
    dataset = data.load(settings.data)
    run = runs.create(tmp_path, "find-eta", "x", config.dump(settings))
    tests = range_test.variants(settings, [(20,)], [])
    steps = list(range_test.execute(tests, dataset, Ramp(1e-4, 0.05, 3, log), run))
    assert steps[-1] == ("hidden-20-lambda-0.01", 150, 150)
    table = runs.read_table(run.path / "hidden-20-lambda-0.01.csv")
    assert len(table["eta"]) == 16
    assert table["eta"][0] == pytest.approx(1e-4)
    assert 0.04 < table["eta"][-1] < 0.05
    assert (np.diff(table["eta"])[1:] > 0).all()
    [pair] = run.info["results"]["found"].values()
    saved = config.load(run.path / "hidden-20-lambda-0.01.yaml")
    assert saved == config.override(tests["hidden-20-lambda-0.01"], pair, "test")
    assert (run.path / "figures" / "range-test.svg").is_file()
    assert run.info["status"] == "completed"


def test_a_test_that_diverges_ends_there(tmp_path):
    """An absurd end: the points before it count, and the folder is complete."""
    settings = config.load("quick", ["network.hidden=[10]"])
    run = runs.create(tmp_path, "find-eta", "x", config.dump(settings))
    ramp = Ramp(1e-4, 1e12, 2, True)
    list(range_test.execute({"one": settings}, data.load(settings.data), ramp, run))
    assert len(runs.read_table(run.path / "one.csv")["eta"]) < 16
    assert run.info["results"]["found"]["one"]["training.schedule.eta_max"] < 10


def test_the_command_prints_the_flags(tmp_path):
    """Two --hidden and two lambdas: four lines of two --set flags that load, and by --json the same."""
    arguments = ["--config", "quick", "--hidden", "5", "--hidden", "0", "--set", "training.lambda=0"]
    arguments += ["--set", "training.lambda=0.1", "--epochs", "1", "--runs-dir", str(tmp_path)]
    found = CliRunner().invoke(find_eta, [*arguments, "--json"])
    assert found.exit_code == 0, found.output
    pairs = json.loads(found.stdout)["found"]
    assert list(pairs) == [f"hidden-{m}-lambda-{lam}" for m in ("5", "none") for lam in ("0", "0.1")]
    lines = CliRunner().invoke(find_eta, arguments).stdout.splitlines()
    for line, pair in zip(lines, pairs.values(), strict=False):
        words = line.split()[2::2]
        assert config.load("quick", words) == config.override(config.load("quick"), pair, "test")


@pytest.mark.parametrize("words", [["--hidden", "x"], ["--from", "2", "--to", "1"]])
def test_usage_errors(words, tmp_path):
    """Exit code 2, and what would be right."""
    found = CliRunner().invoke(find_eta, ["--config", "quick", "--runs-dir", str(tmp_path), *words])
    assert found.exit_code == 2
    assert "must be" in found.output
    assert not list(tmp_path.iterdir())
