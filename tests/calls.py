"""Commands in this process, short trainings and searches as their words, and the files that they leave."""

import json
import shutil
import signal
import sys

import pytest

import cifarnet
from cifarnet.cli import main
from cifarnet.runs import Run

FEW = "--set=data={limit: 500, validation: 1000}"
TINY = ["quick", FEW, "--set=training.schedule={n_s: 5, cycles: 2}", "--set=evaluation.per_cycle=2"]
SMALL = ["-c", "quick", FEW, "--set=data.dims=20", "--set=network.hidden=[5]"]  # a network of milliseconds
FAST = [*SMALL, "--format=svg"]
COARSE = [*SMALL, "--set=search.coarse={n_s: 5, cycles: 1, trials: 3}"]
FINE = ["--set=search.fine={n_s: 5, cycles: 1, trials: 2}", "--set=search.final={n_s: 5, cycles: 1, train: [1]}"]
RUN = {"config.yaml", "environment.json", "run.json", "run.html", "log.txt", ".lock"}
CURVES = {f"figures/{name}.png" for name in ("curves", "eta", "weights", "mistakes-test")}
CURVES |= {"figures/weights.svg", "figures/mistakes-test.svg"}  # of the page
CYCLES = {f"checkpoints/{name}.npz" for name in ("best", "cycle-1", "cycle-2", "latest")}
TRAINED = RUN | CURVES | CYCLES | {"metrics.csv", "model.npz", "confusion-test.csv"}
ETA = "training.schedule.eta_max"
PROCESS = [sys.executable, "-m", "cifarnet"]


def figures(*names):
    return {f"figures/{name}.png" for name in names}


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Run a command in this process, with a folder and a cache of its own; returns what it prints on both streams."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    for name in ("CIFARNET_DATA_DIR", "CIFARNET_RUNS_DIR", "CIFARNET_SET", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def call(*words, code=0):
        monkeypatch.setattr(sys, "argv", ["cifarnet", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        assert ended.value.code == code, printed
        return printed

    return call


@pytest.fixture
def answer(call):
    return lambda *words, code=0: json.loads(call(*words, "--json", code=code).out)


@pytest.fixture(scope="session")
def kept(tmp_path_factory):
    """A runs folder with a short training of two cycles."""
    overrides = [word.removeprefix("--set=") for word in TINY[1:]]
    return cifarnet.train("quick", overrides, runs_dir=tmp_path_factory.mktemp("kept") / "runs").path.parent


@pytest.fixture
def trained(kept, tmp_path):
    """That training, in the runs folder of the test."""
    shutil.copytree(kept, tmp_path / "runs", symlinks=True)
    return Run.find("latest", tmp_path / "runs")
