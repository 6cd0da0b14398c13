"""The commands as a user calls them: real processes, their output, exit codes and the folders that they leave."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from cifarnet import runs
from cifarnet.cli import COMMANDS

TINY = ("--config", "configs/quick.yaml", "--set", "training.schedule.n_s=20", "--set", "data.limit=2000")


@pytest.fixture
def cifarnet(tmp_path):
    """Run a command in a process of its own, with a runs folder and a cache of its own."""

    def call(*arguments, code=0, **environment):
        env = os.environ | {"CIFARNET_RUNS_DIR": str(tmp_path / "runs"), "XDG_CACHE_HOME": str(tmp_path)} | environment
        env["OPENBLAS_NUM_THREADS"] = "1"  # threads that wait for each other spin, and the tests may share the machine
        done = subprocess.run(
            [sys.executable, "-m", "cifarnet", *arguments], capture_output=True, text=True, env=env, timeout=300
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    return call


@pytest.fixture
def quick(cifarnet, tmp_path):
    """The folder of a short synthetic training, and the JSON that it printed."""
    printed = json.loads(cifarnet("train", *TINY, "--json").stdout)
    return runs.find("latest", tmp_path / "runs"), printed


def test_help_imports_click_alone(cifarnet):
    """cifarnet --help names every command and loads neither numpy nor matplotlib, pydantic nor yaml."""
    code = "import sys; sys.argv = ['cifarnet', '--help']\nfrom cifarnet.cli import main\n"
    code += "try: main()\nexcept SystemExit: sys.stderr.write(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "cifarnet.cli" in done.stderr
    assert not {"numpy", "matplotlib", "pydantic", "yaml", "tqdm"} & set(done.stderr.split())
    for command in COMMANDS:
        assert f"\n  {command} " in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(cifarnet, command):
    """Its own name with arguments is among the lines of --help."""
    assert re.search(rf"\n +cifarnet {command}\b", cifarnet(command, "--help").stdout)


def test_train_leaves_a_whole_run_folder(quick):
    """Every file of the layout, the JSON on standard output and the same figures in run.json."""
    path, printed = quick
    expected = {"config.yaml", "environment.json", "run.json", "log.txt", "metrics.csv", "model.npz"}
    expected |= {f"figures/{n}.{kind}" for n in ("curves", "eta", "weights") for kind in ("png", "svg")}
    found = {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}
    assert expected <= found
    assert "checkpoints/cycle-1.npz" in found
    assert not [name for name in found if name.endswith(".part")]
    assert {"run", "status", "seed", "updates", "validation_accuracy", "test_accuracy", "seconds"} <= set(printed)
    assert runs.read_json(path / "run.json")["results"]["test_accuracy"] == printed["test_accuracy"]
    environment = runs.read_json(path / "environment.json")
    assert {"python", "numpy", "blas", "cpu", "argv", "git_commit", "data"} <= set(environment)
    assert environment["data"]["source"] == "synthetic"


def test_figures_are_in_the_formats_asked_for(cifarnet, tmp_path):
    """--format svg: SVG alone, of a training, its evaluation, a search and a range test, and in the run's page."""
    commands = ["train"], ["evaluate", "latest"], ["search-lambda", "coarse"], ["find-eta", "--epochs", "1"]
    for words in commands:
        config = [] if words[0] == "evaluate" else [*TINY, "--set", "search.coarse.trials=1"]
        found = json.loads(cifarnet(*words, *config, "--format", "svg", "--json").stdout)
        path = tmp_path / (found.get("run") or str(runs.find("latest", tmp_path / "runs")))
        assert {file.suffix for file in (path / "figures").iterdir()} == {".svg"}
        if words == ["train"]:
            assert "data:image/svg+xml;base64," in (path / "run.html").read_text()


def test_synthetic_data_are_named_loudly(cifarnet):
    """A warning on standard error whenever results are not of CIFAR-10."""
    assert "SYNTHETIC" in cifarnet("train", *TINY).stderr


def test_a_runs_own_config_repeats_it(quick, cifarnet, tmp_path):
    """train --config RUN/config.yaml: the same model.npz and metrics.csv, byte for byte."""
    path, _ = quick
    again = tmp_path / json.loads(cifarnet("train", "--config", str(path / "config.yaml"), "--json").stdout)["run"]
    for name in ("model.npz", "metrics.csv", "config.yaml", "figures/curves.png", "figures/weights.svg"):
        assert (again / name).read_bytes() == (path / name).read_bytes(), name


def test_progress_and_results_go_to_different_streams(cifarnet):
    """Plain lines on standard error where it is no terminal, none with --quiet; the result on standard output."""
    done = cifarnet("train", *TINY)
    assert "validation accuracy" in done.stderr
    assert "test " in done.stdout
    assert "step" not in cifarnet("train", *TINY, "--quiet").stderr


def test_dry_run_writes_nothing(cifarnet, tmp_path):
    """It prints the resolved settings and the number of updates."""
    done = cifarnet("train", *TINY, "--dry-run")
    assert "lambda:" in done.stdout
    assert "40 updates of 100 images" in done.stdout
    assert not (tmp_path / "runs").exists()


def test_evaluate_needs_the_run_folder_alone(quick, cifarnet):
    """The same test accuracy as the training's, per-class figures, confusions, and the figures in the folder."""
    path, printed = quick
    found = json.loads(cifarnet("evaluate", "latest", "--json").stdout)
    assert found["accuracy"] == printed["test_accuracy"]
    assert found["n"] == 10_000
    assert len(found["per_class"]) == 10
    assert np.array(found["confusion"]).sum() == 10_000
    for name in ("confusion-test.png", "mistakes-test.svg"):
        assert (path / "figures" / name).is_file()
    assert "airplane" in cifarnet("evaluate", str(path), "--split", "validation").stdout


def test_a_diverged_training_exits_with_4(cifarnet, tmp_path):
    """The message has step, eta and a hint; the folder says diverged."""
    done = cifarnet("train", *TINY, "--set", "training.schedule.eta_max=1e9", code=4)
    assert "lower eta" in done.stderr
    assert runs.read_json(runs.find("latest", tmp_path / "runs") / "run.json")["status"] == "diverged"


def test_gradcheck_prints_what_its_json_says(cifarnet):
    """Every parameter with its errors; exit code 0 when passed."""
    arguments = ("gradcheck", "--set", "data.source=synthetic", "--samples", "5", "--lambda", "0.1")
    found = json.loads(cifarnet(*arguments, "--method", "complex-step", "--json").stdout)
    assert found["passed"]
    assert found["method"] == "complex-step"
    assert [p["name"] for p in found["parameters"]] == ["W1", "b1", "W2", "b2"]
    assert found["max_relative_error"] == max(p["max_relative_error"] for p in found["parameters"])
    both = cifarnet(*arguments, "--method", "forward", "--method", "centred", "--hidden", "0")
    assert both.stdout.count("W1") == 2
    assert "passed" in both.stdout


def test_a_gradcheck_that_fails_exits_with_3(cifarnet):
    """A forward difference with h = 0.1 is too coarse: the table is printed, the exit code is 3."""
    done = cifarnet("gradcheck", "--set", "data.source=synthetic", "--method", "forward", "--step", "0.1", code=3)
    assert "FAILED" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--config", "nowhere.yaml"], "nowhere.yaml"),
        (["train", "--set", "training.lamda=1"], "did you mean training.lambda"),
        (["evaluate", "--split", "holiday"], "holiday"),
        (["gradcheck", "--samples", "0"], "--samples"),
        (["trane"], "trane"),
    ],
)
def test_wrong_usage_exits_with_2(cifarnet, arguments, message):
    """One error that names what is wrong, nothing else."""
    assert message in cifarnet(*arguments, code=2).stderr


def test_evaluating_what_is_no_run_exits_with_1(cifarnet):
    """The message names what was asked for."""
    assert "nothing" in cifarnet("evaluate", "nothing", code=1).stderr
