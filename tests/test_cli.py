"""The commands as a user calls them: what they print, their exit codes, and all the files that they leave."""

import contextlib
import csv
import io
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.shell_completion import ShellComplete
from PIL import Image

import cifarnet
from cifarnet import config, plots, training
from cifarnet.cli import COMMANDS, cli, main
from cifarnet.cli.progress import Stops
from cifarnet.data.places import Finding
from cifarnet.runs import Run
from tests.common import files, python

FEW = "--set=data={limit: 500, validation: 1000}"
FULL = Path("/dev/full")
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


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A runs folder with a short training of two cycles."""
    overrides = [word.removeprefix("--set=") for word in TINY[1:]]
    return cifarnet.train("quick", overrides, runs_dir=tmp_path_factory.mktemp("kept") / "runs").path.parent


@pytest.fixture
def trained(kept, tmp_path):
    """That training, in the runs folder of the test."""
    shutil.copytree(kept, tmp_path / "runs", symlinks=True)
    return Run.find("latest", tmp_path / "runs")


def figures(*names):
    return {f"figures/{name}.png" for name in names}


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
        (["train", "--lable", "x"], 2, "Did you mean one of: '--label'"),
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
        (["search-lambda", "coarse", "--from", "x"], 2, "--from RUN goes with fine"),
        (["search"], 2, "say coarse or fine"),
        (["search", "coarse", "width", "--by", "seed"], 2, "searched are network.hidden, training.lambda"),
        (["gradcheck", "quick", "--step", "nan"], 2, "nan is not a finite number"),
        (["find-eta", "quick", "--to", "inf"], 2, "inf is not a finite number"),
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
        (["diagnose", "figure-3", "--test-accuracy", ""], 2, "--test-accuracy : is no number"),
        (["diagnose", "figure-3", "--train-cost", "1", "--exhibit", "x"], 2, "--exhibit names a part of a --study"),
        (["diagnose", "--resume", "x", "--test-accuracy", "38%"], 2, "--resume goes on with the settings and numbers"),
        (["diagnose", "--study", config.folder() / "reports"], 2, "studies; name the file of one"),
        (["diagnose", "figure-3", "--study", "yadava"], 2, "--study has settings and numbers of its own"),
        (["diagnose", "--seed", "3", "--study", "yadava"], 2, "--study has settings and numbers of its own"),
        (["gradcheck", "--function", "f"], 2, "--function is the one to check in the file of --code"),
        (["gradcheck", "--code", "absent.py"], 2, "does not exist"),
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


def test_train_leaves_a_complete_folder(answer, call, tmp_path):
    printed = answer("train", "-q", *TINY)
    path = tmp_path / printed["run"]
    assert files(path) == TRAINED
    assert {"status", "seed", "updates", "train_accuracy", "validation_accuracy", "test_accuracy"} <= set(printed)
    assert Run(path).results.items() <= printed.items()
    assert set(Run(path).environment) >= {"python", "numpy", "blas", "cpu", "argv", "git_commit", "data", "threads"}
    again = answer("train", "--config", path / "config.yaml", "--threads", Run(path).environment["threads"])
    for name in CURVES | CYCLES | {"model.npz", "metrics.csv", "config.yaml"}:
        assert (tmp_path / again["run"] / name).read_bytes() == (path / name).read_bytes(), name
    shown = call("train", "--resume", "latest")
    assert re.search(f"latest is {again['run']}\n.* is completed: there is nothing to resume", shown.err)
    assert shown.out.startswith(f"{again['run']}\n20 updates in ")


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


def test_gradcheck_leaves_its_table(answer, call, tmp_path):
    words = ["gradcheck", "--set", "data={source: synthetic, validation: 1000}", "--samples", "3", "--dims", "5"]
    found = answer(*words, "--lambda", "0.1", "--method", "centered", "--hidden", "4,3")
    assert (found["passed"], found["method"]) == (True, "centred")
    assert [p["name"] for p in found["parameters"] if p["hidden"] == [4, 3]] == ["W1", "b1", "W2", "b2", "W3", "b3"]
    assert found["max_relative_error"] == max(p["max_relative_error"] for p in found["parameters"])
    assert files(tmp_path / found["run"]) == RUN
    init = ["--set", "network.init={std: [0.1, 0.2]}", "--set", "training.augmentation.flip=true"]
    for more, n in (init, 60), (["--set", "data.dims=4"], 12):
        assert answer(*words[:5], *more, "--hidden", "3")["parameters"][0]["n"] == n
    both = call(*words, "--method", "forward", "--method", "complex-step", "--hidden", "0").out
    assert re.search(r"forward +none +.* W1 (.|\n)*complex-step +none +.* W1 ", both)


def test_find_eta_leaves_a_config_for_each_combination(call, tmp_path):
    words = ["find-eta", *SMALL, "--epochs", "12", "--hidden", "4", "--hidden", "0", "--lambda", "0"]
    printed = call(*words, "--lambda", "0.1", "--quiet").out
    names = [f"hidden-{layers}-lambda-{lam}" for layers in ("4", "none") for lam in ("0", "0.1")]
    path = Run.find("latest", tmp_path / "runs").path
    tables = {f"{name}.{kind}" for name in names for kind in ("csv", "yaml")}
    assert files(path) == RUN | figures("range-test") | tables
    for name in names:
        flags = re.search(rf"^{name}: (.*)$", printed, re.MULTILINE)[1]
        pair = config.flatten(config.plain(config.load(path / f"{name}.yaml")))
        for flag, value in re.findall(r"--set (\S+)=(\S+)", flags):
            assert float(value) == pair[flag]


def test_evaluate_adds_its_figures(answer, call, trained):
    found = answer("evaluate", trained.name)
    assert found["n"] == np.sum(found["confusion"]) == 10_000
    assert len(found["per_class"]) == 10
    added = figures("confusion-test", "mistakes-test")
    added |= {name.replace("png", "svg") for name in added}
    last = answer("evaluate", "latest", "--checkpoint", "cycle-2", "--format", "svg")
    assert last["accuracy"] == found["accuracy"] == trained.results["test_accuracy"]
    tables = call("evaluate", "--format", "svg").out.splitlines()[1:-1]
    assert max(map(len, tables)) <= 80
    both = answer("evaluate", "--ensemble", "cycles", "--split", "validation", "--format", "svg")
    assert [member["name"][-7:] for member in both["members"]] == ["cycle 2", "cycle 1"]
    for name, more in ("cycle-2-test", []), ("ensemble-validation", ["members"]):
        added |= {f"figures/{kind}-{name}.svg" for kind in ("confusion", "mistakes", *more)} | {f"confusion-{name}.csv"}
    assert files(trained.path) == TRAINED | added


def test_latest_is_the_newest_run_that_will_do(call, trained):
    call("gradcheck", *SMALL, "--samples", "2")
    for words in ["evaluate", "--format", "svg"], ["export", "--to", "csv"]:
        assert f"latest is runs/{trained.name}\n" in call(*words).err
    refused = call("evaluate", "--checkpoint", "cycle-3", code=1).err
    assert f"latest is runs/{trained.name}\n" in refused
    assert "no checkpoint cycle-3; its checkpoints: best, latest, cycle-1, cycle-2" in refused
    assert "is a gradient check" in call("train", "--resume", Run.find("latest", Path("runs")).name, code=1).err


def test_predict_names_what_it_leaves_out(call, answer, trained, tmp_path):
    for name in ("cats/a.png", "dogs/b.webp", "c.bmp"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((40, 50), 90).convert("RGB").save(tmp_path / "photos" / name)
    (tmp_path / "photos" / "notes.txt").write_text("x")
    (tmp_path / "photos" / "._a.png").write_text("x")
    printed = call("predict", "latest", "photos")
    header, *rows = csv.reader(io.StringIO(printed.out))
    assert header[:3] == ["image", "class", "airplane"]
    assert [row[0] for row in rows] == [f"photos/{name}" for name in ("c.bmp", "cats/a.png", "dogs/b.webp")]
    assert printed.err.splitlines()[1:] == ["skipped: photos/notes.txt: no picture"]
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    words = ["predict", "latest", "photos/c.bmp", "broken.png"]
    shown = call(*words, "--picture", code=1)
    assert shown.out.startswith("photos/c.bmp\n  ")
    assert "skipped: broken.png: cannot be read as a picture" in shown.err
    found = answer(*words, code=1)
    assert [skipped["image"] for skipped in found["skipped"]] == ["broken.png"]
    [seen] = found["images"]
    assert seen["probabilities"][seen["class"]] == max(seen["probabilities"].values())
    assert files(trained.path) == TRAINED | {"figures/predictions.png"}


def test_export_names_its_files(call, answer, trained):
    listed = call("export", "--to", "csv").out.splitlines()
    assert listed == answer("export", trained.name, "--to", "csv")["files"]
    assert files(trained.path) == TRAINED | {str(Path(name).relative_to(f"runs/{trained.name}")) for name in listed}


def test_a_report_of_ones_own_is_begun(call, answer, trained, tmp_path):
    """Beside its figures, in a folder of its own; what no run is of is said, with the command for it."""
    printed = call("report", trained.path, "--to", "tex").out
    assert printed.startswith("report/report.tex\nCompile it: cd report && pdflatex report.tex\n")
    assert "No run of: gradient check (cifarnet gradcheck --lambda 0.1)" in printed
    assert files(tmp_path / "report") == {"report.tex", f"figures/{trained.name}-curves.pdf"}
    assert "remove it, or choose another --output" in call("report", "latest", "--to", "tex", code=1).err
    assert answer("report", "latest", "-o", "mine")["files"][0] == "mine/report.md"
    assert files(trained.path) == TRAINED


def test_a_search_leads_to_the_final_training(call, answer, tmp_path):
    coarse = call("search-lambda", "coarse", *COARSE, *FINE)
    assert coarse.err.count("validation accuracy") == 3
    searched = RUN | figures("search") | {"plan.json", "trials.csv", "best.yaml"}
    assert files(Run.find("latest", tmp_path / "runs").path) == searched
    fine = answer(*coarse.out.splitlines()[-1].removeprefix("Next: cifarnet ").split())
    assert files(tmp_path / fine["run"]) == searched | {"earlier.json"}
    assert [trial["index"] for trial in fine["trials"]] == [0, 1]
    assert {"index", "lambda", "validation_accuracy", "status"} <= set(fine["trials"][0])
    assert fine["best"]["validation_accuracy"] == max(t["validation_accuracy"] for t in fine["trials"])
    final = answer(*fine["next"].split()[1:])
    assert config.load(tmp_path / final["run"] / "config.yaml").training.lam == fine["best"]["lambda"]
    assert "is no training: it is a search" in call("train", "--resume", fine["run"], code=1).err


def test_the_plan_of_a_search_writes_nothing(call, tmp_path):
    words = ["search-lambda", "coarse", *COARSE, "--n-s", "7", "--cycles", "3", "--hidden", "4", "--dry-run"]
    assert "3 trainings: cycles 3, n_s 7, eta_min 1e-05, eta_max 0.1, batch size 100, hidden [4]" in call(*words).out
    over = "--set=search.over.training.schedule.eta_max.values=[0.1, 0.2]"
    printed = call("search", "coarse", *COARSE, over, "--dry-run").out
    assert "\n2 trainings: cycles 1, n_s 5, eta_min 1e-05, batch size 100, hidden [5], seed 42, 500 training" in printed
    assert "search.coarse.cycles: search.coarse.cycles (--set)\n" in printed
    assert not (tmp_path / "runs").exists()


def test_a_search_that_began_with_halving_says_why_it_cannot_go_on(call, answer):
    run = Run(Path(answer("search-lambda", "coarse", *COARSE)["run"]))
    info = run.info
    info["settings"]["search"]["coarse"]["halving"] = 2
    run.write_json("run.json", info)
    assert (
        "it began with halving, which is gone; search again" in call("search-lambda", "--resume", run.path, code=1).err
    )


def test_search_shows_the_best_trial_of_each_value(answer, call):
    over = [f"--set=search.over.{axis}" for axis in ("network.hidden.values=[5,2]", "training.lambda.values=[0,1]")]
    found = answer("search", "coarse", *COARSE, *over, "--set=search.coarse.sampling=grid", "--by", "network.hidden")
    assert [row["hidden"] for row in found["by"]] == [2, 5]
    for row in found["by"]:
        same = [t["validation_accuracy"] for t in found["trials"] if t["hidden"] == row["hidden"]]
        assert row["validation_accuracy"] == max(same)
    for words, count in (["--by", "training.lambda"], 2), ([], 3), (["--top", 1], 1), (["--top", 9], 4):
        shown = call("search", "--resume", "latest", *words).out
        assert len(re.findall(r"^ +[1-4]  .*%", shown, re.MULTILINE)) == count, words
    assert "goes on with: cifarnet search --resume" in call("search-lambda", "--resume", "latest", code=2).err


def test_a_diverged_trial_shows_in_the_exit_code(call):
    over = "--set=search.over.training.schedule.eta_max.values=[0.1,1e30]"
    printed = call("search", "coarse", *COARSE, over, "--quiet", code=4)
    assert re.search(r"DIVERGED(.|\n)*diverged trials: 1", printed.err)
    assert "The final training: runs/" in printed.out
    none = call("search", "coarse", *COARSE, over.replace("0.1,", ""), code=4).out
    assert "best.yaml" not in none and "Next:" not in none


@pytest.mark.slow
def test_a_stopped_search_is_finished_or_forced(call, tmp_path):
    words = ["search-lambda", "coarse", *COARSE, "--set=search.coarse={n_s: 2000, trials: 9}", "--jobs", "1", "-q"]
    process = subprocess.Popen([*PROCESS, *words], stderr=subprocess.PIPE, text=True)
    while not (tables := list((tmp_path / "runs").glob("2*/trials.csv"))):
        assert process.poll() is None
        time.sleep(0.01)
    process.terminate()
    printed = process.communicate(timeout=60)[1]
    assert process.returncode == 143, printed
    assert f"trainings to go; to go on: cifarnet search-lambda --resume runs/{tables[0].parent.name}" in printed
    fine = ["search-lambda", "fine", "--from", "latest", *FINE, "--dry-run", "--set=search.fine.range=best 1"]
    assert re.search("it is interrupted, with .* take what it has with --force", call(*fine, code=2).err)
    assert "2 trainings" in call(*fine, "--force").out


def test_runs_are_listed_in_five_forms(call, answer, trained, monkeypatch):
    other = answer("train", *FAST, "--label", "small")["run"]
    monkeypatch.setenv("COLUMNS", "200")
    header, _, first, second = call("runs", "list").out.splitlines()
    assert re.fullmatch("run +kind +label +status +n_s +hidden .* validation +test +time", header)
    assert " small " in first
    assert re.match(rf"{trained.name[:15]} .* {100 * trained.results['test_accuracy']:.2f} % ", second)
    assert call("runs", "list", "--markdown").out.startswith("| run ")
    assert r"\toprule" in call("runs", "list", "--latex").out
    rows = csv.DictReader(io.StringIO(call("runs", "list", "--csv", "--sort", "-started").out))
    assert float(list(rows)[1]["test_accuracy"]) == trained.results["test_accuracy"]
    [found] = answer("runs", "list", "--filter", "label=small")["runs"]
    assert (found["run"], found["settings"]["network"]["hidden"]) == (other, [5])
    assert "label=other" in call("runs", "list", "--filter", "label=other").err


def test_a_list_by_one_setting_has_room_on_a_page(call, tmp_path):
    for number in range(20):
        settings = config.load("quick", [f"training.lambda=3e-{number}"], seed=number // 10)
        run = Run.create(tmp_path / "runs", "train", settings, environment={})
        run.finish("completed", results={"test_accuracy": 0.4})
    printed = call("runs", "list", "--by", "lambda", "--markdown").out
    cells = [cell.strip("| ") for row in printed.splitlines()[2:] for cell in row.split(" | ")]
    assert max(map(len, cells)) <= 40
    assert printed.count("40.00 ± 0.00 % |") == printed.count("... |") == 2


def test_compare_prints_before_it_draws(call, answer, trained, monkeypatch, tmp_path):
    other = Path(answer("train", "-q", *TINY, "--seed", "7")["run"]).name
    printed = call("runs", "compare", trained.name, other, "--format", "svg").out
    assert re.search(r"^seed +42 +7$", printed, re.MULTILINE)
    assert "n_s" not in printed
    assert printed.endswith(f"Curves: {next(Path('runs').glob('comparison-*.svg'))}\n")
    again = answer("runs", "compare", other, trained.name, "--format", "svg")["figure"]
    assert len([*Path("runs").glob("comparison-*.svg")]) == 2 and Path(again).is_file(), "each has a figure of its own"

    copy = shutil.copytree(trained.path, tmp_path / "elsewhere" / trained.name)
    assert re.search(
        rf"^results +{trained.path} +{copy}$", call("runs", "compare", trained.path, copy).out, re.MULTILINE
    )

    monkeypatch.setattr(plots, "overlay", lambda _: 1 / 0)
    printed = call("runs", "compare", trained.name, other)
    assert "test_accuracy" in printed.out
    assert "Warning: the curves could not be drawn: division by zero" in printed.err
    assert answer("runs", "compare", trained.name, other)["figure"] is None
    assert "two different runs" in call("runs", "compare", other, other, code=2).err


@pytest.mark.slow
def test_figures_are_drawn_again_for_a_hand_in(call, answer, trained):
    drawn = answer("runs", "draw", "latest", "--panels", "--format", "pdf")["figures"]
    names = ["curves", "eta", "weights", "cost", "loss", "accuracy"]
    assert drawn == [f"runs/{trained.name}/figures/{name}.pdf" for name in names]
    assert all((trained.path / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF") for name in names)
    for command, figure in (["find-eta", *FAST], "range-test"), (["search-lambda", "coarse", *COARSE], "search"):
        run = answer(*command, "-q")["run"]
        assert call("runs", "draw").out == f"{run}/figures/{figure}.pdf\n"
    assert "it is a gradient check" in call("runs", "draw", answer("gradcheck", *SMALL)["run"], code=1).err
    assert call("runs", "draw").out == f"{run}/figures/search.pdf\n", "the newest that has a figure"


def test_runs_are_shown_annotated_and_removed(call, answer, trained, tmp_path):
    call("runs", "note", "latest", "for the\nreport λ")
    shown = call("runs", "show").out
    for words in ("for the report λ", "training.lambda", f"cifarnet train --config runs/{trained.name}/config.yaml"):
        assert words in shown
    assert len(answer("runs", "show")["notes"]) == 1
    other = tmp_path / answer("train", *FAST)["run"]
    assert call("runs", "page").out == "runs/index.html\n"
    assert files(tmp_path / "runs") >= {"index.html", f"{other.name}/run.html"}
    assert "say --yes" in call("runs", "rm", "latest", code=2).err
    assert call("runs", "rm", "--keep-best", "1", "--yes").out.endswith("1 removed\n")
    assert [trained.path.exists(), other.exists()].count(True) == 1


def test_reproduce_report_leaves_a_page_and_its_records(call, answer, tmp_path):
    row = "{id: a, title: A, settings: {training: {lambda: 0.01}}, reported: [{text: 46 %, measure: test_accuracy}]}"
    settings = "{data: {dims: 20, limit: 200}, network: {hidden: [4]}, training: {schedule: {n_s: 2}}}"
    exhibit = f"{{id: e, title: E, place: Section 1, settings: {settings}, rows: [{row}]}}"
    (tmp_path / "s.yaml").write_text(f"{{id: s, title: S, author: N. N., year: 2021, exhibits: [{exhibit}]}}")
    words = ["reproduce-report", "--studies", "s.yaml", "--scale", "1"]
    assert "1 of 1 to run" in call(*words, "--dry-run").out
    assert "nothing is recorded in runs/reports" in call(*words, "--redraw", code=2).err
    found = answer(*words)
    [training] = (tmp_path / "runs" / "reports" / "trainings").glob("2*")
    assert files(training) == RUN - {"run.html"} | {"metrics.csv", "model.npz", "confusion-test.csv"}
    top = {path.name for path in (tmp_path / "runs" / "reports").iterdir()}
    assert top == {"index.html", "numbers.csv", "report.md", "plan.json", "trainings"}
    assert found["synthetic"] is True
    assert call("reproduce-report", "--studies", "s.yaml", "--redraw").out.startswith("runs/reports/index.html\n")


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
