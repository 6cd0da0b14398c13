"""The report room: studies are data, jobs run once, verdicts follow one rule, the page holds what the records say."""

import csv
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner

from cifarnet import config
from cifarnet.cli.reproduce_report import reproduce_report
from cifarnet.errors import ConfigError
from cifarnet.nested import flat
from cifarnet.report import compare, plan, studies
from cifarnet.report.book import Book
from cifarnet.report.charts import ticks
from cifarnet.report.numbers import Reported, quantity, resolution

STUDY = """
title: A seventh report
author: N. N.
year: 2021
exhibits:
  - id: gradient
    title: Gradient check
    place: Section 1
    settings: {data: {dims: 20}}
    rows:
      - id: first
        title: 5 images
        check: {methods: [forward, centred], samples: 5, step: 1e-6}
        stated: {check.samples: "5"}
        reported:
          - {text: "1e-6", measure: norm_relative_error, method: forward, parameter: W1}
          - {text: "1e-7", measure: max_absolute_error, method: centred, bound: true}
  - id: runs
    title: Two trainings
    place: Section 2
    settings:
      data: {train: [1], validation: [2], dims: 40, limit: 200}
      network: {hidden: [8]}
      training: {batch_size: 20, schedule: {kind: cyclic, n_s: 10, cycles: 1}}
      evaluation: {per_cycle: 4}
    figures: [cost, loss, accuracy, eta, lambda]
    x: epoch
    sample: {low: -4, high: -2, trials: 1, seed: 1}
    rows:
      - id: small
        title: lambda 0.01
        settings: {training: {lambda: 0.01}}
        stated: {training.lambda: ["0.01", "-2"], derived.epochs: "2"}
        reported:
          - {text: 46 %, measure: test_accuracy}
          - {text: 3 min 10 sec, measure: seconds, reason: a time depends on the machine}
      - id: mean
        title: recorded from the batches
        settings: {training: {lambda: 0.01}, evaluation: {train_cost: running_mean}}
        reported:
          - {text: "0.1000", measure: test_accuracy}
    other:
      - {text: "7", what: something else, reason: no result}
claims:
  - {says: They are alike., place: Section 3, expect: alike, measure: test_accuracy, rows: [runs/small, runs/mean]}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "seventh.yaml").write_text(STUDY)
    return tmp_path


@pytest.fixture(scope="module")
def two_passes(tmp_path_factory):
    """A folder where both passes are recorded; tests copy it."""
    folder = tmp_path_factory.mktemp("passes")
    (folder / "studies").mkdir()
    (folder / "studies" / "seventh.yaml").write_text(STUDY)
    return folder, reproduce(folder, "--seeds", "2")


@pytest.fixture
def trained(two_passes, tmp_path):
    return Path(shutil.copytree(two_passes[0], tmp_path / "copy", symlinks=True))


@pytest.fixture
def study(folder):
    return studies.read(folder / "studies" / "seventh.yaml")


def reproduce(folder, *arguments, **environment):
    """Run the command without real data, on the synthetic twin."""
    environment = {"CIFARNET_DATA_DIR": None, "XDG_CACHE_HOME": str(folder / "cache")} | environment
    options = ["--studies", str(folder / "studies"), "--runs-dir", str(folder / "runs"), "--quiet", "--scale", "1"]
    return CliRunner().invoke(reproduce_report, [*options, *arguments], env=environment, catch_exceptions=False)


def numbers(folder):
    with (folder / "runs" / "reports" / "numbers.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("text", "value", "half"),
    [
        ("46.72%", 0.4672, 0.00005),
        ("45 %", 0.45, 0.005),
        ("0.82", 0.82, 0.005),
        ("-2,5395", -2.5395, 0.00005),
        ("2.9e-3", 0.0029, 0.00005),
        ("45,000", 45000, 0.5),
    ],
)
def test_printed_numbers_mean_what_they_say(text, value, half):
    """Per cent, decimal commas, powers of ten; half a unit of the last digit is what the wording leaves open."""
    assert quantity(text) == pytest.approx(value, rel=1e-12)
    assert text == "45,000" or resolution(text) == pytest.approx(half, rel=1e-9)


def test_times_are_seconds():
    assert quantity("2 min 39 sec") == 159
    assert quantity("3.08 minutes") == pytest.approx(184.8)


def test_a_study_that_states_another_setting_than_it_uses_is_refused(folder):
    """The printed lambda and the trained one cannot come apart; the message names file, line, row and key."""
    path = folder / "studies" / "seventh.yaml"
    path.write_text(STUDY.replace('["0.01", "-2"]', '"0.02"'))
    told = r"seventh\.yaml:\d+: exhibits.*row small: training.lambda is stated as '0.02' but is 0.01"
    with pytest.raises(ConfigError, match=told):
        studies.read(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("expect: alike", "expect: fastest", "first highest"),
        ("rows: [runs/small, runs/mean]", "rows: [runs/small, runs/none]", "no such row: runs/none"),
        ("lambda: 0.01}}", "lamda: 0.01}}", "lamda"),
        ("text: 46 %", "text: 46 apples", "could not convert"),
        ("author: N. N.", "", "author"),
    ],
)
def test_a_wrong_study_is_told_with_file_and_key(folder, old, new, message):
    path = folder / "studies" / "seventh.yaml"
    path.write_text(STUDY.replace(old, new, 1))
    with pytest.raises(ConfigError, match=rf"(?s)seventh\.yaml:\d+: .*{message}"):
        studies.read(path)


def test_a_shipped_study_that_stands_apart_is_named():
    """`--studies bonus` finds it, a row is the one above it with one change, and the folder is read without it."""
    done = subprocess.run(
        [sys.executable, "-m", "cifarnet", "reproduce-report", "--studies", "bonus", "--dry-run", "--seeds", "1"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "bonus/ablation/record" in done.stdout
    wrong = CliRunner().invoke(reproduce_report, ["--studies", "nonsense", "--dry-run"])
    assert (wrong.exit_code, "nor one of assignment, bonus, chou-2019" in wrong.output) == (2, True)
    folder = Path(__file__).parent.parent / "configs" / "reports"
    assert "bonus" not in [study.id for study in studies.read_all(folder)]
    *rows, last = (settings_of(row.settings) for row in studies.read(folder / "bonus.yaml").exhibits[0].rows)
    for above, row in pairwise([*rows, last]):
        assert 1 <= len(row.items() - above.items()) <= 3  # one change; of a schedule or an optimiser up to three keys
    record = settings_of(config.load("record"))
    assert {
        key: last[key] for key in record if key.startswith(("data", "network", "training"))
    }.items() <= record.items()


def settings_of(settings):
    """Every setting by its dotted key."""
    return flat(settings.model_dump())


def test_shipped_studies_share_their_trainings():
    """The five reports train Figure 3 and Figure 4 once for all of them; the jobs come in the order of their data."""
    read = studies.read_all(Path(__file__).parent.parent / "configs" / "reports")
    jobs = plan.jobs(read, plan.Scope(seeds=1), lambda settings: "fingerprint")
    users = next(job.users for job in jobs if "chou-2019/figure-3/one-cycle" in job.users)
    others = {f"{name}/figure-3/one-cycle" for name in ("assignment", "garcia-sanz-2020", "yadava")}
    assert others < set(users)
    assert len({job.key for job in jobs}) == len(jobs)
    sizes = [job.settings.data.n_train for job in jobs]
    assert sizes == sorted(sizes)
    more = plan.jobs(read, plan.Scope(seeds=2), lambda settings: "fingerprint")
    assert [job.key for job in more[: len(jobs)]] == [job.key for job in jobs]


def test_the_key_is_of_what_a_result_depends_on(study):
    """Settings, data and numerics change it, the label does not."""
    settings = study.row("runs/small").settings
    same = plan.key(settings.model_copy(update={"label": "other"}), None, "a")
    assert same == plan.key(settings, None, "a") != plan.key(settings, None, "b")
    assert same != plan.key(settings.model_copy(update={"seed": 5}), None, "a")


def one(study, value, text="46 %", **number):
    exhibit = study.exhibits[1]
    reported = Reported(text=text, **({"measure": "test_accuracy"} | number))
    return compare.compare(study, exhibit, exhibit.rows[0], reported, value, "")


def test_an_accuracy_agrees_within_a_point_three_deviations_or_the_wording(study):
    """Each of the three distances decides where it is the largest."""
    assert one(study, [0.4699], "46.00 %").verdict == "agrees"
    assert one(study, [0.4702], "46.00 %").verdict == "differs"
    assert one(study, [0.46, 0.48, 0.50], "42.50 %").verdict == "agrees"  # std 0.02
    assert one(study, [0.479, 0.480, 0.481], "46.50 %").verdict == "differs"
    assert one(study, [0.54], "0.5").verdict == "agrees"
    assert one(study, [], "46 %").verdict == "not run"
    assert one(study, [0.46], "46 %", reason="why").verdict == "cannot be compared"


def test_a_gradient_error_agrees_up_to_ten_times_or_a_bound(study):
    number = {"measure": "max_absolute_error"}
    assert one(study, [9e-8], "1e-8", **number).verdict == "agrees"
    assert one(study, [2e-7], "1e-8", **number).verdict == "differs"
    assert one(study, [1e-12], "1e-8", **number).verdict == "agrees"
    assert one(study, [2e-8], "1e-8", bound=True, **number).verdict == "differs"


@pytest.mark.parametrize(
    ("expect", "first", "second", "verdict"),
    [
        ("first highest", [0.50, 0.51, 0.52], [0.48, 0.49, 0.50], "holds"),
        ("first highest", [0.50, 0.51, 0.47], [0.48, 0.49, 0.48], "undecided"),
        ("first highest", [0.47], [0.48], "does not hold"),
        ("first lowest", [0.47], [0.48], "holds"),
        ("alike", [0.47, 0.48], [0.475, 0.477], "holds"),
        ("alike", [0.47, 0.48], [0.57, 0.58], "does not hold"),
        ("first highest", [], [0.48], "not run"),
    ],
)
def test_claims_are_tested_with_paired_seeds(study, expect, first, second, verdict):
    """The spread that both settings share drops out; what is left decides."""
    claim = study.claims[0].model_copy(update={"expect": expect})
    results = {"seventh/runs/small": first, "seventh/runs/mean": second}
    tested = compare.test(study, claim, lambda name: [{"test_accuracy": v} for v in results[name]])
    assert tested.verdict == verdict


def test_ticks_are_round_and_inside():
    for low, high in [(0, 1), (2.1, 2.34), (-5, -1), (0, 4800), (1e-5, 0.1)]:
        found = ticks(low, high)
        assert 2 <= len(found) <= 6
        assert all(low - 1e-9 <= t <= high + 1e-9 for t in found)


def test_a_seventh_report_needs_no_code(two_passes):
    """Trained on the twin: the page, the tables and the records stand, nothing is compared, and it says so."""
    folder, result = two_passes
    assert result.exit_code == 0
    assert "SYNTHETIC" in result.stderr
    assert "Nothing is compared: the data are synthetic." in result.stdout
    assert "cifarnet data download" in result.stdout
    rows = numbers(folder)
    assert {row["verdict"] for row in rows} == {"setting", "cannot be compared"}
    small = next(row for row in rows if row["row"] == "small" and row["quantity"] == "test accuracy")
    assert small["n"] == "2"
    assert float(small["mean"]) > 0
    seconds = next(row for row in rows if row["quantity"] == "seconds")
    assert (seconds["mean"], seconds["reason"]) == ("", "a time depends on the machine")
    html = (folder / "runs" / "reports" / "index.html").read_text()
    assert "SYNTHETIC" in html
    assert "http://" not in html
    assert "https://" not in html
    for name in ("sampled", "N. N., 2021", "Section 2", "--only seventh/runs"):
        assert name in html
    assert "| runs" in (folder / "runs" / "reports" / "report.md").read_text()


def test_the_way_of_recording_the_cost_does_not_change_the_network(trained):
    """Zenciroglu's methods: the same seeds give the same accuracies."""
    rows = {row["row"]: row["mean"] for row in numbers(trained) if row["quantity"] == "test accuracy"}
    assert rows["small"] == rows["mean"] != ""


def test_nothing_is_done_twice(trained):
    """A further call trains nothing, and --dry-run tells what a further pass would run."""
    trainings = trained / "runs" / "reports" / "trainings"
    first = sorted(path.name for path in trainings.iterdir())
    assert len(first) == 8 + len(["latest"])
    reproduce(trained, "--seeds", "2")
    assert sorted(path.name for path in trainings.iterdir()) == first
    listed = reproduce(trained, "--seeds", "3", "--dry-run").stdout
    assert (listed.count(": recorded in"), listed.count(": to run")) == (8, 4)
    assert sorted(path.name for path in trainings.iterdir()) == first


def test_redraw_needs_neither_data_nor_training(trained):
    before = (trained / "runs" / "reports" / "numbers.csv").read_bytes()
    (trained / "runs" / "reports" / "index.html").unlink()
    assert reproduce(trained, "--redraw", "--data-dir", str(trained / "nowhere")).exit_code == 0
    assert (trained / "runs" / "reports" / "index.html").exists()
    assert (trained / "runs" / "reports" / "numbers.csv").read_bytes() == before


def test_only_names_what_there_is(folder):
    with pytest.raises(ConfigError, match="--only eighth: not known; name one of seventh"):
        reproduce(folder, "--only", "eighth")


def test_killed_and_started_again_gives_the_same_numbers(trained):
    """SIGKILL in the middle: what was finished is kept, what was not is trained again."""
    folder = trained
    whole = (folder / "runs" / "reports" / "numbers.csv").read_bytes()
    command = [sys.executable, "-m", "cifarnet", "reproduce-report", "--studies", folder / "studies", "--scale", "1"]
    command += ["--runs-dir", folder / "again", "--seeds", "2", "--quiet"]
    environment = {k: v for k, v in os.environ.items() if k != "CIFARNET_DATA_DIR"} | {"XDG_CACHE_HOME": str(folder)}
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(list(map(str, command)), env=environment, **silent)
    deadline = time.monotonic() + 60
    while not list((folder / "again").glob("reports/trainings/*/metrics.csv")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    subprocess.run(list(map(str, command)), env=environment, check=True, capture_output=True)
    assert (folder / "again" / "reports" / "numbers.csv").read_bytes() == whole


def test_a_chart_says_in_words_what_it_shows(trained, study):
    """For readers who cannot see it: from where to where each line goes, and what the report has."""
    reports = trained / "runs" / "reports"
    book = Book([study], plan.remembered(reports), reports)
    chart = book.chapters[0].sections[1].figures[0].charts[2]
    assert chart.alt.startswith("accuracy: training from ")
    assert "reported 46.0 %" in chart.alt
    assert not math.isnan(chart.marks[0][2])
