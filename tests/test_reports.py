"""Studies are data, each training runs once, verdicts follow one rule, and the page shows what is recorded."""

import csv
import hashlib
import math
import re
import shutil
import signal
import time
from collections import Counter, deque
from functools import cache
from itertools import pairwise
from pathlib import Path
from statistics import stdev
from types import SimpleNamespace
from urllib.parse import unquote

import numpy as np
import pytest
from scipy import stats

from cifarnet import config, reports
from cifarnet.errors import ConfigError, RunError
from cifarnet.experiments import pool
from cifarnet.nn.schedules import Cyclic
from cifarnet.reports import jobs, page
from cifarnet.runs import Folder
from cifarnet.setting import in_steps
from cifarnet.statistics import inference as statistics
from cifarnet.studies import read_studies, read_study
from cifarnet.studies.figures import Curve, read_templates
from cifarnet.studies.printed import Reported, quantity, resolution
from cifarnet.verdicts import claims, compare, curves
from tests.common import started

SHIPPED = {path.stem: path for path in sorted((config.folder() / "reports").glob("*.yaml"))}


@cache
def every():
    """All studies of a folder; reading them takes two seconds."""
    return read_studies()


@cache
def shipped(name):
    return next((study for study in every() if study.id == name), None) or read_study(SHIPPED[name])


STUDY = """
title: A seventh report
author: N. N.
year: 2021
exhibits:
  - id: gradient
    title: Gradient check
    place: Section 1
    settings: {data: {train: [1], validation: 100, dims: 20, limit: 200}}
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
      data: {train: [1], validation: 100, dims: 20, limit: 200}
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
  - id: templates
    title: One layer
    place: Section 3
    settings:
      data: {train: [1], validation: 100, limit: 200}
      network: {hidden: []}
      training: {schedule: {kind: constant, epochs: 2}}
    figures: [loss, templates]
    rows:
      - {id: one, title: one layer}
claims:
  - {says: They are alike., place: Section 3, expect: alike, measure: test_accuracy, rows: [runs/small, runs/mean]}
"""
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


@pytest.fixture
def study(tmp_path):
    (tmp_path / "seventh.yaml").write_text(STUDY)
    return read_study(tmp_path / "seventh.yaml")


# Studies


@pytest.mark.parametrize(
    ("text", "value", "half"),
    [
        ("46.72%", 0.4672, 0.00005),
        ("45 %", 0.45, 0.005),
        ("0.82", 0.82, 0.005),
        ("-2,5395", -2.5395, 0.00005),
        ("2.9e-3", 0.0029, 0.00005),
        ("45,000", 45000, None),
        ("2 min 39 sec", 159, None),
        ("3.08 minutes", 184.8, None),
    ],
)
def test_printed_numbers_mean_what_they_say(text, value, half):
    """Per cent, decimal commas, powers of ten, times; half a unit of the last digit is what the wording leaves open."""
    assert quantity(text) == pytest.approx(value, rel=1e-12)
    assert half is None or resolution(text) == pytest.approx(half, rel=1e-9)
    with pytest.raises(ValueError, match="could not convert"):
        quantity("")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("expect: alike", "expect: fastest", "first highest"),
        ("rows: [runs/small, runs/mean]", "rows: [runs/small, runs/none]", "no such row: runs/none"),
        ("lambda: 0.01}}", "lamda: 0.01}}", "lamda"),
        ("text: 46 %", "text: 46 apples", "could not convert"),
        ("author: N. N.", "", "author"),
        ("      - id: first\n", "      - first\n      - id: first\n", "rows, a list of mappings"),
        ("{training: {lambda: 0.01}}", "[1]", "settings"),
    ],
)
def test_what_is_wrong_in_a_study_is_said_with_file_and_key(tmp_path, old, new, message):
    path = tmp_path / "seventh.yaml"
    path.write_text(STUDY.replace(old, new, 1))
    with pytest.raises(ConfigError, match=rf"(?s)seventh\.yaml:\d+: .*{message}"):
        read_study(path)


def test_only_and_studies_name_what_there_is(study):
    with pytest.raises(ConfigError, match="--only eighth: not known; name one of seventh"):
        reports.scope([study], None, ("eighth",), None, None)
    with pytest.raises(ConfigError, match="nonsense: neither a file nor a folder, nor one of assignment, b"):
        read_studies(Path("nonsense"))


def test_a_separate_study_is_read_by_its_name_alone(tmp_path):
    """The course's results come first in a folder; ``apart`` is what ``separate`` was called once."""
    assert [study.id for study in read_studies(Path("bonus"))] == ["bonus"]
    found = [study.id for study in every()]
    assert (found[0], "bonus" in found) == ("assignment", False)
    (tmp_path / "old.yaml").write_text(STUDY + "apart: true\n")
    assert read_study(tmp_path / "old.yaml").separate


def test_rows_of_the_bonus_study_differ_in_one_change_and_end_at_the_record():
    rows = [config.flatten(row.settings.model_dump()) for row in shipped("bonus").exhibits[0].rows]
    for above, row in pairwise(rows):
        assert 1 <= len(row.items() - above.items()) <= 3  # of a schedule or an optimizer up to three keys
    record = config.flatten(config.load("record").model_dump())
    parts = ("data", "network", "training")
    assert {k: v for k, v in rows[-1].items() if k.startswith(parts)} == (
        {k: v for k, v in record.items() if k.startswith(parts)}
    )


def printed_settings(exhibit, row):
    """What the settings of a row are called where reports print them, with what follows from them."""
    settings, s = row.settings, row.settings.training.schedule
    derived = {"inputs": settings.data.d, "classes": 10, "rows": len(exhibit.rows), "test_images": 10_000,
               "training_images": settings.data.n_train, "validation_images": settings.data.n_validation}  # fmt: skip
    if isinstance(s, Cyclic) and settings.steps_per_epoch:
        n_s = in_steps(s.n_s, settings.steps_per_epoch)
        derived["epochs"] = 2 * n_s * s.cycles / settings.steps_per_epoch
        derived["record_every"] = round(2 * n_s / (settings.evaluation.per_cycle or 10))
    parts = {"check": row.check and row.check.model_dump(), "sample": exhibit.sample and exhibit.sample.model_dump()}
    found = config.flatten(settings.model_dump(by_alias=True) | parts | {"derived": derived})
    return {key: v[0] if isinstance(v, tuple) and len(v) == 1 else v for key, v in found.items()}


def means(text, value):
    """Whether a printed text is a setting, to its last digit, cut or rounded; or the power of ten that it is."""
    powers = [math.log10(value)] if value > 0 else []
    return any(abs(quantity(text) - number) <= 1.0001 * resolution(text) for number in [value, *powers])


@pytest.mark.parametrize("name", SHIPPED)
def test_trainings_have_the_settings_that_the_report_prints(name):
    checked = 0
    for exhibit in shipped(name).exhibits:
        for row in exhibit.rows:
            known = printed_settings(exhibit, row)
            shared = {} if row.id.startswith("sample-") or row.alternative else exhibit.stated
            for key, texts in (shared | row.stated).items():
                assert all(means(text, known[key]) for text in texts), (exhibit.id, row.id, key, known[key], texts)
                checked += len(texts)
    assert checked or name == "bonus"


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


# Verdicts


def one(study, values, text="46 %", others=(), exhibit=None, row=None, official=True, **number):
    """Compare a number with our values of its row, and with those of other rows of its exhibit."""
    exhibit = exhibit or study.exhibits[1]
    row = row or exhibit.rows[0]
    reported = Reported(text=text, **({"measure": "test_accuracy"} | number))
    names = [r.id for r in exhibit.rows if r.id != row.id]
    given = {row.id: values} | {name: [] for name in names} | dict(zip(names, others, strict=False))
    return compare.compare(study, exhibit, row, reported, given, official=official)


def test_a_number_is_judged_by_students_prediction_interval(study):
    """By hand: of .45, .46, .47 the interval is .46 +- 4.303 * .01 * sqrt(4/3) +- .00005, with t(.975, 2) = 4.303."""
    half = 4.302653 * 0.01 * math.sqrt(4 / 3) + 0.00005
    found = one(study, [0.45, 0.46, 0.47], "46.00 %")
    assert (found.low, found.high) == pytest.approx((0.46 - half, 0.46 + half), abs=1e-8)
    assert found.verdict == "not decidable"  # .0994 wide
    narrow = [0.459, 0.460, 0.461]
    assert one(study, narrow, "46.49 %").verdict == "compatible"
    assert one(study, narrow, "46.51 %").verdict == "incompatible"
    assert one(study, [0.460, 0.461, 0.462], "0.47").verdict == "compatible"  # it may be .465
    assert one(study, [0.460, 0.461, 0.462], "0.4700").verdict == "incompatible"
    assert one(study, [0.45, 0.46, 0.47], "60.00 %").verdict == "incompatible"  # however wide the interval is
    assert one(study, [0.46]).verdict == "not decidable"
    assert one(study, []).verdict == "not run"
    assert one(study, narrow, reason="why").verdict == "cannot be compared"


@pytest.mark.parametrize(
    ("measure", "width", "text"),
    [("test_accuracy", 0.05, "0.50000"), ("test_cost", 0.2, "0.50000"), ("test_loss", 0.2, "0.50000")],
)
def test_an_interval_that_is_too_wide_decides_nothing(study, measure, width, text):
    """Its width is 2 * 12.706 * std * sqrt(3/2) for two values; just below and just above what is useful."""
    for factor, verdict in (0.998, "compatible"), (1.002, "not decidable"):
        std = factor * width / (2 * 12.7062 * math.sqrt(1.5))
        d = std / math.sqrt(2)
        assert one(study, [0.5 - d, 0.5 + d], text, measure=measure).verdict == verdict


def test_gradient_errors_are_compared_by_their_power_of_ten(study):
    """On both sides; "less than" needs only that the interval reaches below it; a factor of 100 is the useful width."""
    near, number = [0.9e-8, 1e-8, 1.1e-8], {"measure": "max_absolute_error"}
    assert one(study, near, "1.2e-8", **number).verdict == "compatible"
    assert one(study, near, "3e-8", **number).verdict == "incompatible"
    assert one(study, near, "5e-9", **number).verdict == "incompatible"
    assert one(study, near, "2e-8", bound=True, **number).verdict == "compatible"
    assert one(study, near, "5e-9", bound=True, **number).verdict == "incompatible"
    for factor, verdict in (0.99, "compatible"), (1.01, "not decidable"):
        d = factor * 1.0 / (12.7062 * math.sqrt(1.5)) / math.sqrt(2)
        assert one(study, [10 ** (-8 - d), 10 ** (-8 + d)], "1.0000000e-8", **number).verdict == verdict
    assert math.isfinite(one(study, [0.0, 0.0, 1e-20], "1e-8", **number).low)
    assert one(study, [0.0, 0.0, 1e-20], "0.0", **number).verdict == "incompatible"


def test_the_deviation_is_pooled_over_an_exhibit_where_levene_allows(study):
    steady, other, wild = [0.459, 0.460, 0.461], [0.3995, 0.4005, 0.4010], [0.2, 0.5, 0.9]
    alone = statistics.spread([steady])
    assert (alone.df, alone.pooled, alone.std) == (2, False, pytest.approx(0.001))
    pooled = statistics.spread([steady, other])
    variances = [0.001**2, stdev(other) ** 2]
    assert (pooled.df, pooled.pooled, pooled.std) == (4, True, pytest.approx(math.sqrt(sum(variances) / 2)))
    assert statistics.spread([steady, [v + 0.1 for v in steady], steady]).df == 4  # one network, recorded in two ways
    many = [[0.46 + 0.0001 * k for k in range(9)], [0.1 * k for k in range(9)]]
    assert not statistics.spread(many).pooled
    assert not statistics.spread([[0.0, 1.0], [2.0, 3.0]]).pooled  # two values a row cannot be tested
    assert one(study, steady, others=[other]).high < one(study, steady).high
    assert one(study, steady, others=[wild]).n == 3


def test_levene_decides_at_five_per_cent():
    """Deviations that differ by chance with probability .06 are pooled, with .04 not."""
    base = [-3.0, -1, 0, 1, 3, -2, 2, 0.5, -0.5]
    for factor, p in (2.29, 0.06), (2.57, 0.04):
        other = [factor * value for value in base]
        assert stats.levene(base, other).pvalue == pytest.approx(p, abs=0.002)
        assert statistics.spread([base, other]).pooled == (p > 0.05)


def held_out(study, n, seed=None, known="unknown"):
    exhibit, row = study.exhibits[1], study.exhibits[1].rows[0]
    settings = config.override(row.settings, {"data.validation": n, "data.holdout_seed": seed, "data.limit": None}, "x")
    row = row.model_copy(update={"settings": settings})
    return exhibit.model_copy(update={"held_out": known, "rows": (row, *exhibit.rows[1:])}), row


def test_other_held_out_images_widen_the_interval(study):
    """Two sets of 5,000 images differ by 1.0 point and of 1,000 by 2.2, one standard error; none for the test batch."""
    values, measure = [0.499, 0.500, 0.501], "validation_accuracy"
    assert [round(compare.other_images(held_out(study, n)[1].settings, measure, 0.5, "unknown", True) ** 0.5, 4)
            for n in (5000, 1000)] == [0.01, 0.0224]  # fmt: skip

    def half(measure, *args):
        exhibit, row = held_out(study, *args)
        return one(study, values, "50.000 %", exhibit=exhibit, row=row, measure=measure).high - 0.5

    seeds, df = 0.001**2 * 4 / 3, 2 * (1 + 1e-4 / (0.001**2 * 4 / 3)) ** 2
    assert half(measure, 5000) == pytest.approx(stats.t.ppf(0.975, df) * math.sqrt(seeds + 1e-4) + 5e-6)
    plain = half("test_accuracy", 5000)
    assert plain == pytest.approx(half(measure, 5000, None, "ours")) == pytest.approx(half(measure, 5000, 0))


def test_images_that_are_not_the_official_bytes_move_accuracies(study):
    """By 0.2 points, one standard error, whichever they are; costs are compared as they are."""
    row = held_out(study, 5000)[1]
    for measure, extra in ("test_accuracy", 0.002**2), ("train_accuracy", 0.002**2), ("test_cost", 0.0):
        assert compare.other_images(row.settings, measure, 0.5, "unknown", False) == extra
    seeds = [0.4999, 0.5000, 0.5001]
    assert one(study, seeds, "50.30 %", official=False).verdict == "compatible"
    assert one(study, seeds, "50.50 %", official=False).verdict == "incompatible"
    assert one(study, seeds, "50.30 %").verdict == "incompatible"


def test_equal_counts_of_few_images_leave_room_for_others(study):
    """Two seeds with 9 of 100 images right do not show that all have 9: a step of one image has its deviation."""
    row = study.exhibits[1].rows[0]
    row = row.model_copy(update={"settings": config.override(row.settings, {"data.limit": 100}, "x")})
    assert compare.step(row.settings, "train_accuracy") == 0.01 and compare.step(row.settings, "test_accuracy") == 1e-4
    half = stats.t.ppf(0.975, 1) * 0.01 / math.sqrt(12) * math.sqrt(1.5) + 0.005
    found = one(study, [0.09, 0.09], "0.08", row=row, measure="train_accuracy")
    assert found.high - 0.09 == pytest.approx(half) and found.verdict == "not decidable"


def test_the_best_of_a_search_is_compared_with_the_best_of_ours(study):
    """By simulation of its own: the maximum of eight lies 1.42 deviations above their mean."""
    rows = [[0.49 + d, 0.50 + d, 0.51 + d] for d in 1e-6 * np.arange(8)]
    low, high = statistics.interval_of_best(rows, 1, 8)
    t = np.random.default_rng(0)
    sigma = 0.01 * np.sqrt(16 / t.chisquare(16, 40000))
    best = (0.5 + sigma * t.standard_normal((8, 40000))).max(axis=0) + 0.01 / math.sqrt(24) * t.standard_normal(40000)
    assert [low, high] == pytest.approx(np.quantile(best, [0.025, 0.975]).tolist(), abs=4e-4)
    plain = statistics.interval(rows[0], statistics.spread(rows))
    assert low > plain[0] + 0.005
    assert statistics.interval_of_best(rows, 1, 16)[0] > low > statistics.interval_of_best(rows, 3, 8)[0]
    wide = statistics.interval_of_best(rows, 1, 8, extra=1e-4, rounding=0.001)
    assert wide[1] - wide[0] > high - low + 0.002
    exhibit = study.exhibits[1].model_copy(update={"trials": 8})
    found = one(study, rows[0], "51.5 %", [rows[1], rows[2]], exhibit=exhibit, best=1)
    assert "number 1 of 8 trials" in found.reason or found.verdict == "not decidable"
    printed = tuple(r.model_copy(update={"reported": (Reported(text="51 %", measure="test_accuracy", best=1),)})
                    for r in exhibit.rows)  # fmt: skip
    few = exhibit.model_copy(update={"trials": len(printed)})
    unsaid = exhibit.model_copy(update={"trials_are_stated": False, "rows": printed})
    least, wider = (one(study, rows[0], "51.0 %", [rows[1], rows[2]], exhibit=e, best=1) for e in (few, unsaid))
    assert (wider.low, wider.high) == (least.low, found.high)
    assert least.low < found.low and f"of {len(printed)} to 8 trials" in wider.reason


@pytest.mark.slow
def test_intervals_hold_for_95_per_cent_of_trainings():
    """20,000 simulated trainings, of exhibits of five rows and three seeds with other images; and rows alone."""
    random, trials = np.random.default_rng(1), 20_000
    ours = 0.5 + 0.004 * random.standard_normal((trials, 3))
    t, root = stats.t.ppf(0.975, 2), math.sqrt(4 / 3)
    theirs = 0.5 + 0.004 * random.standard_normal(trials)
    covered = 0
    for values, value in zip(ours[:4000].tolist(), theirs, strict=False):
        low, high = statistics.interval(values, statistics.spread([values]))
        covered += low <= value <= high
        assert high - low == pytest.approx(2 * t * root * stdev(values))
    assert 0.94 <= covered / 4000 <= 0.96
    covered = 0
    for _ in range(4000):
        rows = (np.arange(5)[:, None] / 100 + 0.004 * random.standard_normal((5, 3))).tolist()
        new = np.arange(5) / 100 + 0.004 * random.standard_normal(5) + math.sqrt(1e-4) * random.standard_normal(5)
        for k in range(5):
            low, high = statistics.interval(rows[k], statistics.spread([rows[k], *rows[:k], *rows[k + 1 :]]), 1e-4)
            covered += low <= new[k] <= high
    assert 0.94 <= covered / trials <= 0.96


@pytest.mark.slow
def test_intervals_of_the_best_hold_for_95_per_cent_of_searches(monkeypatch):
    monkeypatch.setattr(statistics, "DRAWS", 2000)
    random, covered = np.random.default_rng(2), {0.0: 0, 0.01: 0}  # all trials alike, and a point apart
    for apart in covered:
        true = np.linspace(0.5, 0.5 + apart, 8)
        for _ in range(500):
            rows = (true[:, None] + 0.004 * random.standard_normal((8, 3))).tolist()
            best = (true + 0.004 * random.standard_normal(8)).max()
            low, high = statistics.interval_of_best(rows, 1, 8)
            covered[apart] += low <= best <= high
    assert all(0.93 <= count / 500 <= 0.97 for count in covered.values()), covered


def test_repetitions_count_once(study):
    """Printed twice, or with fewer digits, it is one measurement; another value of the same training is another one."""
    exhibit = study.exhibits[1]

    def counted(*texts):
        reported = tuple(Reported(text=text, measure="test_accuracy") for text in texts)
        row = exhibit.rows[0].model_copy(update={"reported": reported})
        changed = exhibit.model_copy(update={"rows": (row,), "other": ()})
        found = compare.entries(study.model_copy(update={"exhibits": (changed,)}), lambda name: [])
        return [e.text for e in found if e.is_result and e.counts]

    assert counted("0.33", "0.333100", "0.3331") == ["0.333100"]
    assert counted("0.4586", "0.4928") == ["0.4586", "0.4928"]


# Claims


def claimed(study, expect, columns, **claim):
    """Test a claim on rows of other networks, by their values seed by seed."""
    rows = ["runs/small", "runs/sample-1", "templates/one", "gradient/first"][: len(columns)]
    claim = study.claims[0].model_copy(update={"expect": expect, "rows": tuple(rows)} | claim)
    results = dict(zip((f"seventh/{row}" for row in rows), columns, strict=True))
    return claims.test(study, claim, lambda name: [{"test_accuracy": v} for v in results[name]])


@pytest.mark.parametrize(
    ("expect", "columns", "verdict"),
    [
        ("first highest", [[0.50, 0.51, 0.52, 0.50], [0.48, 0.491, 0.499, 0.481]], "holds"),
        ("first highest", [[0.50, 0.51, 0.52], [0.48, 0.53, 0.50]], "undecided"),
        ("first lowest", [[0.50, 0.51, 0.52, 0.50], [0.48, 0.491, 0.499, 0.481]], "does not hold"),
        ("first highest", [[0.47, 0.48, 0.49]] * 2, "undecided"),
        ("first highest", [[0.50, 0.51, 0.52], [0.48, 0.49, 0.501], [0.52, 0.50, 0.51]], "undecided"),
        ("first highest", [[0.50, 0.51, 0.52], [0.48, 0.49, 0.501], [0.6, 0.61, 0.619]], "does not hold"),
        ("alike", [[0.470, 0.480, 0.490], [0.471, 0.480, 0.489]], "holds"),
        ("alike", [[0.47, 0.48, 0.49], [0.45, 0.48, 0.51]], "undecided"),
        ("alike", [[0.47, 0.48, 0.49], [0.57, 0.581, 0.589]], "does not hold"),
        ("first highest", [[0.47], [0.44]], "not tested"),
        ("first highest", [[], [0.44]], "not run"),
    ],
)
def test_claims_are_decided_by_paired_seeds(study, expect, columns, verdict):
    """The spread that both have in common drops out; what neither holds nor is excluded is undecided."""
    assert claims.decide([claimed(study, expect, columns)])[0].verdict == verdict


def test_p_values_are_those_of_the_textbooks(study):
    a, b = [0.50, 0.51, 0.54, 0.50], [0.48, 0.50, 0.50, 0.49]
    found = claimed(study, "first highest", [a, b])
    theirs = stats.ttest_rel(a, b)
    assert found.result.p == pytest.approx(theirs.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval(0.95)))
    assert claimed(study, "first lowest", [a, b]).result.p_against == pytest.approx(theirs.pvalue)
    d = np.subtract(a, b)
    for margin in (0.01, 0.03):
        both = [stats.ttest_1samp(d, m, alternative=side) for m, side in ((margin, "less"), (-margin, "greater"))]
        found_p = claimed(study, "alike", [a, b], margin=margin).result.p_for
        assert found_p == pytest.approx(max(test.pvalue for test in both))
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    same = statistics.best([3.0] * 5, [[2.0] * 5])  # counts without a spread: the sign test
    assert (same.p_for, statistics.best([2.0] * 5, [[2.0] * 5]).p) == (2 * 2.0**-5, 1)


def test_claims_have_ten_seeds_and_a_margin_of_a_point_unless_they_state_others(study):
    claim = study.claims[0]
    assert (claim.seeds, claim.margin) == (10, 0.01)
    by_default = reports.Scope(3, claims=True).passes([study])
    assert {name.split("/")[-1]: n for name, n in by_default.items()} == (
        {"first": 3, "small": 10, "mean": 10, "sample-1": 3, "one": 3}
    )
    assert set(reports.Scope(2).passes([study]).values()) == {2}
    tasks = jobs.passes([study], reports.Scope(1, claims=True), lambda images: "f")
    assert [len(pass_) for pass_ in tasks] == [5] + [2] * 9


def test_nothing_is_compared_with_itself(study):
    """How the cost is recorded does not enter the network; what is recorded may be compared."""
    values = [{"test_accuracy": v, "rises": v, "train_cost": v} for v in (0.4, 0.5)]
    verdicts = [claims.test(study, study.claims[0].model_copy(update={"measure": measure}), lambda name: values).verdict
                for measure in ("test_accuracy", "rises")]  # fmt: skip
    assert verdicts == ["not tested", "undecided"]


def test_claims_err_at_most_in_five_per_cent():
    """2,000 pages without any effect: of one rival, of 15 equal ones, and of rows that differ by the margin itself."""
    random, pages, wrong = np.random.default_rng(3), 2000, [0, 0, 0]
    for _ in range(pages):
        seeds = random.standard_normal((17, 10)) * 0.004
        pair, many = statistics.best(seeds[0], seeds[1:2]), statistics.best(seeds[0], seeds[1:16])
        alike = statistics.alike(seeds[0] + 0.01, seeds[16:], 0.01)
        wrong[0] += min(statistics.holm([pair.p, many.p])) <= 0.05
        wrong[1] += many.p <= 0.05
        wrong[2] += alike.p_for <= 0.05
    assert all(count / pages <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / pages) for count in wrong)
    assert wrong[2] / pages >= 0.03  # and the test of "alike" has the level that it states


# Figures of the reports


CURVES = """row,measure,split,x,value
runs/small,accuracy,train,0,0.1
runs/small,accuracy,train,2,0.3
runs/small,cost,validation,0,2.5
"""


def recorded(values, xs=(0.0, 1.0, 2.0)):
    return SimpleNamespace(records={"step": np.array(xs), "epoch": np.array(xs), "train_accuracy": np.array(values)})


def curve(x, y, measure="accuracy", reading=0.0):
    return Curve("runs/small", measure, "train", np.array(x, float), np.array(y, float), reading)


def test_a_curve_is_compared_point_by_point():
    """Between records along straight lines; near one, at it; the band is Student's, plus the reading."""
    runs = [recorded([0.1, 0.20, 0.30]), recorded([0.1, 0.21, 0.31]), recorded([0.1, 0.22, 0.32])]
    given = curve([0, 0.005, 0.5, 1, 2, 3], [0.1, 0.1, 0.155, 0.21, 0.6, 0.6], reading=0.001)
    found = curves.compare(given, runs, "step", 0.0, 0.2)
    assert found.mean[:5] == pytest.approx([0.1, 0.1, 0.155, 0.21, 0.31])
    half = 4.302653 * 0.01 * math.sqrt(4 / 3) + 0.001
    assert found.high[4] == pytest.approx(0.31 + half)
    assert found.verdicts == ["compatible"] * 4 + ["incompatible", "cannot be compared"]
    assert found.within == pytest.approx(4 / 5)
    assert found.largest == (pytest.approx(0.29), 2)
    assert curves.compare(given, runs, "step", 0.0, 0.05).verdicts[3] == "not decidable"
    assert curves.compare(given, [], "step", 0.0, 0.05).verdict == "not run"
    assert curves.compare(given, runs[:1], "step", 0.0, 0.05).verdict == "not decidable"
    apart = curves.compare(curve([0.02], [0.1]), runs, "step", 0.0, 0.05)
    assert apart.mean[0] == pytest.approx(0.1 + 0.02 * 0.11)


def test_a_curve_is_wrongly_called_incompatible_in_at_most_five_per_cent():
    """Of points that are independent, and that move together; a shifted curve is found."""
    random, wrong = np.random.default_rng(4), {0.0: 0, 0.95: 0}
    for together in wrong:
        for _ in range(300):
            common, own = random.standard_normal((4, 1)), random.standard_normal((4, 30))
            ys = 0.01 * (math.sqrt(together) * common + math.sqrt(1 - together) * own)
            runs = [recorded(y, np.arange(30.0)) for y in ys[:3]]
            found = curves.compare(curve(np.arange(30), ys[3]), runs, "step", 0.0, 1.0)
            wrong[together] += found.verdict == "incompatible"
    assert max(wrong.values()) / 300 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)
    shifted = curves.compare(curve(np.arange(30), ys[3] + 0.2), runs, "step", 0.0, 1.0)
    assert (shifted.verdict, statistics.combined([1.0, 1.0])) == ("incompatible", 1.0)
    assert statistics.combined([0.01, 0.0001]) == pytest.approx(math.e * 0.001)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("accuracy,train,0", "accuracy,test,0", r"curves\.csv:2: .*splits"),
        ("2,0.3", "2,x", r"curves\.csv:3: .*could not convert"),
        ("row,measure", "row,kind", r"curves\.csv:2: .*'measure'"),
        ("runs/small,cost", "runs/none,cost", "no such row: runs/none"),
    ],
)
def test_what_is_wrong_in_a_table_of_points_is_said_with_its_line(tmp_path, old, new, message):
    path = tmp_path / "seventh.yaml"
    path.write_text(STUDY + "curves: {file: curves.csv, reading: {accuracy: 0.001}}\n")
    (tmp_path / "curves.csv").write_text(CURVES)
    assert len(read_study(path).curves_of("runs/small")) == 2
    (tmp_path / "curves.csv").write_text(CURVES.replace(old, new, 1))
    with pytest.raises(ConfigError, match=message):
        read_study(path)


def test_all_points_of_the_figures_are_in():
    found = [c for name in ("assignment", "chou-2019") for c in shipped(name)._curves]
    assert (len(found), sum(len(c.x) for c in found)) == (32, 829)


def test_class_templates_are_matched_by_correlation(tmp_path):
    """Ours with noise match themselves; shuffled ones match another class."""
    random = np.random.default_rng(5)
    images = random.integers(0, 255, (10, 32, 32, 3), dtype=np.uint8)
    np.savez(tmp_path / "t.npz", templates=images)
    W = read_templates(tmp_path / "t.npz")
    assert W[:, 3].reshape(3, 32, 32).transpose(1, 2, 0) == pytest.approx(images[3])
    noisy = np.concatenate([(W + 40 * random.standard_normal(W.shape)).ravel(), np.zeros(10)])
    run = SimpleNamespace(model=SimpleNamespace(theta=noisy, sizes=(3072, 10)))
    assert curves.compare_templates(W, [run]).matches == 10
    other = curves.compare_templates(W[:, [1, 0, *range(2, 10)]], [run])
    assert (other.matches, other.correlations.shape) == (8, (10, 10))
    assert curves.compare_templates(W, []) is None
    np.savez(tmp_path / "t.npz", templates=images[:9])
    with pytest.raises(ConfigError, match="shape"):
        read_templates(tmp_path / "t.npz")
    np.savez(tmp_path / "t.npz", templates=np.array([object()]))
    with pytest.raises(RunError):
        read_templates(tmp_path / "t.npz")


# Readings


READ = """assumptions:
  - A plain sentence.
  - {says: Ten nodes., basis: chosen after the numbers, source: a try, exhibits: [runs/small],
     other: {network.hidden: [10]}, otherwise: ten nodes, tries: [runs/small]}
  - {says: It is forced., basis: forced, exhibits: [gradient]}
exhibits:
"""


def test_a_number_rests_on_the_least_firm_of_its_assumptions(tmp_path):
    """The other reading is a row of its own, with the same reported numbers, that is trained and not counted."""
    path = tmp_path / "seventh.yaml"
    path.write_text(STUDY.replace("exhibits:\n", READ, 1))
    study = read_study(path)
    bases = [study.basis("runs", "small"), study.basis("runs", "mean"), study.basis("gradient", "first")]
    assert bases == ["chosen after the numbers", "plausible", "plausible"]
    other = study.named_rows["seventh/runs/small.other-2"]
    assert (other.settings.network.hidden, other.alternative) == ((10,), "ten nodes")
    found = [e for e in compare.entries(study, lambda name: []) if e.row == other.id]
    assert [e.text for e in found] == ["46 %", "3 min 10 sec"]
    assert not any(e.counts for e in found)
    assert len(compare.entries(study, lambda name: [])) == len(compare.entries(study, lambda name: []))
    path.write_text(STUDY.replace("exhibits:\n", READ.replace("tries: [runs/small]", "tries: [runs/none]"), 1))
    with pytest.raises(ConfigError, match="no such row: runs/none; an assumption tries"):
        read_study(path)


def test_other_readings_do_not_widen_the_interval(study):
    """They are no row of the exhibit: neither pooled, nor trials of its search."""
    exhibit = study.exhibits[1]
    other = exhibit.rows[1].model_copy(update={"alternative": "otherwise"})
    changed = exhibit.model_copy(update={"rows": (exhibit.rows[0], other)})
    assert one(study, [0.459, 0.460, 0.461], others=[[0.3, 0.301, 0.302]], exhibit=changed).high == (
        one(study, [0.459, 0.460, 0.461]).high
    )
    assert compare.trials(changed) == (1, 1)


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
        words = page.described(curves.compare(curve(np.arange(9), y), runs, "step", 0.0, 1.0))
        assert ("; incompatible at 0" in words) == (wrong <= 8)


def test_explanations_are_filled_from_what_was_measured(study):
    found = {"seventh/runs/small": [{"test_accuracy": 0.4}, {"test_accuracy": 0.41}]}
    report = SimpleNamespace(results=lambda name: found.get(name, []))
    assert page.Report.fill(report, study, "It ends at {runs/small test_accuracy}.") == "It ends at 40.50 %."
    assert page.Report.fill(report, study, "{runs/mean test_accuracy}") == ""


def test_shipped_explanations_hold_no_measured_numbers():
    """What was measured is filled in; numbers that stand there are settings, or are in the report."""
    for name in SHIPPED:
        for text in shipped(name).texts:
            assert not re.search(r"\d\d\.\d|\d (points?|%)", re.sub(r"\{.*?\}", "", text)), text


@pytest.mark.parametrize("name", [name for name in SHIPPED if name != "bonus"])
def test_every_assumption_says_what_it_rests_on(name):
    assert not [assumption.says for assumption in shipped(name).assumptions if not assumption.source]


def test_a_cause_stands_beside_the_number_that_it_explains(trained):
    Folder(trained).write_json("plan.json", jobs.read_plan(trained) | {"synthetic": False})
    known = next(e for found in report_of(trained).entries.values() for e in found if e.is_accuracy)
    name = f"{known.report}/{known.exhibit}/{known.row} {known.quantity}"
    found = {"tried": 43, "deviation": "no shuffling", "mean": 0.5, "low": 0.4, "high": 0.6, "n": 3}
    found |= {"says": "It is.", "command": "x"}
    Folder(trained).write_json("causes.json", {name: found})
    report, entry = report_of(trained), known._replace(verdict="incompatible", reason="")
    explained = report.explained(report.studies[0], entry).reason
    assert explained == "Compatible under: no shuffling, 50.00 % (40.00 to 60.00 %). It is. Again: x"
    Folder(trained).write_json("causes.json", {name: {"tried": 43, "deviation": None}})
    report = report_of(trained)
    assert report.explained(report.studies[0], entry).reason == "None of 43 deviations tried explains it."
    compatible = known._replace(verdict="compatible")
    assert report.explained(report.studies[0], compatible) == compatible


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
        return [e for e in report_of(tmp_path).entries["seventh"] if e.is_result]

    printed = f"{entries(text.replace('step: 1e-6', 'step: 1e-5'))[0].mean:.2e}"
    forward, centred = entries(text.replace('"1e-6"', f'"{printed}"').replace("1e-7", "1e-17"))
    assert forward.verdict == centred.verdict == "incompatible"
    assert forward.reason.startswith(f"Compatible under: step times 10, {page.show(float(printed), 'error')}")
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


# Every number that the five texts print

# Typed from the texts. Left out are numbers that name things (pages, figures, tables, questions, dates, references) and
# repetitions of a number in the same report.
PRINTED = {
    "stagge-2019": """
        2.3e-6 1 2 0.33 100
        2.8972593586024902e-6 1.741924518732855e-7 4.434541038005285e-8 4.2280019721913735e-8
        40 0 0.1 0.267300 0.01 0.368400 0.333100 1 0.219100 0.22
    """,
    "chou-2019": """
        1e-6 46.00% 46.83%
        -4.8507 1.4103e-5 46.72% -4.3972 4.0071e-5 46.62% -2,5395 2.9e-3 46.44%
        -5 -1 2 10 75 1500 45000 5000 e-5 e-3 49000 1000
        0.0014 40 490 2000 1 51.19% 0.00076 50.90% 0.000538 1000 2 50.87%
        60 3 50.78%
    """,
    "garcia-sanz-2020": """
        4.415e-08 1.944e-07 4.717e-14 3.997e-13 4.096e-07 7.745e-13 4.718e-18 42 20
        4.117e-08 1.757e-07 1.463e-14 1.021e-12 4.114e-08 4.322e-07 2.431e-12 4.441e-12 400
        3.407e-08 1.683e-07 5.171e-14 4.885e-13 4.288e-08 4.295e-07 9.150e-13 5.551e-19
        3.255e-08 1.552e-07 2.145e-14 2.220e-13 4.251e-08 4.301e-07 7.851e-13 2.220e-12
        1e-7 1e-5 1e-1 0.01 500 10000 100 10 800 48 45.78% 46.74%
        45000 5000 -5 -1 0.5198 0.5164 0.5162 -2.7488288 -2.99472691 -4.46580721
        0.5268 0.5248 0.5244 -2.94991004 -2.88229322 -2.92952672
        1000 3 24 52.21%
    """,
    "yadava": """
        20 100 10 4.0415370017064554e-07 3.120560786931215e-07 3.7594296587128416e-07 2.331878651081477e-07
        1 45% 3 46% 900 48 1e-5 1e-1 0.001 0.1 1e-05 0.5004 0.5046 0.5174
        0.000010 0.001000 0.100000 0.000037 0.4996 0.000139 0.4972 0.000518 0.5000 0.001931 0.4982
        0.007197 0.5062 0.026827 0.5058 0.00037 0.4586 0.4573 0.4928 0.4854 0.01 0.5104
    """,
    "zenciroglu": """
        1e-11 1e-7 200 2 0.001 0 3072 20 50 1e-5 1
        2.54 2.38 0.08 0.15 2.439 1.199 0.74 2.347 1.323 0.1906 0.543 100 10000
        7.448042807619361e-12 7.532225861799947e-12 8.697536371671256e-12 1.3584279534573085e-11
        1.12059233 0.82 10.000 0.999 0.99 0.01
        3 1e-1 500 800 0.454 0.4612 0.4526 0.4599 0.4641 0.4636 0.4763
        45,000 5,000 10,000
        0.003772863865559457 0.499 0.0004930704361181606 0.4996 0.0033665965785468826 0.4975
        0.001305094636607304 0.5022 0.01757893078506135 0.4828 0.0007012053067447107
        9.177497906795191e-05 0.502 0.000310949509136683 0.4969 1e-3 1e-4 16
        9.862809522185001e-05 0.498 9.054812798313612e-05 0.5001 1.9651064567590842e-05 0.4968
        3.544673306817798e-05 0.5056 2.653016524046826e-05 0.4986 2.055764159216546e-05 0.4959
        3.614606936334905e-05 0.5019 2.6196012000341928e-05 2.406038940258964e-05 0.4992
        5.9831933161984584e-05 0.495 3.516860763871908e-05 0.4995 4.459893452752506e-05 0.4944
        1.1067150412880694e-05 0.5033 1.4001893917970237e-05 0.4947 1.2967366157634313e-05 0.4972
        2.7575325697602636e-05 0.5029 1.8544671883635666e-05 1000 0.5336 0.5186 0.5051 10 0.4141
    """,
}
# Typed from the texts, too: each result as often as it is printed at its place ("PLACE: QUANTITY: NUMBERS").
RESULTS = {
    "stagge-2019": """
        Section 2.1: test accuracy: 0.267300
        Section 2.2: test accuracy: 0.368400
        Section 2.3: test accuracy: 0.333100
        Section 2.4: test accuracy: 0.219100
        Section 3: test accuracy: 0.33 0.22
        Section 1: norm relative error W1 forward: 2.8972593586024902e-6
        Section 1: norm relative error b1 forward: 1.741924518732855e-7
        Section 1: norm relative error W1 centred: 4.434541038005285e-8
        Section 1: norm relative error b1 centred: 4.2280019721913735e-8
        Section 1, second paragraph: norm relative error W1 forward: 2.3e-6 0.33
    """,
    "chou-2019": """
        Gradient Computation, slide 2: max absolute error centred: 1e-6
        Cyclical Learning Rate 1: test accuracy: 46.00%
        Cyclical Learning Rate 2: test accuracy: 46.83%
        Coarse Search, table, row 1: validation accuracy: 46.72%
        Coarse Search, table, row 2: validation accuracy: 46.62%
        Coarse Search, table, row 3: validation accuracy: 46.44%
        Fine Search, i: validation accuracy: 51.19%
        Fine Search, ii: validation accuracy: 50.90%
        Fine Search, iii: validation accuracy: 50.87%
        Best lambda: test accuracy: 50.78%
    """,
    "garcia-sanz-2020": """
        Table 1: mean signed error W1 forward: 4.415e-08
        Table 1: mean signed error W2 forward: 1.944e-07
        Table 1: mean signed error W1 centred: 4.717e-14
        Table 1: mean signed error W2 centred: 3.997e-13
        Table 1: mean signed error b1 forward: 4.415e-08
        Table 1: mean signed error b2 forward: 4.096e-07
        Table 1: mean signed error b1 centred: 7.745e-13
        Table 1: mean signed error b2 centred: 4.718e-18
        Table 2: mean signed error W1 forward: 4.117e-08
        Table 2: mean signed error W2 forward: 1.757e-07
        Table 2: mean signed error W1 centred: 1.463e-14
        Table 2: mean signed error W2 centred: 1.021e-12
        Table 2: mean signed error b1 forward: 4.114e-08
        Table 2: mean signed error b2 forward: 4.322e-07
        Table 2: mean signed error b1 centred: 2.431e-12
        Table 2: mean signed error b2 centred: 4.441e-12
        Table 3: mean signed error W1 forward: 3.407e-08
        Table 3: mean signed error W2 forward: 1.683e-07
        Table 3: mean signed error W1 centred: 5.171e-14
        Table 3: mean signed error W2 centred: 4.885e-13
        Table 3: mean signed error b1 forward: 4.288e-08
        Table 3: mean signed error b2 forward: 4.295e-07
        Table 3: mean signed error b1 centred: 9.150e-13
        Table 3: mean signed error b2 centred: 5.551e-19
        Table 4: mean signed error W1 forward: 3.255e-08
        Table 4: mean signed error W2 forward: 1.552e-07
        Table 4: mean signed error W1 centred: 2.145e-14
        Table 4: mean signed error W2 centred: 2.220e-13
        Table 4: mean signed error b1 forward: 4.251e-08
        Table 4: mean signed error b2 forward: 4.301e-07
        Table 4: mean signed error b1 centred: 7.851e-13
        Table 4: mean signed error b2 centred: 2.220e-12
        Section 2, last paragraph: test accuracy: 45.78% 46.74%
        Section 3.1: validation accuracy: 0.5198 0.5164 0.5162
        Section 3.2: validation accuracy: 0.5268 0.5248 0.5244
        Section 3.3: test accuracy: 52.21%
    """,
    "yadava": """
        Checking Analytic Gradient, Table 1: norm relative error W1 forward: 4.0415370017064554e-07
        Checking Analytic Gradient, Table 1: norm relative error b1 forward: 3.120560786931215e-07
        Checking Analytic Gradient, Table 1: norm relative error W2 forward: 3.7594296587128416e-07
        Checking Analytic Gradient, Table 1: norm relative error b2 forward: 2.331878651081477e-07
        Curves for Training and Validation Loss, Plot 1: test accuracy: 45%
        Curves for Training and Validation Loss, Plot 2: test accuracy: 46%
        Coarse Search: validation accuracy: 0.5004 0.5046 0.5174
        Coarse Search, caption of the plot: validation accuracy: 0.5004 0.5046 0.5174
        Fine Search: validation accuracy: 0.5004 0.4996 0.4972 0.5000 0.4982 0.5062 0.5058 0.5174
        Fine Search, caption of the plot: validation accuracy: 0.5004 0.4996 0.4972 0.5000 0.4982 0.5062 0.5058 0.5174
        Training with best 3 lambdas on test data: test accuracy: 0.4586 0.4573 0.5174
        Training with best 3 lambdas, caption of the plot: validation accuracy: 0.4928 0.4854 0.5104
    """,
    "zenciroglu": """
        Answer 2.i, Table 2: mean absolute error W1 centred: 7.448042807619361e-12
        Answer 2.i, Table 2: mean absolute error W2 centred: 7.532225861799947e-12
        Answer 2.i, Table 2: mean absolute error b1 centred: 8.697536371671256e-12
        Answer 2.i, Table 2: mean absolute error b2 centred: 1.3584279534573085e-11
        Answer 2.i, first paragraph: mean absolute error centred: 1e-11
        Answer 2.i, below Table 1: first train cost: 2.54 2.439 2.347
        Answer 2.i, below Table 1: train cost: 2.38 1.199 1.323
        Answer 2.i, below Table 1: first train accuracy: 0.08 0.15 0.1906
        Answer 2.i, below Table 1: train accuracy: 0.15 0.74 0.543
        Answer 2.i, below Table 2: train loss: 1.12059233
        Answer 2.i, below Table 2: train accuracy: 0.82
        Table 4: test accuracy: 0.454 0.4612 0.4526 0.4599 0.4641 0.4636 0.4763
        code above Figure 2: test accuracy: 0.4612
        code above Figure 3: test accuracy: 0.4641
        code above Figure 4: test accuracy: 0.4763
        Table 5: test accuracy: 0.499 0.4996 0.4975 0.5022 0.4828 0.499 0.502 0.4969
        Table 6: test accuracy: 0.498 0.5001 0.4968 0.5056 0.4986 0.4959
        Table 6: test accuracy: 0.5019 0.5001 0.4992 0.495 0.4995 0.4944 0.5033 0.4947 0.4972 0.5029
        Answer 2.v, first table: test accuracy: 0.5336
        Answer 2.v, code: test accuracy: 0.5336
        Answer 2.v, second table: test accuracy: 0.5186 0.5051 0.4141
    """,
}
TIMES = [
    "0.15 seconds", "1.23 seconds", "3.08 minutes", "1.5 minutes", "2 min 39 sec", "1 min 23 sec", "1 min 25 sec",
    "7 min 59 sec", "4 min 14 sec", "4 min 15 sec", "4 min 47 sec",
]  # fmt: skip


def entries(name):
    return list(compare.entries(shipped(name), lambda row: []))


@pytest.mark.parametrize("name", PRINTED)
def test_every_printed_number_is_there_with_its_place_and_reason(name):
    """Each as printed, or as another way to write the same value; what is not compared has a reason."""
    found = entries(name)
    texts, values = {e.text.replace(" ", "") for e in found}, {e.reported for e in found}
    number = {"e-5": 1e-5, "e-3": 1e-3}
    missing = [t for t in PRINTED[name].split() if t not in texts and (number.get(t) or quantity(t)) not in values]
    assert missing == []
    for e in found:
        assert e.place, e
        assert e.verdict in ("setting", "not run") or (e.verdict == "cannot be compared" and e.reason), e


@pytest.mark.parametrize("name", RESULTS)
def test_every_result_is_there_as_often_as_it_is_printed(name):
    """By report, place, quantity and number, with multiplicity; tables by their name, without the row."""
    lines = [line.strip().split(": ") for line in RESULTS[name].strip().splitlines()]
    typed = Counter((place, what, text) for place, what, texts in lines for text in texts.split())
    other = {row.id for exhibit in shipped(name).exhibits for row in exhibit.rows if row.alternative}
    found = [e for e in entries(name) if e.row and e.is_result and e.quantity != "seconds" and e.row not in other]
    places = [re.sub(r"^(Table \d|Answer 2.v, second table), row \d+$", r"\1", e.place) for e in found]
    have = zip(places, found, strict=True)
    assert Counter((place, e.quantity, e.text.replace(" ", "")) for place, e in have) == typed


def test_the_rows_of_zenciroglu_have_their_accuracies_and_times():
    """0.499, 0.4996 and others appear twice: each row of a table has its own entry."""
    found = entries("zenciroglu")
    assert {e.text for e in found if e.quantity == "seconds"} | {"1.5 minutes"} == set(TIMES)
    accuracies = [e.exhibit for e in found if e.quantity == "test accuracy" and e.counts]
    assert accuracies.count("coarse") + accuracies.count("fine") == 24
    assert accuracies.count("table-4") == 7
