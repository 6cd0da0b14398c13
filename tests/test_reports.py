"""Each training runs once, and the page shows what is recorded."""

import csv
import hashlib
import re
import shutil
import signal
import time
from collections import deque
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote

import numpy as np
import pytest

from cifarnet import config, reports
from cifarnet.experiments import pool
from cifarnet.reports import jobs, reasons
from cifarnet.reports.chapter import Chapter
from cifarnet.runs import Folder
from cifarnet.studies import read_study
from cifarnet.verdicts import curves
from cifarnet.verdicts.words import described, show
from tests.common import started
from tests.seventh import SHIPPED, STUDY, curve, every, recorded, shipped

REPRODUCE = """
import sys
from pathlib import Path
from cifarnet import reports
from cifarnet.experiments import pool
from cifarnet.studies import read_studies
study, folder = map(Path, sys.argv[1:])
with pool.local(2) as executor:
    for _ in reports.reproduce(read_studies(study), reports.Scope(2, synthetic=True), folder, executor, None):
        pass
"""


def reproduce(folder, seeds=2, text=STUDY, only=()):
    """Train a study on synthetic data; return the last progress."""
    folder.mkdir(exist_ok=True)
    (folder / "seventh.yaml").write_text(text)
    study, scope = read_study(folder / "seventh.yaml"), reports.Scope(seeds, only, synthetic=True)
    with pool.local(2) as executor:
        return ([None, *reports.reproduce([study], scope, folder, executor, None)])[-1]


def report_of(folder):
    return reports.Report([read_study(folder / "seventh.yaml")], folder)


def numbers(folder):
    with (folder / "numbers.csv").open() as file:
        return list(csv.DictReader(file))


def trainings(folder):
    return sorted(path.name for path in (folder / "trainings").iterdir())


@pytest.fixture(scope="module")
def two_passes(tmp_path_factory):
    """A folder with both passes of the study; tests copy it."""
    folder = tmp_path_factory.mktemp("passes")
    return folder, reproduce(folder)


@pytest.fixture
def trained(two_passes, tmp_path):
    return Path(shutil.copytree(two_passes[0], tmp_path / "copy", symlinks=True))


# Tasks


EXHIBITS = {  # those whose settings are as in commit 467e260, and a digest of their keys there: its records stay usable
    "assignment": ("f66e7993e197", "assignment-1 after-the-searches"),
    "bonus": ("51329158e866", "ablation optimisers schedules losses"),
    "chou-2019": ("aeeb5421603e", "gradient figure-3 figure-4"),
    "garcia-sanz-2020": ("3cd492003057", "gradient figure-3 figure-4 final"),
    "stagge-2019": ("36d392f12449", "gradient runs"),
    "yadava": ("4bc8d7907815", "gradient figure-3 figure-4"),
    "zenciroglu": ("5425167507b7", "gradient overfit table-4 coarse fine"),
}


@pytest.mark.parametrize("name", SHIPPED)
def test_keys_are_those_of_earlier_records(name):
    study, (digest, exhibits) = shipped(name), EXHIBITS[name]
    kept = tuple(e.model_copy(update={"rows": tuple(r for r in e.rows if not r.alternative)})
                 for e in study.exhibits if e.id in exhibits.split())  # fmt: skip
    passes = jobs.passes([study.model_copy(update={"exhibits": kept})], reports.Scope(2), lambda images: "f")
    keys = sorted(task.key for tasks in passes for task in tasks)
    assert hashlib.sha256(" ".join(keys).encode()).hexdigest()[:12] == digest


def test_the_key_is_of_what_a_result_depends_on(study):
    settings = study.named_rows["seventh/runs/small"].settings
    same = jobs.key(settings.model_copy(update={"label": "other"}), None, "a")
    assert same == jobs.key(settings, None, "a") != jobs.key(settings, None, "b")
    assert same != jobs.key(settings.model_copy(update={"seed": 5}), None, "a")


def test_shipped_studies_share_their_trainings():
    """Figure 3 is trained once for all reports; tasks come in the order of their data, pass by pass."""
    (tasks,) = jobs.passes(every(), reports.Scope(1), lambda images: "f")
    users = next(task.users for task in tasks if "chou-2019/figure-3/one-cycle" in task.users)
    assert {f"{name}/figure-3/one-cycle" for name in ("garcia-sanz-2020", "yadava")} < set(users)
    assert len({task.key for task in tasks}) == len(tasks)
    sizes = [task.settings.data.n_train for task in tasks]
    assert sizes == sorted(sizes)
    first, second = jobs.passes(every(), reports.Scope(2), lambda images: "f")
    assert {task.key for task in tasks} < {task.key for task in first}  # other readings are left out of a single pass
    assert not {task.key for task in first} & {task.key for task in second}


def test_every_folder_is_an_ordinary_run(two_passes):
    """With all the files of a training, or of a gradient check; its label names the first row that needs it."""
    folder, progress = two_passes
    assert progress == (10, 10, pytest.approx(1), progress.name)
    assert len(trainings(folder)) == 10 + len(["latest"])
    check = {"config.yaml", "environment.json", "log.txt", "run.json"}
    for run in jobs.recorded(folder).values():
        files = {path.name for path in run.path.iterdir()} - {".lock"}
        assert files == check | ({"metrics.csv", "model.npz", "confusion-test.csv"} if run.kind == "train" else set())
        assert run.label.startswith("seventh.")
        assert {"key", "results", "seconds", "settings", "started", "ended"} <= run.info.keys()
        assert run.environment["data"]["source"] == "synthetic"
        assert config.dump(run.settings) == run.read_bytes("config.yaml").decode()


def test_the_way_of_recording_the_cost_does_not_change_the_network(two_passes):
    rows = {row["row"]: row["mean"] for row in numbers(two_passes[0]) if row["quantity"] == "test accuracy"}
    assert rows["small"] == rows["mean"] != ""


def test_nothing_is_done_twice(trained):
    before, scope = trainings(trained), reports.Scope(3, synthetic=True)
    assert reproduce(trained) is None
    lines = list(reports.listing([read_study(trained / "seventh.yaml")], scope, trained, None))
    assert (sum(": recorded in" in line for line in lines), sum(": to run" in line for line in lines)) == (10, 5)
    assert re.fullmatch(r"5 of 15 to run, about \d+\.\d minutes on an idle machine", lines[-1])
    assert trainings(trained) == before


def test_a_record_that_is_damaged_is_made_again(trained):
    run = next(run for run in jobs.recorded(trained).values() if run.kind == "gradcheck")
    (run.path / "run.json").write_text("{")
    assert reproduce(trained).total == 1


def test_a_training_that_diverges_is_a_result(tmp_path):
    wild = STUDY.replace("n_s: 10, cycles: 1}", "n_s: 10, cycles: 1, eta_max: 1e30}")
    reproduce(tmp_path, 1, wild, ("seventh/runs",))
    found = jobs.recorded(tmp_path).values()
    assert {run.status for run in found} == {"diverged"}
    assert all("updates" in run.info and "eta" in run.info["error"] for run in found)
    assert reproduce(tmp_path, 1, wild, ("seventh/runs",)) is None


def test_passes_of_an_old_plan_are_kept(trained):
    """Those of 467e260 counted floating-point operations beside jobs and seconds."""
    plan = jobs.read_plan(trained)
    assert [sorted(p) for p in plan["passes"]] == [["jobs", "seconds"]] * 2
    plan["passes"] = [{"jobs": 5, "seconds": 60.0, "flop": 1e12, "workers": 2, "peak": 1e11}]
    Folder(trained).write_json("plan.json", plan)
    study, scope = read_study(trained / "seventh.yaml"), reports.Scope(1, synthetic=True)
    tasks = jobs.passes([study], scope, lambda images: "f")
    jobs.write_plan(trained, scope, tasks, {"jobs": 2, "seconds": 5.0})
    assert jobs.read_plan(trained)["passes"] == [{"jobs": 7, "seconds": 65.0}]
    assert "7 trainings and gradient checks in 1 min 5 s" in reports.Report([study], trained).html()


@pytest.mark.slow
def test_a_kill_and_another_call_give_the_same_numbers(trained, tmp_path):
    """SIGKILL in the middle: what was finished is kept, what was not is trained again."""
    process = started("-c", REPRODUCE, trained / "seventh.yaml", tmp_path / "again")
    deadline = time.monotonic() + 120
    while not list((tmp_path / "again").glob("trainings/*/metrics.csv")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = len(jobs.recorded(tmp_path / "again"))
    reproduce(tmp_path / "again")
    assert (tmp_path / "again" / "numbers.csv").read_bytes() == (trained / "numbers.csv").read_bytes()
    assert kept < len(jobs.recorded(tmp_path / "again")) == 10


# Readings and causes


def test_the_page_counts_what_is_stated_or_forced_first(trained):
    """The author's program, plausible readings and those chosen after the numbers come after them."""
    text = (trained / "seventh.yaml").read_text()
    for basis in ("stated", "forced", "author's program", "plausible", "chosen after the numbers"):
        assumption = f"assumptions: [{{says: It is so., basis: {basis}}}]\nexhibits:\n"
        (trained / "seventh.yaml").write_text(text.replace("exhibits:\n", assumption, 1))
        head = report_of(trained).summary()
        counted = [sum(found.values()) for found in (head["accuracies"], head["readings"][basis], head["firm"])]
        assert counted == [2, 2, 2 if basis in ("stated", "forced") else 0]


def test_the_points_of_a_curve_that_differ_are_named_where_they_are_few():
    runs = [recorded(0.001 * k + np.zeros(9), np.arange(9.0)) for k in range(3)]
    for wrong in (1, 8, 9):
        y = np.where(np.arange(9) < wrong, 1.0, 0.001)
        words = described(curves.compare(curve(np.arange(9), y), runs, "step", 0.0, 1.0))
        assert ("; incompatible at 0" in words) == (wrong <= 8)


def test_explanations_are_filled_from_what_was_measured(study):
    found = {"seventh/runs/small": [{"test_accuracy": 0.4}, {"test_accuracy": 0.41}]}
    chapter = Chapter(study, SimpleNamespace(results=lambda name: found.get(name, []), incomparable="", official=True))
    assert chapter.fill("It ends at {runs/small test_accuracy}.") == "It ends at 40.50 %."
    assert chapter.fill("{runs/mean test_accuracy}") == ""


def test_a_cause_stands_beside_the_number_that_it_explains(trained):
    Folder(trained).write_json("plan.json", jobs.read_plan(trained) | {"synthetic": False})
    known = next(e for e in report_of(trained).entries if e.is_accuracy)
    found = {"tried": 43, "deviation": "no shuffling", "mean": 0.5, "low": 0.4, "high": 0.6, "n": 3}
    found |= {"says": "It is.", "command": "x"}
    Folder(trained).write_json("causes.json", {known.name: found})
    entry = known._replace(verdict="incompatible", reason="")
    explained = report_of(trained).chapters[0].explained(entry).reason
    assert explained == "Compatible under: no shuffling, 50.00 % (40.00 to 60.00 %). It is. Again: x"
    Folder(trained).write_json("causes.json", {known.name: {"tried": 43, "deviation": None}})
    chapter, compatible = report_of(trained).chapters[0], known._replace(verdict="compatible")
    assert chapter.explained(entry).reason == "None of 43 deviations tried explains it."
    assert chapter.explained(compatible) == compatible


def test_what_explains_an_exhibit_is_likelier_in_the_next(monkeypatch, tmp_path, study):
    asked, cause = [], {"fits": True, "changes": {"runs/small": {"deviations.l2_missing": True}}}
    done = SimpleNamespace(status="completed", results={"candidates": [cause]})
    diagnosis = SimpleNamespace(run=done, stages=SimpleNamespace(done={}))

    def start(problem, *_):
        asked.append(problem.likelier["known"][:])
        return diagnosis

    monkeypatch.setattr(reasons.causes, "start", start)
    monkeypatch.setattr(reasons, "causes_of", lambda *_: {})
    exhibits = [(SimpleNamespace(study=study), study.exhibits[1], 42)] * 2
    deque(reasons.diagnosed(tmp_path, exhibits, {}, 2, None, None, None))
    assert asked == [[], [{"deviations.l2_missing": True}]]


def test_an_error_of_a_gradient_may_come_from_another_step(tmp_path):
    """Printed is what ten times the step gives; no step explains a bound below all of them."""
    text = STUDY.partition("  - id: runs")[0].replace("train: [1]", "train: [1], source: synthetic")
    text = text.replace("dims: 20, limit: 200}}", "dims: 5, limit: 200}, network: {hidden: [5]}}")

    def entries(text):
        (tmp_path / "seventh.yaml").write_text(text)
        study = read_study(tmp_path / "seventh.yaml")
        with pool.local(2) as executor:
            deque(reports.reproduce([study], reports.Scope(3), tmp_path, executor, None))
            deque(reports.explain([study], tmp_path, executor, None))
        return [e for e in report_of(tmp_path).entries if e.is_result]

    printed = f"{entries(text.replace('step: 1e-6', 'step: 1e-5'))[0].mean:.2e}"
    forward, centred = entries(text.replace('"1e-6"', f'"{printed}"').replace("1e-7", "1e-17"))
    assert forward.verdict == centred.verdict == "incompatible"
    assert forward.reason.startswith(f"Compatible under: step times 10, {show(float(printed), 'error')}")
    assert centred.reason == "None of 2 deviations tried explains it."


# Page


def test_another_report_needs_no_code(two_passes):
    """On synthetic data the page, the tables and the records are there, nothing is compared, and it says so."""
    folder = two_passes[0]
    report = report_of(folder)
    assert report.closing() == "Nothing is compared: the data are synthetic."
    assert {row["verdict"] for row in numbers(folder)} == {"setting", "cannot be compared"}
    small = next(row for row in numbers(folder) if row["row"] == "small" and row["quantity"] == "test accuracy")
    assert (small["n"], float(small["mean"]) > 0) == ("2", True)
    seconds = next(row for row in numbers(folder) if row["quantity"] == "seconds")
    assert (seconds["mean"], seconds["reason"]) == ("", "a time depends on the machine")
    html = (folder / "index.html").read_text()
    for words in ("SYNTHETIC", "sampled", "N. N., 2021", "Section 2", "--only seventh/runs"):
        assert words in html
    assert not re.search("https?://(?!www.w3.org/)", re.sub("(?s)<script.*?</script>", "", html))
    assert "| runs" in (folder / "report.md").read_text()


def test_what_was_not_run_is_no_claim_that_fails(trained):
    """As on real data, where the exhibit of the claim, or a row of it, was left out."""
    plan = jobs.read_plan(trained) | {"synthetic": False}
    Folder(trained).write_json("plan.json", plan)
    closing = r"[01] of 2 accuracies are compatible( \(\d not decidable\))?; no claims judged: 1 not tested\."
    assert re.fullmatch(closing, report_of(trained).closing())
    del plan["rows"]["seventh/runs/mean"]
    study = (trained / "seventh.yaml").read_text()
    study = study.replace("rows: [runs/small, runs/mean]", "rows: [runs/mean, templates/one]")
    (trained / "seventh.yaml").write_text(study)
    Folder(trained).write_json("plan.json", plan)
    report = report_of(trained)
    assert re.fullmatch(r"0 of 1 accuracies .*1 not run\); no claims judged: 1 not run\.", report.closing())
    head = report.summary()
    assert (head["claims"], head["claims_not_run"], head["accuracies"]["not_run"]) == (1, 1, 1)
    assert "1 were not run" in report.html() or "1 was not run" in report.html()


def test_the_page_is_written_from_the_records_alone(trained):
    before = {name: (trained / name).read_bytes() for name in ("numbers.csv", "report.md", "index.html")}
    for name in before:
        (trained / name).unlink()
    assert report_of(trained).write() == trained / "index.html"
    assert {name: (trained / name).read_bytes() for name in before} == before


def test_links_lead_to_sections_files_and_run_folders(two_passes):
    folder = two_passes[0]
    html = (folder / "index.html").read_text()
    ids, links = (re.findall(rf' {name}="([^"]*)"', html) for name in ("id", "href"))
    assert len(set(ids)) == len(ids)
    assert any(link.startswith("trainings/") for link in links)
    for link in links:
        where = link[1:] in ids if link[0] == "#" else (folder / unquote(link)).exists()
        assert where or link == "data:,", link


def test_figures_say_in_words_what_they_show(two_passes):
    html = (two_passes[0] / "index.html").read_text()
    assert re.findall(r'<img [^>]*alt="([^"]*)"', html) == [
        "The weights of each of the ten classes as 32 x 32 colour images, one layer"
    ]
    charts = re.findall(r'<svg class="chart"[^>]*aria-label="([^"]*)"', html)
    assert len(charts) == 3 * 4 + 1 + 1  # cost, loss, accuracy and eta of three rows, the search, a loss
    assert any(label.startswith("accuracy: training ") and "reported 46 %" in label for label in charts)
