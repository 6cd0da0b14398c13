"""Studies are data: what may stand in them, and that the shipped ones have the reports' settings and figures."""

import math
import re
from itertools import pairwise
from pathlib import Path

import pytest

from cifarnet import config, reports
from cifarnet.errors import ConfigError
from cifarnet.nn.schedules import Cyclic
from cifarnet.setting import in_steps
from cifarnet.studies import read_studies, read_study
from cifarnet.studies.printed import Reported, quantity, resolution
from cifarnet.verdicts import compare
from tests.seventh import SHIPPED, STUDY, every, shipped

# What a study may say


@pytest.mark.parametrize(
    ("text", "value", "half"),
    [
        ("46.72%", 0.4672, 0.00005),
        ("45 %", 0.45, 0.005),
        ("0.82", 0.82, 0.005),
        ("-2,5395", -2.5395, 0.00005),
        ("2.9e-3", 0.0029, 0.00005),
        ("45,000", 45000, None),
        ("10.000", 10000, None),
        ("about 34", 0.34, 0.005),
        ("2 min 39 sec", 159, None),
        ("3.08 minutes", 184.8, None),
    ],
)
def test_printed_numbers_mean_what_they_say(text, value, half):
    """Per cent, decimal commas, powers of ten, times; half a unit of the last digit is what the wording leaves open."""
    stated = text.startswith("about")
    assert stated or quantity(text) == pytest.approx(value, rel=1e-12)
    assert half is None or resolution(text, value if stated else None) == pytest.approx(half, rel=1e-9)
    assert Reported(text="2.000", measure="test_loss").quantity == 2
    with pytest.raises(ValueError, match=r"write 38\.2% or 0\.382"):
        Reported(text="31.2", measure="test_accuracy")
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


# Figures and readings


CURVES = """row,measure,split,x,value
runs/small,accuracy,train,0,0.1
runs/small,accuracy,train,2,0.3
runs/small,cost,validation,0,2.5
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("accuracy,train,0", "accuracy,test,0", r"curves\.csv:2: .*splits"),
        ("2,0.3", "2,x", r"curves\.csv:3: .*could not convert"),
        ("row,measure", "row,kind", r"curves\.csv:2: .*'measure'"),
        ("runs/small,cost", "runs/none,cost", "no such row: runs/none"),
        ("2,0.3", "2,0.3\udcff", r"curves\.csv:3: .*could not convert"),
    ],
)
def test_what_is_wrong_in_a_table_of_points_is_said_with_its_line(tmp_path, old, new, message):
    path = tmp_path / "seventh.yaml"
    path.write_text(STUDY + "curves: {file: curves.csv, reading: {accuracy: 0.001}}\n")
    (tmp_path / "curves.csv").write_text(CURVES, encoding="utf-8-sig")  # as spreadsheets save it
    study = read_study(path)
    assert len(study.curves_of(study.rows["runs/small"])) == 2
    (tmp_path / "curves.csv").write_text(CURVES.replace(old, new, 1), errors="surrogateescape")
    with pytest.raises(ConfigError, match=message):
        read_study(path)


def test_all_points_of_the_figures_are_in():
    found = [c for name in ("assignment", "chou-2019") for c in shipped(name)._curves]
    assert (len(found), sum(len(c.x) for c in found)) == (32, 829)


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
    bases = [study.basis(study.rows[name]) for name in ("runs/small", "runs/mean", "gradient/first")]
    assert bases == ["chosen after the numbers", "plausible", "plausible"]
    other = study.named_rows["seventh/runs/small.other-2"]
    assert (other.settings.network.hidden, other.alternative) == ((10,), "ten nodes")
    assert "seed" not in other.settings.model_fields_set  # so that it is trained with those of its row
    found = [e for e in compare.entries(study, lambda name: []) if e.row == other.id]
    assert [e.text for e in found] == ["46 %", "3 min 10 sec"]
    assert not any(e.counts for e in found)
    assert len(compare.entries(study, lambda name: [])) == len(compare.entries(study, lambda name: []))
    path.write_text(STUDY.replace("exhibits:\n", READ.replace("tries: [runs/small]", "tries: [runs/none]"), 1))
    with pytest.raises(ConfigError, match="no such row: runs/none; an assumption tries"):
        read_study(path)


def test_shipped_explanations_hold_no_measured_numbers():
    """What was measured is filled in; numbers that stand there are settings, or are in the report."""
    for name in SHIPPED:
        for text in shipped(name).texts:
            assert not re.search(r"\d\d\.\d|\d (points?|%)", re.sub(r"\{.*?\}", "", text)), text


@pytest.mark.parametrize("name", [name for name in SHIPPED if name != "bonus"])
def test_every_assumption_says_what_it_rests_on(name):
    assert not [assumption.says for assumption in shipped(name).assumptions if not assumption.source]
