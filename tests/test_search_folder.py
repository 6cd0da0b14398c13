"""The folder of a search: its rows, its best trial, and how it goes on where it was stopped; a sampler that learns."""

import itertools
import shutil
import sys
from functools import partial

import numpy as np
import pytest
from click.testing import CliRunner

from cifarnet import config, plots
from cifarnet.cli import cli
from cifarnet.errors import ConfigError, RunError
from cifarnet.experiments import pool
from cifarnet.experiments.pool import Job
from cifarnet.readable import csv_text
from cifarnet.runs import Run
from cifarnet.search import read, tpe
from tests.searches import LAMBDA, laid_out, lambdas, outcomes, resumed, rows, searched, stopped

DRAW = plots.draw
ETAS = "search.over.training.schedule.eta_max.values=[0.1, 1e30, 0.2, 0.3]"
pytestmark = pytest.mark.usefixtures("toy_images")


@pytest.fixture
def figures(monkeypatch):
    """For the tests that look at them."""
    monkeypatch.setattr(plots, "draw", DRAW)


@pytest.fixture
def run_search(tmp_path):
    return partial(searched, tmp_path / "runs")


@pytest.fixture(scope="module")
def complete(tmp_path_factory, toy_images):
    """A finished coarse search: its run and the study."""
    return searched(tmp_path_factory.mktemp("complete"))


def test_a_search_writes_a_row_a_trial_and_the_best(complete):
    run, study = complete
    table = rows(run)
    assert [int(row["index"]) for row in table] == [0, 1, 2, 3]
    assert list(table[0]) == [
        "index", "seed", "lambda",
        "cycles", "best_validation_accuracy", "validation_accuracy", "validation_loss", "status",
    ]  # fmt: skip
    assert {(row["status"], row["seed"]) for row in table} == {("completed", "42")}
    accuracies = [float(row["validation_accuracy"]) for row in table]
    assert [s["validation_accuracy"] for s in study.standings()] == sorted(accuracies, reverse=True)
    best = config.load(run.path / "best.yaml")
    assert best.training.lam == float(max(table, key=lambda row: float(row["validation_accuracy"]))["lambda"])
    assert (best.data.train, best.data.validation, best.training.schedule.cycles) == ((1,), 100, 3)
    again = Run(run.path)
    assert (again.status, again.results["best"]) == ("completed", study.standings()[0])
    assert read(again).standings() == study.standings()


def test_rows_are_those_of_the_trainings_themselves(run_search):
    run, study = run_search("search.coarse.cycles=3")
    for trial, row in zip(study.trials, rows(run), strict=True):
        (outcome,) = outcomes([Job(0, study.trial_settings(trial), "")])
        accuracy = [record.validation.accuracy for record in outcome.records]
        assert float(row["validation_accuracy"]) == accuracy[-1]
        assert float(row["best_validation_accuracy"]) == max(accuracy)
        assert float(row["validation_loss"]) == outcome.results["validation_loss"]


def test_a_figure_that_fails_costs_no_search(run_search, figures, monkeypatch, caplog):
    monkeypatch.setitem(plots.FIGURES, "search", plots.FIGURES["search"]._replace(draw=lambda _: 1 / 0))
    run, _ = run_search()
    assert run.status == "completed"
    assert "the figure search could not be drawn: division by zero" in caplog.text
    assert "figure search" in (run.path / "log.txt").read_text()


def test_fine_goes_on_from_coarse(run_search, complete, figures):
    """The earlier best is trained again first; the others are within the narrower range; the figure has both."""
    before, coarse = complete
    run, fine = run_search(stage="fine", earlier=read(before), formats=("svg",))
    values, earlier = [trial.values[LAMBDA] for trial in fine.trials], coarse.points()
    assert values[0] == earlier[0]["values"][LAMBDA] == coarse.values[coarse.standings()[0]["index"]][LAMBDA]
    assert not set(values[1:]) & {point["values"][LAMBDA] for point in earlier} and len(values) == 3
    low, high = fine.space[LAMBDA].log10
    assert -5 <= low < high <= -1
    assert all(low <= np.log10(lam) <= high for lam in values)
    assert fine.trial_settings(fine.trials[0]).training.schedule.cycles == 2
    svg = (run.path / "figures" / "search.svg").read_text()
    assert "coarse" in svg and "fine" in svg and "best" in svg
    assert read(run).earlier["trials"] == earlier
    grid = lambdas("search.fine={sampling: grid, l_min: -3, l_max: -1}", stage="fine", earlier=coarse)
    assert grid == pytest.approx([values[0], 1e-3, 1e-1])
    assert values[0] not in lambdas("search.fine.include_best=false", stage="fine", earlier=coarse)
    assert lambdas("search.fine.trials=1", stage="fine", earlier=coarse) == values[:1]  # the best counts as one


def test_a_schedule_that_is_set_beside_the_earlier_search_is_kept(complete):
    words = ["search-lambda", "fine", "--from", str(complete[0].path), "--set", "training.schedule.cycles=7"]
    assert "cycles 7" in CliRunner().invoke(cli, [*words, "--dry-run"]).output


def test_half_of_a_split_that_is_set_beside_the_earlier_search_is_kept(complete):
    """The other half is that of the earlier search, and so is what `data` says of it."""
    words = ["search-lambda", "fine", "--from", str(complete[0].path), "--set", "data.train=[3]", "--dry-run"]
    printed = CliRunner().invoke(cli, words).output
    assert "search.final.train: data.train (--set)\nsearch.final.validation: data.validation\n" in printed + "\n"


def test_three_settings_are_drawn_as_lines_from_each_to_the_accuracy():
    """Heights are places between the ends; of a logarithm 0 is at the foot; the best is drawn last."""
    logarithmic = {"training.lambda": True, "network.hidden": False, "training.batch_size": False}
    best, *others = [
        {"values": dict(zip(logarithmic, values, strict=True)), "accuracy": accuracy, "spread": 0.0}
        for accuracy, *values in ((0.4, 1e-3, 20, 9), (0.3, 0, 60, 9), (0.2, 1e-1, 40, 9))
    ]
    figure = plots.search({"coarse": others, "fine": [best]}, logarithmic)
    lines = {line.get_label(): line.get_ydata().tolist() for line in figure.axes[0].lines if len(line.get_xdata()) == 4}
    assert lines["best"] == pytest.approx([0.2, 0, 0.5, 1])
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert {"0", "0.01", "0.1", "20", "60", "9", "40", "λ", "hidden"} <= set(texts)
    assert figure.axes[0].get_legend_handles_labels()[1] == ["coarse", "fine (darker: better)", "best"]


def test_seeds_are_ranked_by_their_mean_and_show_the_spread(run_search):
    run, study = run_search("search.coarse.seeds=3", "search.coarse.trials=2")
    table = rows(run)
    assert [(row["index"], row["seed"]) for row in table] == [(i, s) for i in "01" for s in ("42", "43", "44")]
    assert len({row["validation_loss"] for row in table}) == 6
    first = next(s for s in study.standings() if s["index"] == 0)
    accuracies = [float(row["validation_accuracy"]) for row in table[:3]]
    assert first["validation_accuracy"] == pytest.approx(np.mean(accuracies))
    assert first["spread"] == pytest.approx(np.std(accuracies, ddof=1))
    fine = laid_out("search.fine.range=best 1", stage="fine", earlier=study)  # the margin is of 2 trials, not of 6
    best = np.log10(study.points()[0]["values"][LAMBDA])
    assert fine.space[LAMBDA].log10 == pytest.approx((max(-5, best - 1), min(-1, best + 1)))


def test_any_numbers_are_searched(run_search):
    """Widths, eta bounds and cycles by their dotted keys: whole numbers where they are, and best.yaml has them."""
    axes = (
        "network.hidden={linear: [2, 6]}",
        "training.schedule.eta_max.log10=[-2, 0]",
        "training.schedule.cycles.values=[1, 2]",
    )
    run, study = run_search(*(f"search.over.{axis}" for axis in axes), general=True)
    assert all(2 <= int(row["hidden"]) <= 6 for row in rows(run))
    assert {row["cycles"] for row in rows(run)} == {"1", "2"}
    best = study.standings()[0]
    final = config.load(run.path / "best.yaml")
    assert (final.network.hidden, final.training.schedule.eta_max) == ((best["hidden"],), best["eta_max"])
    fine = laid_out("search.fine.values=[0.1]", stage="fine", general=True, earlier=read(run))
    assert set(fine.space) == {"network.hidden", "training.schedule.eta_max", "training.schedule.cycles"}
    assert len(fine.trials) == 3


def test_an_earlier_versions_table_of_a_search_for_cycles_goes_on(run_search):
    """It had a second column of them, under their long name."""
    run, study = run_search("search.over.training.schedule.cycles.values=[1, 2]", general=True)
    assert sorted(trial["cycles"] for trial in study.standings()) == [1, 2]
    table, complete = run.read_rows("trials.csv"), rows(run)
    first = {"index": "0", "seed": "42", "training.schedule.cycles": "1"} | next(r for r in table if r["index"] == "0")
    run.write("trials.csv", csv_text([first, first.values()]))
    assert resumed(run) == [1]
    assert rows(run) == complete


def test_a_diverged_trial_is_recorded_and_stops_nothing(run_search):
    run, study = run_search(ETAS, general=True, jobs=1)
    table = rows(run)
    assert [row["status"] for row in table] == ["completed", "diverged", "completed", "completed"]
    assert table[1]["validation_accuracy"] == ""
    assert study.ended("diverged") == [1]
    assert sorted(s["index"] for s in study.standings()) == [0, 2, 3]
    assert study.summaries()[1] == {"index": 1, "eta_max": 1e30, "validation_accuracy": None, "status": "diverged"}
    assert "trial 1, seed 42: diverged: " in (run.path / "log.txt").read_text()


def test_fail_fast_stops_at_the_first(run_search, tmp_path):
    with pytest.raises(RunError, match="trial 0 diverged, and --fail-fast was given: diverged"):
        run_search(ETAS.replace("0.1, 1e30", "1e30, 0.1"), general=True, jobs=1, fail_fast=True)
    assert Run.find("latest", tmp_path / "runs").status == "failed"


def test_what_is_no_search_is_refused(tmp_path, tiny):
    run = Run.create(tmp_path, "train", tiny, environment={})
    with pytest.raises(RunError, match="this is no search but a run of kind train"):
        read(run)


@pytest.mark.parametrize("after", [1, 3])
def test_an_interrupted_search_resumes_to_the_same_result(complete, tmp_path, after):
    """Left after some trials, the run is interrupted; resumed, rows and best.yaml are those of one never stopped."""
    study = laid_out()
    run = stopped(study, tmp_path, after)
    assert Run(run.path).status == "interrupted"
    left = len(study.missing())
    assert study.left == left
    assert len(resumed(run)) == left <= 4 - after
    assert rows(run) == rows(complete[0])
    assert (run.path / "best.yaml").read_bytes() == (complete[0].path / "best.yaml").read_bytes()


@pytest.fixture
def copy(complete, tmp_path):
    """A copy of the folder of a finished search."""
    return Run(shutil.copytree(complete[0].path, tmp_path / complete[0].path.name))


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.99])
def test_a_row_cut_short_is_run_again(copy, complete, kept):
    """trials.csv ends in the middle of a row, or of its header: resumed, it is complete, nothing lost or doubled."""
    text = (copy.path / "trials.csv").read_text()
    (copy.path / "trials.csv").write_text(text[: int(kept * len(text))])
    resumed(copy)
    assert rows(copy) == rows(complete[0])


def test_failed_trials_are_retried_on_request(run_search, complete, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(pool.training, "train_lockstep", lambda *_, **__: 1 / 0)
        run, study = run_search()
    assert study.ended("failed") == [0, 1, 2, 3]
    assert not (run.path / "best.yaml").exists()
    assert resumed(run) == []
    assert [trial.index for trial in read(run, without_failed=True).missing()] == [0, 1, 2, 3]
    assert resumed(run, retry_failed=True) == [0, 1, 2, 3]
    assert rows(run) == rows(complete[0])


def test_a_search_with_another_config_is_not_resumed(copy):
    text = (copy.path / "config.yaml").read_text()
    (copy.path / "config.yaml").write_text(text.replace("seed: 42", "seed: 43"))
    with pytest.raises(RunError, match="it would become another search: seed was 42 and is 43"):
        resumed(copy)


# A sampler that learns

TPE = "search.coarse={sampling: tpe, trials: 10, n_s: 3, cycles: 1}"
WIDE = "search.over={training.schedule.eta_max: {log10: [-3, 0]}, network.hidden: {values: [3, 5, 9]}}"


@pytest.fixture
def optuna():
    return pytest.importorskip("optuna", reason="optuna is not installed: pip install 'cifarnet[tpe]'")


def test_what_is_suggested_is_near_the_best_so_far(optuna):
    """Of f(x) = -(x_1 - 0.3)^2 - (x_2 - 0.8)^2 at 16 points: the next 16 are nearer to (0.3, 0.8), each another."""
    uniform = np.random.default_rng(0).random((16, 2))

    def f(points):
        return -((np.array(points) - [0.3, 0.8]) ** 2).sum(axis=1)

    found = tpe.points(2, list(zip(uniform.tolist(), f(uniform).tolist(), strict=True)), 16, seed=0)
    assert np.mean(f(found)) > np.mean(f(uniform)) / 2
    assert np.min(found) >= 0 and np.max(found) <= 1
    gaps = [np.linalg.norm(np.subtract(a, b)) for a, b in itertools.combinations(found, 2)]
    assert min(gaps) > 0.05  # they do not crowd


@pytest.mark.parametrize(("trials", "size"), [(1, 1), (3, 3), (8, 4), (40, 5), (100, 12)])
def test_a_round_is_an_eighth_of_the_trials(trials, size):
    assert tpe.round_size(trials) == size


def test_a_search_by_tpe_is_the_same_whatever_the_jobs_and_wherever_it_stopped(run_search, tmp_path, optuna):
    """Its plan has the first round, as sampled at random, and then each round as it is suggested."""
    uniform = laid_out(TPE.replace("tpe", "uniform"), WIDE, general=True).trials
    complete, study = run_search(TPE, WIDE, general=True, jobs=1)
    assert study.trials[:4] == uniform[:4] and study.trials[4:] != uniform[4:]
    assert rows(complete) == rows(run_search(TPE, WIDE, general=True, jobs=3)[0])
    for after in 4, 9:
        study = laid_out(TPE, WIDE, general=True)
        assert (len(study.trials), study.total) == (4, 10)
        run = stopped(study, tmp_path, after)
        assert len(run.read_json("plan.json")["trials"]) in (4, 8, 10)
        resumed(run)
        assert rows(run) == rows(complete)
        for name in "plan.json", "best.yaml":
            assert (run.path / name).read_bytes() == (complete.path / name).read_bytes()


def test_tpe_learns_from_divergence_and_not_from_failures(optuna, monkeypatch):
    """One that diverged counts as 0, over its seeds the mean; values of lists are the middle of their part."""
    study = laid_out(TPE, WIDE, "search.coarse.seeds=2", general=True)
    assert study.total == 20
    study.trials[:] = []
    study.add([{"training.schedule.eta_max": eta, "network.hidden": n} for eta, n in ((1e-3, 3), (1, 5), (0.1, 9))])
    ends = [(0, "completed", 0.3), (0, "completed", 0.5), (1, "completed", 0.4), (1, "diverged", ""), (2, "failed", "")]
    study.rows[:] = [{"index": str(i), "status": s, "validation_accuracy": str(a)} for i, s, a in ends]
    (first, one), (second, other) = tpe.tried(study)
    assert (one, other) == pytest.approx((0.4, 0.2))
    assert (first, second) == (pytest.approx([0, 1 / 6]), pytest.approx([1, 0.5]))
    study.rows[:] = [row for row in study.rows if row["status"] == "failed"]
    assert len(tpe.suggest(study)) == 4
    seeds = []
    monkeypatch.setattr(tpe, "points", lambda axes, tried, count, seed: seeds.append(seed))
    for _ in range(2):
        tpe.suggest(study)
        study.add([study.values[0]])
    assert seeds[0] != seeds[1]


def test_a_single_list_is_tried_as_it_is_by_tpe_too():
    study = laid_out(TPE, "search.coarse.values=[0.1, 0, 0.01]")
    assert [trial.values[LAMBDA] for trial in study.trials] == [0.1, 0, 0.01]
    assert not study.learns and study.total == 3


def test_tpe_checks_the_ends_of_its_space_before_anything_runs(optuna):
    """All of it may be suggested later: here 61 images in a batch, and there are 60."""
    with pytest.raises(ConfigError, match=r"training\.batch_size = 61: must be at most 60"):
        laid_out(TPE, "search.over.training.batch_size.linear=[2, 61]", general=True)


def test_tpe_without_optuna_is_refused_before_anything_runs(run_search, monkeypatch, optuna):
    run, _ = run_search(TPE)
    monkeypatch.setitem(sys.modules, "optuna", None)
    for call in (lambda: laid_out(TPE), lambda: resumed(run)):
        with pytest.raises(ConfigError, match=r"^sampling = tpe: needs optuna; pip install 'cifarnet\[tpe\]'"):
            call()
    assert len(laid_out(stage="fine", earlier=read(run)).trials) == 3  # to read it, none is needed
