"""search-lambda as a user calls it: a process, its output and exit code, and what it survives."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cifarnet import config, runs

TINY = (
    "--set=data={source: synthetic, train: [1], validation: [2], limit: 500, dims: 200}",
    "--set=search.coarse={n_s: 20, trials: 4}",
    "--set=search.fine={n_s: 20, trials: 3, cycles: 1}",
    "--set=search.final={train: [1], n_s: 10}",
)
COMMAND = [sys.executable, "-m", "cifarnet"]


@pytest.fixture
def environment(tmp_path):
    return os.environ | {"CIFARNET_RUNS_DIR": str(tmp_path / "runs"), "XDG_CACHE_HOME": str(tmp_path)}


@pytest.fixture
def cifarnet(environment):
    def call(*arguments, code=0):
        done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, env=environment, timeout=300)
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    return call


def rows(path):
    """trials.csv without the seconds, in the order of the indices."""
    with (path / "trials.csv").open() as file:
        table = [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]
    return sorted(table, key=lambda row: int(row["index"]))


def test_coarse_then_fine_then_the_final_training(cifarnet, tmp_path):
    """Each prints the next command to the letter; JSON has what is promised; the config names the search."""
    coarse = cifarnet("search-lambda", "coarse", "--config", "search", *TINY)
    assert coarse.stderr.count("validation accuracy") == 4
    command = coarse.stdout.splitlines()[-1].removeprefix("Next: cifarnet ").split()
    fine = json.loads(cifarnet(*command, "--json").stdout)
    assert [trial["index"] for trial in fine["trials"]] == [0, 1, 2]
    assert {"index", "lambda", "validation_accuracy", "status"} <= set(fine["trials"][0])
    assert fine["best"]["validation_accuracy"] == max(t["validation_accuracy"] for t in fine["trials"])
    final = json.loads(cifarnet(*fine["next"].split()[1:], "--json").stdout)
    assert final["status"] == "completed"
    assert config.load(tmp_path / final["run"] / "config.yaml").training.lam == fine["best"]["lambda"]


def test_a_completed_search_is_not_taken_for_a_training(cifarnet):
    """`train --resume` says what it is, and writes nothing."""
    run = Path(json.loads(cifarnet("search-lambda", "coarse", "--config", "search", *TINY, "--json").stdout)["run"])
    (run / "run.html").unlink()
    assert "a search run, not a training" in cifarnet("train", "--resume", str(run), code=1).stderr
    assert not (run / "run.html").exists()


def test_dry_run_lists_the_trials_and_writes_nothing(cifarnet, tmp_path):
    """Their lambdas, and an estimate of the time."""
    printed = cifarnet("search-lambda", "coarse", "--config", "search", *TINY, "--dry-run").stdout
    assert "lambda" in printed
    assert "4 trainings: cycles 2, n_s 20, eta_min 1e-05, eta_max 0.1, " in printed
    assert re.search(r"\nabout \d+ s with 2 jobs", printed)
    over = ("--set", "search.over.training.schedule.eta_max.values=[0.1, 0.2]")
    printed = cifarnet("search", "coarse", "--config", "search", *TINY, *over, "--dry-run").stdout
    assert "2 trainings: cycles 2, n_s 20, eta_min 1e-05, batch size" in printed  # what all have in common
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_search_resumes_to_the_same_rows(cifarnet, environment, tmp_path, stop):
    """Stopped after its first row by a signal, then resumed: the same trials.csv as a search that was not stopped."""
    arguments = ("search-lambda", "coarse", *TINY, "--set=search.coarse.n_s=200", "--quiet")
    whole = tmp_path / json.loads(cifarnet(*arguments, "--json").stdout)["run"]
    process = subprocess.Popen([*COMMAND, *arguments], env=environment, stderr=subprocess.PIPE, text=True)
    while not (tables := set((tmp_path / "runs").glob("2*/trials.csv")) - {whole / "trials.csv"}):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(stop)
    stderr = process.communicate(timeout=60)[1]
    path = tables.pop().parent
    if stop != signal.SIGKILL:
        assert process.returncode == 128 + stop, stderr
        assert runs.read_json(path / "run.json")["status"] == "interrupted"
    assert json.loads(cifarnet("search-lambda", "--resume", str(path), "--json").stdout)["status"] == "completed"
    assert rows(path) == rows(whole)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["coarse", "--set", "search.coarse.l_min=0"], 2, "search.coarse.l_min = 0.0: must be at most l_max"),
        (["coarse", "--set", "search.coarse.trials=0"], 2, "search.coarse.trials = 0: must be at least 1"),
        (["fine"], 2, "give --from RUN"),
        (["fine", "--from", "nowhere"], 1, "nowhere: 0 runs"),
        (["--resume", "nowhere"], 1, "nowhere: 0 runs"),
        (["coarse", "--resume", "latest", "--seed", "1"], 2, "--resume goes on with a search as it is"),
        (["coarse", "--retry-failed"], 2, "--retry-failed goes with --resume"),
        ([], 2, "say coarse or fine"),
    ],
)
def test_bad_input_is_one_clear_error(cifarnet, tmp_path, arguments, code, message):
    """The message names what is wrong; nothing is written."""
    assert message in cifarnet("search-lambda", *arguments, code=code).stderr
    assert not (tmp_path / "runs").exists()


def test_a_diverged_trial_shows_in_the_exit_code(cifarnet):
    """Told at once, recorded, the others ranked; 4 at the end."""
    done = cifarnet("search", "coarse", *TINY, "--set=search.over.training.schedule.eta_max.values=[0.1,1e30]", code=4)
    assert "DIVERGED" in done.stderr
    assert "diverged trials: 1" in done.stderr
    assert "Next: cifarnet search fine" in done.stdout


def test_the_best_trial_of_each_value(cifarnet):
    """--by KEY: a row a value, in order, each the highest of its trials; a key that is not searched is named."""
    over = [f"--set=search.over.{axis}" for axis in ("network.hidden.values=[5,20]", "training.lambda.values=[0,1]")]
    words = ["search", "coarse", *TINY, *over, "--set", "search.coarse.sampling=grid"]
    found = json.loads(cifarnet(*words, "--by", "network.hidden", "--json").stdout)
    assert [row["hidden"] for row in found["by"]] == [5, 20]
    for row in found["by"]:
        same = [t["validation_accuracy"] for t in found["trials"] if t["hidden"] == row["hidden"]]
        assert len(same) == 2
        assert row["validation_accuracy"] == max(same)
    shown = cifarnet("search", "--resume", "latest", "--by", "training.lambda").stdout
    assert len(re.findall(r"^ +[1-4]  ", shown, re.M)) == 2
    assert "searched are network.hidden" in cifarnet("search", "--resume", "latest", "--by", "seed", code=2).stderr
