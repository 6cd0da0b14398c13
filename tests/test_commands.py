"""Each command as a user calls it: what it prints, and all the files that it leaves."""

import csv
import io
import re
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cifarnet import config, plots
from cifarnet.runs import Run
from tests.calls import COARSE, CURVES, CYCLES, FAST, FINE, PROCESS, RUN, SMALL, TINY, TRAINED, figures
from tests.common import files


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
