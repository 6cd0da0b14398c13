"""`diagnose` finds what is planted, and says what it does not find."""

import json
import shutil
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from cifarnet import causes, config, data, reports, training
from cifarnet.causes import Number, Problem
from cifarnet.causes.answer import answer
from cifarnet.causes.candidates import STATED
from cifarnet.cli import cli
from cifarnet.config import Settings
from cifarnet.errors import ConfigError, RunError
from cifarnet.experiments import pool, train
from cifarnet.reports import reasons
from cifarnet.runs import Run
from cifarnet.studies import read_metrics, read_study
from cifarnet.training import State
from cifarnet.verdicts.words import cause
from tests.common import changed

PRINTED = ("test_accuracy", "validation_accuracy", "train_cost")


@pytest.fixture
def small(tiny, release) -> Settings:
    images = {"data__train": [1, 2], "data__validation": [3], "data__limit": None, "data__dims": 40}
    length = {"training__schedule__n_s": 40, "training__schedule__cycles": 1, "training__batch_size": 30}
    return changed(tiny, **images, **length, training__lambda=0.2, network__hidden=[12])


def reported(settings, measures=PRINTED, row="", half=0.0):
    """What somebody prints of a training with these settings."""
    dataset = data.load(settings.data)
    *_, last = training.train(state := State.initial(settings), dataset, settings)
    results, *_ = train.final(settings, dataset, state, last.train, last.validation, 1)
    return [Number(row, measure, results[measure], half) for measure in measures]


def diagnose(tmp_path, rows, numbers, readings=(), effort=None):
    with pool.executor(jobs=2) as executor:
        found = causes.start(Problem(rows, numbers, {"reading": readings}), executor, tmp_path, effort)
        for _ in causes.execute(found, executor):
            pass
    return found


FEW = (STATED, "l2_missing", "l2_per_image", "relu_unmasked", "gradient_summed", "biases_fixed", "lambda times 0.1",
       "inputs in [0, 1], not normalised", "epochs_as_cycles", "initial weights of 1")  # fmt: skip


@pytest.fixture
def few(monkeypatch):
    """Fewer candidates, which take less time."""
    every = causes.study.candidates
    monkeypatch.setattr(causes.study, "candidates", lambda *args: [c for c in every(*args) if c.name in FEW])


@pytest.mark.parametrize("planted", [pytest.param("gradient_summed", marks=pytest.mark.torture), "l2_halved"])
def test_a_planted_deviation_is_found_among_all_candidates(tmp_path, small, planted):
    found = diagnose(tmp_path, {"": small}, reported(changed(small, planted, seed=7))).run.results
    assert found["verdict"] == "explained"
    assert planted in [c["name"] for c in found["candidates"][:2]]
    (own,) = (c for c in found["candidates"][:2] if c["name"] == planted)
    assert own["fits"] and own["origin"] and own["cure"]
    assert found["tried"] > 35


@pytest.mark.parametrize("seed", [77, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (78, 79))])
def test_numbers_of_the_stated_settings_come_out_as_stated(tmp_path, small, few, seed):
    found = diagnose(tmp_path, {"": small}, reported(changed(small, seed=seed))).run.results
    assert found["verdict"] == found["candidates"][0]["name"] == STATED


@pytest.mark.slow
def test_a_misprinted_lambda_is_found(tmp_path, small, few):
    numbers = reported(changed(small, training__lambda=0.02, seed=5))
    found = diagnose(tmp_path, {"": small}, numbers)
    assert found.run.results["candidates"][0]["name"] == "lambda times 0.1"
    assert config.load(found.run.path / "best.yaml").training.lam == 0.02


def test_equal_explanations_are_named_with_what_would_tell_them_from_each_other(tmp_path, small, few):
    """A cost says that the L2 term is missing or tiny; no number here tells those from each other."""
    numbers = reported(changed(small, "l2_missing", seed=11), ["train_cost"])
    found = diagnose(tmp_path, {"": small}, numbers).run.results
    assert {"l2_missing", "l2_per_image"} <= set(found["explanations"])
    assert any("equally well" in text for text in found["says"])
    assert "would tell them from each other" in found["says"][-1]


@pytest.mark.slow
def test_where_nothing_explains_the_numbers_pairs_are_tried_and_that_is_said(tmp_path, small, few):
    found = diagnose(tmp_path, {"": small}, [Number("", "test_accuracy", 0.99, 5e-5)])
    assert found.run.results["verdict"] == "nothing"
    assert found.run.results["says"][0].startswith("None of ")
    assert any(c["kind"] == "pair" for c in found.run.results["candidates"])


@pytest.mark.slow
def test_a_pair_is_found_and_the_pattern_over_rows_decides(tmp_path, small, few):
    """With lambda 0 the L2 term cannot show: that row says what the other deviation is, the other one that it shows."""
    rows = {"a": small, "b": changed(small, training__lambda=0.0)}
    planted = ("l2_missing", "gradient_summed")
    numbers = [n for row, s in rows.items() for n in reported(changed(s, *planted, seed=9), row=row)]
    found = diagnose(tmp_path, rows, numbers).run.results
    assert found["candidates"][0]["name"] == "l2_missing and gradient_summed"
    assert found["explanations"][1:] in ([], ["l2_per_image and gradient_summed"])


def test_a_stopped_diagnosis_goes_on_and_ends_with_the_same_answer(tmp_path, small, few, monkeypatch):
    monkeypatch.setenv("CIFARNET_SET", "training.lambda=0.5")  # which the settings have beside them, or have not
    numbers = reported(changed(small, "relu_unmasked", seed=3))
    with pool.executor(jobs=1) as executor:
        first = causes.start(Problem({"": small}, numbers), executor, tmp_path)
        assert first.stages.problem.rows == {"": small}
        steps = causes.execute(first, executor)
        while len(first.stages.done) < 12:
            next(steps)
        steps.close()
        assert Run(first.run.path).status == "interrupted"
        before = first.run.read_bytes("trainings.csv")
        again = causes.resume(Run(first.run.path), executor)
        assert len(again.stages.done) == len(first.stages.done) >= 12
        for _ in causes.execute(again, executor):
            pass
    assert again.run.read_bytes("trainings.csv").startswith(before)
    whole = diagnose(tmp_path, {"": small}, numbers)
    assert json.dumps(answer(causes.read(again.run).stages)) == json.dumps(again.run.results)
    assert [c["name"] for c in again.run.results["candidates"]] == [c["name"] for c in whole.run.results["candidates"]]
    names = {path.name for path in again.run.path.iterdir()} - {".lock"}
    assert names == {
        "best.yaml", "config.yaml", "environment.json", "log.txt", "plan.json", "run.html", "run.json", "trainings.csv",
    }  # fmt: skip
    with pytest.raises(RunError, match="no diagnosis"):
        causes.read(Run(train.create(small, data.load(small.data), tmp_path).path))


def test_the_command_reads_curves_and_prints_a_table(tmp_path, small, few, monkeypatch):
    runs, config_file = tmp_path / "runs", tmp_path / "mine.yaml"
    config_file.write_text(config.dump(small))
    records = training.train(State.initial(small), data.load(small.data), small)
    rows = [r.row() for r in records if r.validation]
    lines = [f"{r['step']},{r['train_cost']:.4f},{r['validation_accuracy']:.4f}" for r in rows]
    (tmp_path / "mine.csv").write_text("step,train_cost,validation_accuracy\n" + "\n".join(lines) + "\n")
    words = ["diagnose", str(config_file), "--curve", str(tmp_path / "mine.csv"), "--runs-dir", str(runs), "--json"]
    result = CliRunner().invoke(cli, words)
    found = json.loads(result.stdout)
    assert (found["verdict"], len(found["reported"]), result.exit_code) == (STATED, 2 * len(lines), 0)
    assert found["candidates"][0]["compatible"] == len(found["reported"])
    page = (Run.find("latest", runs).path / "run.html").read_text()
    assert all(
        text in page for text in ("Candidates", "Reported, and under each", "l2_missing", 'aria-label="training cost')
    )
    shown = CliRunner().invoke(cli, ["diagnose", "--resume", "latest", "--runs-dir", str(runs)]).stdout
    assert shown.startswith("candidate") and "as stated" in shown


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("step,nothing\n1,2", "its first line has to be like step,train_cost"),
        ("step,train_cost,train_cost\n1,2,3", "each once"),
        ("step,train_cost\n", "it has no points"),
        ("step,train_cost\n1,2\n3", "mine.csv:3: it has not as many values as the first line"),
        ("step,train_cost\n1,2,3", "mine.csv:2: it has not as many values"),
        ("step,train_cost\n1,high", "mine.csv:2: could not convert"),
        ("step,train_cost\n1,inf", "mine.csv:2: train_cost inf cannot be"),
        ("step,validation_accuracy\n1,38.2", "mine.csv:2: validation_accuracy 38.2 cannot be; .* 0.382"),
        ("step,train_cost\n5,2\n5,3", "mine.csv:3: this step is there twice"),
        ("step,train_cost\n-5,2", "mine.csv:2: step -5 is none of the training"),
        ("epoch,train_cost\n99999,2", "is none of the training, which has .* updates"),
    ],
)
def test_a_curve_that_cannot_be_of_the_training_is_refused(tmp_path, small, text, error):
    (tmp_path / "mine.csv").write_text(text)
    with pytest.raises(ConfigError, match=error):
        read_metrics(tmp_path / "mine.csv", small)


# --- causes of the reports' numbers ---


STUDY = """
title: A seventh report
author: N. N.
exhibits:
  - id: table
    title: Two trainings
    place: Table 1
    settings:
      data: {{train: [1, 2], validation: [3], dims: 40}}
      network: {{hidden: [12]}}
      training: {{batch_size: 30, lambda: 0.2, schedule: {{kind: cyclic, n_s: 40, cycles: 1}}}}
      evaluation: {{per_cycle: 3}}
    rows:
      - id: a
        title: lambda 0.2
        reported: [{{text: "{0:.4f}", measure: train_cost}}, {{text: "{1:.4f}", measure: test_accuracy}}]
      - id: b
        title: lambda 0.1
        settings: {{training: {{lambda: 0.1}}}}
        reported: [{{text: "{2:.4f}", measure: train_cost}}, {{text: "{3:.4f}", measure: test_accuracy}}]
  - id: compatible
    title: One training
    place: Table 2
    settings: {{data: {{train: [1], validation: [3], dims: 40}}, training: {{schedule: {{kind: constant, epochs: 2}}}}}}
    rows:
      - {{id: c, title: another, reported: [{{text: "0.10", measure: test_accuracy}}]}}
"""


@pytest.fixture
def report(tmp_path, small, few, monkeypatch):
    """A report without an L2 term, and the words that reproduce it and find that out."""
    monkeypatch.setattr("cifarnet.data.available", lambda *_: True)
    values = []
    for lam in (0.2, 0.1):
        settings = changed(small, "l2_missing", seed=9, training__lambda=lam)
        values += [number.value for number in reported(settings, ["train_cost", "test_accuracy"])]
    (tmp_path / "seventh.yaml").write_text(STUDY.format(*values))
    return ["reproduce-report", "--studies", str(tmp_path / "seventh.yaml"), "--seeds", "3", "--causes", "--json",
            "--runs-dir", str(tmp_path / "runs")]  # fmt: skip


def test_causes_of_a_report_are_found_over_the_rows_and_stand_on_the_page(report, tmp_path):
    result = CliRunner().invoke(cli, report, catch_exceptions=False)
    assert result.exit_code == 0
    folder = tmp_path / "runs" / "reports"
    found = json.loads((folder / "causes.json").read_text())
    assert {name.partition(" ")[0] for name in found} == {"seventh/table/a", "seventh/table/b"}
    cost = found["seventh/table/a train cost"]
    assert cost["deviation"] in ("l2_missing", "l2_per_image")
    assert cost["low"] < cost["mean"] < cost["high"] and cost["tried"] > 5
    assert cost["command"] == f"cifarnet diagnose --study {tmp_path / 'seventh.yaml'} --exhibit table"
    assert "compatible under it" in cost["says"]
    page = (folder / "index.html").read_text()
    assert f"Compatible under: {cost['deviation']}" in page
    assert {path.name.partition("diagnose-")[2] for path in (folder / "diagnoses").iterdir()} <= {"seventh.table", ""}
    shutil.rmtree(folder / "diagnoses")
    again = CliRunner().invoke(cli, [*report, "--redraw", "--only", "seventh/tables"], catch_exceptions=False)
    assert again.exit_code == 0 and not (folder / "diagnoses").exists(), "another exhibit alone is asked for"
    assert json.loads((folder / "causes.json").read_text()) == found


@pytest.mark.slow
def test_causes_that_are_recorded_are_not_tried_again(report, tmp_path, monkeypatch):
    folder = tmp_path / "runs" / "reports"
    before, calls = causes.study.trained, []

    def stopping(diagnosis, *rest):
        """Stop the first call in the middle, as a signal would."""
        calls.append(len(diagnosis.stages.done))
        for number, step in enumerate(before(diagnosis, *rest)):
            if len(calls) == 1 and number == 12:
                raise KeyboardInterrupt
            yield step

    monkeypatch.setattr(causes.study, "trained", stopping)
    assert CliRunner().invoke(cli, report).exit_code != 0
    (run,) = [Run(path) for path in (folder / "diagnoses").glob("2*")]
    rows = run.read_bytes("trainings.csv")
    assert run.status == "interrupted" and b"as stated" in rows
    again = CliRunner().invoke(cli, report, catch_exceptions=False)
    assert again.exit_code == 0 and calls[1] == rows.count(b"\n") - 1
    first = (folder / "causes.json").read_bytes()
    monkeypatch.setattr(causes.study, "trained", None)  # nothing is tried in a third call
    assert CliRunner().invoke(cli, [*report, "--redraw"], catch_exceptions=False).exit_code == 0
    assert (folder / "causes.json").read_bytes() == first
    assert len(list((folder / "diagnoses").glob("2*"))) == 1
    monkeypatch.setattr(causes.study, "trained", before)
    monkeypatch.setattr(causes.study, "RULE", 0)  # another rule answers anew, from the trainings that there are
    monkeypatch.setattr(pool, "run", lambda jobs, *_: iter(jobs and 1 / 0))
    assert CliRunner().invoke(cli, [*report, "--redraw"], catch_exceptions=False).exit_code == 0
    assert (folder / "causes.json").read_bytes() == first
    assert len(list((folder / "diagnoses").glob("2*"))) == 2


def test_where_nothing_explains_all_numbers_together_what_explains_more_of_them_is_named():
    """The number that is compatible under it names it, the other one nothing; a curve has it as one."""
    near, far = ({"mean": 0.46, "low": 0.45, "high": 0.47, "compatible": inside} for inside in (True, False))
    shared = {"says": "It differs.", "fits": False, "seeds": 3}
    other = shared | {"name": "other", "kind": "deviation", "compatible": 2, "numbers": [near, far, near, far]}
    stated = shared | {"name": STATED, "kind": STATED, "compatible": 0, "numbers": 4 * [far]}
    measures = ("test_accuracy", "validation_accuracy", "train_cost@100", "train_cost@200")
    numbers = [{"row": "table/a", "measure": measure, "value": 0.46} for measure in measures]
    results = {"candidates": [other, stated], "reported": numbers, "tried": 2, "explanations": []}
    found = reasons.causes_of(SimpleNamespace(run=SimpleNamespace(results=results)), SimpleNamespace(id="s"), "again")
    first, second, curve = found.values()
    assert (first["deviation"], second["deviation"], curve["deviation"]) == ("other", None, "other")
    assert "2 are compatible under it, 0 as stated; it does not explain all together." in first["says"]
    assert "s/table/a train cost curve" in found and "mean" not in curve
    assert cause(curve, "cost") == f"Compatible under: other. {curve['says']} Again: again"


def test_a_diagnosis_of_an_exhibit_has_points_of_its_curves():
    """Their steps are those of the figure, an epoch's the last update of it."""
    (chou, course) = (read_study(config.folder() / "reports" / f"{name}.yaml") for name in ("chou-2019", "assignment"))
    numbers = reports.problem(chou, ["figure-4"]).numbers
    curves = [n.measure.partition("@")[2] for n in numbers if n.measure.startswith("validation_cost@")]
    assert (len(numbers), curves) == (25, ["0", "1600", "3200", "4800"])
    assert numbers[0].measure == "test_accuracy" and {n.half for n in numbers[1:]} == {0.001, 0.002}
    steps = [n.measure.partition("@")[2] for n in reports.problem(course, ["assignment-1"]).numbers if "@" in n.measure]
    assert steps[:2] == ["100", "500"] and steps[-1] == "4000"


def test_other_readings_of_the_settings_are_tried_first(tmp_path, small, few):
    """With a limited effort nothing else is, where one of them explains the numbers."""
    numbers, readings = reported(changed(small, "gradient_summed", seed=7)), [{"deviations.gradient_summed": True}]
    found = diagnose(tmp_path, {"": small}, numbers, readings, effort=1.0)
    first = next(c for c in found.run.results["candidates"] if c["kind"] == "reading")
    assert found.stages.candidates[1].name == first["name"] == "gradient_summed"
    assert first["fits"] and first["seeds"] > 1
    trained = {row["what"].rpartition(", seed")[0] for row in found.run.read_rows("trainings.csv")}
    assert trained == {STATED, "gradient_summed"}
