"""The command line: help, errors and their exit codes, streams, terminals, completion; how trainings are called."""

import contextlib
import csv
import io
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.shell_completion import ShellComplete
from PIL import Image

from cifarnet import config, plots, training
from cifarnet.cli import COMMANDS, cli, main
from cifarnet.cli.progress import Stops
from cifarnet.data.places import Finding
from cifarnet.runs import Run
from tests.calls import ETA, FAST, PROCESS, SMALL
from tests.common import python

FULL = Path("/dev/full")


def test_help_imports_little():
    code = "import sys; sys.argv = ['cifarnet', '-h']\nfrom cifarnet.cli import main\n"
    code += "try: main()\nexcept SystemExit: sys.stderr.write(' '.join(sys.modules))"
    page, modules = python("-c", code)
    assert not {"numpy", "matplotlib", "pydantic", "yaml", "tqdm", "tabulate"} & set(modules.split())
    assert page.startswith("Usage: cifarnet ") and all(f"\n  {command} " in page for command in COMMANDS)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["trane"], 2, "Did you mean 'train'?"),
        (["train"], 2, "name a config, a file of yours or one of assignment-1, figure-3,"),
        (["train", "figure-33"], 2, "did you mean figure-3?"),
        (["train", "quick", "-c", "figure-3"], 2, "two configs, quick and --config figure-3: name one"),
        (["train", "--resume", "latest", "--seed", "1"], 2, "--resume goes with no config, --set, --seed"),
        (["train", "--resume", "latest", "--n-s", "9"], 2, "--resume goes with no config"),
        (["train", "quick", "--epochs", "3"], 2, "--epochs: training.schedule.epochs = 3: the kind cyclic has no"),
        (["train", "quick", "--lambda", "x"], 2, '--lambda: training.lambda = "x": must be a number'),
        (["search", "coarse", "width", "--hidden", "9"], 2, "--hidden: network.hidden is what this searches"),
        (["runs", "lsit"], 2, "Did you mean 'list'?"),
        (["evaluate", "nowhere"], 1, "nowhere: no run in runs"),
        (["gradcheck", "quick", "--hidden", "many"], 2, "network.hidden"),
        (["search", "coarse", "--set", "search.over.training.schedule.cycles.values=[1]", "--cycles", "5"], 2,
         "--cycles: training.schedule.cycles is what this searches"),
        (["runs", "list", "--csv", "--latex"], 2, "take one of --json, --csv, --markdown and --latex"),
        (["find-eta", "quick", "--from", "1", "--to", "0.5"], 2, "--from 1 must be below --to 0.5"),
        (["search-lambda", "fine", "quick"], 2, "give --from RUN"),
        (["search", "coarse", "--resume", "latest", "--seed", "1"], 2, "--resume goes on with a search as it is"),
        (["search-lambda", "coarse", "--retry-failed"], 2, "--retry-failed goes with --resume"),
        (["search-lambda", "--from", "x", "coarse"], 2, "--from RUN goes with fine"),
        (["search"], 2, "say coarse or fine"),
        (["search", "coarse", "width", "--by", "seed"], 2, "searched are network.hidden, training.lambda"),
        (["gradcheck", "quick", "--step", "nan"], 2, "nan is not a finite number"),
        (["train", "quick", "--hidden", ""], 2, "--hidden is empty"),
        (["evaluate", "--ensemble", "cycles", "--checkpoint", "best"], 2, "leave out --checkpoint"),
        (["diagnose", "--study", "stagge-2019", "--exhibit", "x"], 2, "x: not known; name one of gradient, runs"),
        (["diagnose", "--study", "stagge-2019", "--exhibit", "gradient"], 2, "there is nothing to explain"),
        (["diagnose", "figure-3"], 2, "name a number, such as --test-accuracy 38.2%"),
        (["diagnose", "figure-3", "--test-accuracy", "38.2"], 2, "write 38.2% or 0.382"),
        (["diagnose", "figure-3", "--test-accuracy", "high"], 2, "--test-accuracy high: is no number"),
        (["diagnose", "figure-3", "--train-cost", "nan"], 2, "--train-cost nan: must be a number, at least 0"),
        (["diagnose", "figure-3", "--test-accuracy", "-1%"], 2, "--test-accuracy -1%: must be a number, at least 0"),
        (["diagnose", "figure-3", "--curve", "none.csv"], 2, "--curve none.csv: there is no such file"),
        (["diagnose", "figure-3", "--train-cost", "1", "--exhibit", "x"], 2, "--exhibit names a part of a --study"),
        (["diagnose", "--resume", "x", "--test-accuracy", "38%"], 2, "--resume goes on with the settings and numbers"),
        (["diagnose", "--study", config.folder() / "reports"], 2, "studies; name the file of one"),
        (["diagnose", "figure-3", "--study", "yadava"], 2, "--study has settings and numbers of its own"),
        (["diagnose", "--seed", "3", "--study", "yadava"], 2, "--study has settings and numbers of its own"),
        (["gradcheck", "--function", "f"], 2, "--function is the one to check in the file of --code"),
        (["gradcheck", "--code", __file__, "--samples", "5"], 2, "--code goes without --samples"),
        (["runs", "rm"], 2, "--keep-best K"),
        (["runs", "page"], 1, "no run to write a page of"),
        (["reproduce-report", "--studies", "x"], 2, "neither a file nor a folder"),
        (["data", "info", "--data-dir", "~/nothing"], 1, "which does not exist"),
    ],
)  # fmt: skip
def test_wrong_input_is_one_line_and_leaves_nothing(call, tmp_path, words, code, message):
    printed = call(*words, code=code)
    assert message in printed.err
    assert not printed.out
    assert not (tmp_path / "runs").exists()


def test_every_error_has_its_exit_code(call, monkeypatch):
    def fails(error):
        def body(*_, **__):
            raise error

        monkeypatch.setattr("cifarnet.runs.catalog.list_runs", body)

    fails(KeyboardInterrupt())
    assert call("runs", "list", code=130).err.endswith("Error: stopped\n")
    fails(ValueError("odd"))
    assert "unexpected ValueError: odd; run again as `cifarnet --debug" in call("runs", "list", code=1).err
    monkeypatch.setattr(sys, "argv", ["cifarnet", "--debug", "runs", "list"])
    with pytest.raises(ValueError, match="odd"):
        main()


def test_progress_and_results_go_to_different_streams(call):
    loud, quiet = (call("train", *FAST, *words) for words in ([], ["--quiet"]))
    assert "validation accuracy" in loud.err
    assert re.fullmatch("SYNTHETIC data: .*\n", quiet.err)
    for printed in loud, quiet:
        lines = printed.out.splitlines()
        assert re.fullmatch(r"\d+ updates in .*; accuracy: training .* %, .*, test .* %", lines[1])
        opened = rf"\S+ {lines[0]}/run.html", f"Next: cifarnet evaluate {lines[0]}"
        assert bool(lines[2:]) == (printed is loud)
        assert all(re.search(pattern, line) for pattern, line in zip(opened, lines[2:], strict=False))
    assert not list(Path("runs").rglob("*.png"))


def test_the_settings_of_the_course_are_options(answer):
    words = ["--lambda", "1e-3", "--hidden", "7,6", "--n-s", "2 epochs", "--eta-max", "0.2", "--batch-size", "50"]
    shown = answer("config", "show", "figure-3", "--set", "training.lambda=1", *words)
    training, origins = shown["settings"]["training"], shown["origins"]
    assert (training["lambda"], training["schedule"]["n_s"], training["batch_size"]) == (0.001, "2 epochs", 50)
    assert shown["settings"]["network"]["hidden"] == [7, 6]
    assert origins["training.schedule.eta_max"] == "--eta-max"
    assert origins["training.lambda"] == "--lambda"
    assert answer("config", "show", "--hidden", "0")["settings"]["network"]["hidden"] == []
    annealed = answer("config", "show", "figure-3", "--set", "training.schedule=cosine", "--epochs", "3")
    assert annealed["settings"]["training"]["schedule"]["kind"] == "cosine"
    assert annealed["origins"]["training.schedule.epochs"] == "--epochs"


def test_several_seeds_end_with_mean_and_deviation(answer, call):
    found = answer("train", *FAST, "-q", "--seed", "5", "--seeds", "2")
    a, b = (run["test_accuracy"] for run in found["runs"])
    assert [run["seed"] for run in found["runs"]] == [5, 6]
    assert (found["mean"]["test_accuracy"], found["std"]["test_accuracy"]) == pytest.approx(
        ((a + b) / 2, abs(a - b) / 2**0.5)
    )
    folded = call("runs", "list", "--by", "seed").out.splitlines()[-1]
    row = rf"{100 * (a + b) / 2:.2f} ± {100 * abs(a - b) / 2**0.5:.2f} %"
    assert row in folded
    [one] = answer("runs", "list", "--by", "seed")["rows"]
    assert (one["runs"], sorted(one["seed"])) == (2, [5, 6])
    assert row in call("runs", "list", "--by", "seed", "--markdown").out
    [sheet] = csv.DictReader(io.StringIO(call("runs", "list", "--by", "seed", "--csv").out))
    assert float(sheet["test_accuracy"]) == pytest.approx((a + b) / 2)
    assert "with 2 seeds" in call("train", *FAST, "--seeds", "2", "--dry-run").out
    text = call("train", *FAST, "--seeds", "1").out
    assert re.search(r"^\d{8}-\d{6} +42 .*\nmean ± std ", text, re.MULTILINE)


def test_a_stop_while_figures_are_drawn_begins_no_other_seed(call, monkeypatch):
    monkeypatch.setattr(plots, "draw", lambda run: monkeypatch.setattr(Stops, "code", 130) or [])
    said = call("train", *FAST, "--seeds", "2", code=130).err
    assert "completed after 20 updates; not begun, the same command with --seed 43 --seeds 1" in said


def test_a_seed_that_diverges_is_named_and_the_others_are_trained(call, monkeypatch):
    train = training.train

    def diverging(state, data, settings, *more):
        return train(state, data, config.override(settings, {ETA: 1e30} if settings.seed == 43 else {}, ""), *more)

    monkeypatch.setattr(training, "train", diverging)
    printed = call("train", *FAST, "--seeds", "3", code=4)
    assert "Warning: seed 43 diverged" in printed.err and "diverged: seed 43; runs list" in printed.err
    assert re.findall(r"^\d{8}-\d{6}\S* +(\d+) ", printed.out, re.MULTILINE) == ["42", "44"]


def test_a_dry_run_writes_nothing(call, monkeypatch, tmp_path):
    monkeypatch.setenv("CIFARNET_SET", "training.lambda=0.5")
    printed = call("train", "--dry-run").out  # what is set alone trains the defaults
    assert "lambda: 0.5" in printed
    assert printed.endswith("# plan: 1,000 updates of 100 images\n")
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_verbose_says_which_files_and_threads_are_used(tmp_path):
    words = ["train", *FAST, "-q", "-v", "--threads", "1", "--runs-dir", tmp_path]
    _, logged = python("-m", "cifarnet", *words)
    for words in ("quick.yaml", "data_batch_1", "threads: 1", f"run folder {tmp_path}"):
        assert words in logged


def test_diverged_and_failed_checks_have_exit_codes(call, tmp_path):
    assert "lower eta" in call("train", *FAST, "--set", "training.schedule.eta_max=1e9", code=4).err
    assert Run.find("latest", tmp_path / "runs").status == "diverged"
    assert "FAILED" in call("gradcheck", *SMALL, "--method", "forward", "--step", "0.1", code=3).out
    assert Run.find("latest", tmp_path / "runs").results["passed"] is False


def test_config_and_data_describe(call, answer):
    shown = call("config", "show", "figure-3", "--seed", "7").out
    assert re.search(r"^seed: 7 +# --seed$", shown, re.MULTILINE)
    assert re.search(r"n_s: 500 +# figure-3.yaml:8$", shown, re.MULTILINE)
    assert answer("config", "show", "figure-3")["settings"]["training"]["lambda"] == 0.01
    assert json.loads(call("config", "schema").out) == config.json_schema()
    assert call("config", "reference").out == config.reference()
    assert "data download" in call("data", "verify", code=1).err


def test_files_without_an_official_checksum_are_not_called_ok(call, monkeypatch):
    monkeypatch.setattr("cifarnet.data.find", lambda _: SimpleNamespace(format="matlab", path=Path()))
    monkeypatch.setattr("cifarnet.data.verify", lambda _: [Finding("test_batch.mat", "readable")])
    expected = "test_batch.mat: readable; there is no official checksum for MATLAB files\n"
    assert call("data", "verify").out == expected


def test_the_home_folder_is_expanded(call, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert f"no runs in {tmp_path}/home/runs" in call("runs", "list", "--runs-dir", "~/runs").err
    assert f"{tmp_path}/home/data" in call("data", "info", "--data-dir", "~/data", code=1).err


def test_letters_that_a_terminal_lacks_are_replaced(trained, tmp_path):
    image = os.fsencode(tmp_path / "λ") + b"\xff.png"
    Image.effect_noise((32, 32), 90).save(os.fsdecode(image), "png")
    env = os.environ | {"PYTHONIOENCODING": "cp1252", "CIFARNET_RUNS_DIR": str(trained.path.parent)}
    words = ["predict", "latest", image, "--csv"]
    done = subprocess.run([*PROCESS, *words], capture_output=True, env=env, check=True)
    assert b"??.png" in done.stdout


@pytest.mark.skipif(not FULL.exists(), reason="this system has no full device")
def test_full_standard_output_is_one_line():
    with FULL.open("w") as full:
        done = subprocess.run([*PROCESS, "config", "show"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "Error: standard output: No space left on device\n")


def test_streams_may_be_closed(trained, tmp_path):
    command = [*PROCESS, "runs", "note", "latest", "x", "--runs-dir", str(trained.path.parent)]
    close = f"import os; [os.close(n) for n in (1, 2)]; os.execv({sys.executable!r}, {command!r})"
    assert subprocess.run([sys.executable, "-c", close], check=False).returncode == 0
    assert trained.notes[-1].endswith(" x")


def test_commands_options_runs_configs_and_keys_are_completed(trained, monkeypatch, tmp_path):
    def completed(*words):
        found = ShellComplete(cli, {}, "cifarnet", "_CIFARNET_COMPLETE").get_completions(list(words[:-1]), words[-1])
        return [item.value for item in found]

    monkeypatch.chdir(tmp_path)
    name = trained.name
    assert completed("tr") == ["train"]
    assert completed("runs", "") == ["compare", "draw", "list", "note", "page", "rm", "show"]
    assert "--resume" in completed("train", "--re")
    assert completed("runs", "show", "") == ["latest", name]
    for words in (["evaluate"], ["predict"], ["runs", "rm"], ["train", "--resume"], ["search-lambda", "--from"]):
        assert completed(*words, name[:9]) == [name]
    assert completed("train", "fig") == completed("train", "-c", "fig") == ["fig", "figure-3", "figure-4"]
    assert completed("train", "--set", "training.lam") == ["training.lambda="]
    assert completed("runs", "list", "--sort", "valid") == ["validation_accuracy"]


def test_completion_scripts_are_valid(call):
    for shell in "bash", "zsh", "fish":
        script = call("completion", shell).out
        assert "_CIFARNET_COMPLETE" in script
        if shutil.which(shell):
            subprocess.run([shell, "-n"], input=script, text=True, check=True)


def on_a_terminal(*words, columns=200, **environment):
    """What a command prints on a terminal of this width."""
    pty, fcntl, termios = (pytest.importorskip(name) for name in ("pty", "fcntl", "termios"))
    ours, theirs = pty.openpty()
    env = os.environ | {"COLUMNS": str(columns), "TERM": "xterm"} | environment
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    output = b""
    with subprocess.Popen([*PROCESS, *words], stdout=theirs, stderr=theirs, env=env), os.fdopen(ours, "rb", 0) as shown:
        os.close(theirs)
        with contextlib.suppress(OSError):  # how a terminal ends
            while chunk := shown.read(10_000):
                output += chunk
    return output.decode()


@pytest.mark.slow
def test_a_terminal_has_colours_a_bar_and_its_own_width(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "\x1b[32mcompleted" in on_a_terminal("runs", "list")
    assert "\x1b" not in on_a_terminal("runs", "list", NO_COLOR="1")
    assert "\x1b" not in on_a_terminal("--no-color", "runs", "list")
    shown = on_a_terminal("train", *FAST)
    assert "100%|" in shown
    assert re.search(r"Loading(.|\n)*; scoring, drawing +100%(.|\n)*Open it: ", shown)
    assert "Warning" not in shown
    *lines, last = on_a_terminal("runs", "list", columns=60, NO_COLOR="1").splitlines()
    assert re.fullmatch(r"Too narrow for .*dims.*: --json has all", last)
    assert max(map(len, lines)) <= 60
    narrow = on_a_terminal("gradcheck", *SMALL, "--samples", "2", "-q", columns=50)
    assert re.search(r"^parameter +W1\s*$", narrow, re.MULTILINE)
