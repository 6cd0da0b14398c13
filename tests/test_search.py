"""The pool runs many trainings; a search lays out trials, ranks them, and goes on where it was stopped."""

import csv
import gc
import itertools
import os
import shutil
import subprocess
import sys
import threading
import weakref
from functools import partial

import numpy as np
import pytest
from click.testing import CliRunner

from cifarnet import config, plots
from cifarnet.cli import cli
from cifarnet.config.search import Axis, Fine, Stage
from cifarnet.errors import ConfigError, DataError, RunError
from cifarnet.experiments import pool
from cifarnet.experiments import train as experiment
from cifarnet.experiments.pool import Job
from cifarnet.readable import csv_text
from cifarnet.runs import Run
from cifarnet.runs.trials import MEASURES
from cifarnet.search import space, tpe
from cifarnet.search.design import design
from cifarnet.search.study import read
from cifarnet.studies.check import Check
from tests.common import alike

search = sys.modules["cifarnet.search"]  # the room; cifarnet.search is the function

TINY = (
    "data={source: synthetic, limit: 60, dims: 8}",
    "network.hidden=[5]",
    "training={batch_size: 20, schedule: {eta_max: 0.5, n_s: 4}}",
    "search.coarse={trials: 4, n_s: 3, cycles: 1}",
    "search.fine={trials: 3, n_s: 3, cycles: 2}",
    "search.final={train: [1], validation: 100, n_s: 3, cycles: 3}",
)
LAMBDA = "training.lambda"
DRAW, LOAD = plots.draw, pool.data.load
ETAS = "search.over.training.schedule.eta_max.values=[0.1, 1e30, 0.2, 0.3]"


@pytest.fixture(scope="module", autouse=True)
def images(dataset):
    """What every training of this process has, whatever the settings say; how often they were read."""
    calls = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool.data, "load", lambda *a, **_: calls.append(a) or dataset)
        yield calls


@pytest.fixture(scope="module", autouse=True)
def without_figures():
    """Figures take most of the time of a tiny search."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "draw", lambda _: [])
        patch.setattr(experiment, "this_machine", lambda: {"numpy": "any"})
        yield


@pytest.fixture
def figures(monkeypatch):
    """For the tests that look at them."""
    monkeypatch.setattr(plots, "draw", DRAW)


def searched(
    folder, *overrides, stage="coarse", general=False, earlier=None, jobs=2, fail_fast=False, formats=("png",)
):
    """Run a search in this process; return its run and the study."""
    study = laid_out(*overrides, stage=stage, general=general, earlier=earlier)
    with pool.local(jobs) as executor:
        run = search.start(study, executor, folder, formats=formats)
        list(search.execute(study, run, executor, fail_fast=fail_fast))
    return run, study


@pytest.fixture
def run_search(tmp_path):
    return partial(searched, tmp_path / "runs")


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    """A finished coarse search: its run and the study."""
    return searched(tmp_path_factory.mktemp("complete"))


def settings(*overrides):
    return config.load(None, (*TINY, *overrides), label="tiny")


def laid_out(*overrides, stage="coarse", general=False, earlier=None):
    return design(settings(*overrides), stage, general=general, earlier=earlier)


def lambdas(*overrides, **kinds):
    return [trial.values[LAMBDA] for trial in laid_out(*overrides, **kinds).trials]


def rows(run):
    """trials.csv without the seconds, in the order of the indices."""
    with (run.path / "trials.csv").open() as file:
        table = [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]
    return sorted(table, key=lambda row: (int(row["index"]), int(row["seed"])))


# Where trials are


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        ("uniform", [1.2418687295211448e-05, 0.022871626690684172, 0.0884012159481153]),
        ("halton", [0.016740676031377858, 0.0001674067603137786, 1.6740676031377856e-05]),
    ],
)
def test_the_lambda_of_a_trial_depends_on_seed_and_index_alone(sampling, expected):
    few = lambdas("search.coarse.trials=5", f"search.coarse.sampling={sampling}")
    many = lambdas("search.coarse.trials=10", f"search.coarse.sampling={sampling}")
    assert few[:3] == expected  # as of version 0.1: a search that began then goes on
    assert many[:5] == few
    assert not set(lambdas("seed=1", f"search.coarse.sampling={sampling}")) & set(many)
    assert all(1e-5 <= lam <= 1e-1 for lam in many)


def test_a_fine_search_draws_other_numbers():
    assert lambdas("search.fine={l_min: -3, l_max: -2}", stage="fine")[:2] == [
        0.00750588785194786,
        0.0013533399124990675,
    ]


def points(trials, sampling, seed=0):
    return list(space.points({"x": Axis(linear=(0.0, 1.0))}, Stage(trials=trials, sampling=sampling), "coarse", seed))


def test_halton_mirrors_the_digits_of_the_index():
    """Indices 0 to 6 in base 2, from Halton's paper, shifted by one number; 16 points have one in each sixteenth."""
    first, *others = [u for (u,) in points(7, "halton")]
    assert [(u - first) % 1 for u in others] == pytest.approx([1 / 2, 1 / 4, 3 / 4, 1 / 8, 5 / 8, 3 / 8])
    for seed in range(5):
        assert np.diff(sorted(u for (u,) in points(16, "halton", seed))) == pytest.approx([1 / 16] * 15)


def test_a_grid_has_its_ends_and_even_steps():
    grid = "search.coarse.sampling=grid"
    assert lambdas("search.coarse.trials=5", grid) == pytest.approx([1e-5, 1e-4, 1e-3, 1e-2, 1e-1])
    assert lambdas("search.coarse.trials=1", grid) == pytest.approx([1e-3])
    assert lambdas("search.coarse.values=[0.01, 0, 0.001]") == [0.01, 0, 0.001]  # whatever trials says


def test_a_grid_over_several_settings_is_their_product():
    """A list of three and an interval in 13 trials: four values of the interval each."""
    grid = {"a": Axis(values=(1, 2, 3)), "b": Axis(linear=(0.0, 3.0))}
    found = list(space.points(grid, Stage(trials=13, sampling="grid"), "coarse", 0))
    values = [tuple(space.at(axis, u) for axis, u in zip(grid.values(), p, strict=True)) for p in found]
    assert values == list(itertools.product((1, 2, 3), (0, 1, 2, 3)))
    lists = {"a": Axis(values=(1, 2)), "b": Axis(values=(1, 2, 3))}
    assert [len(list(space.points(lists, Stage(trials=2, sampling=s), "coarse", 0))) for s in ("uniform", "grid")] == [
        2,
        6,
    ]
    with pytest.raises(ConfigError, match="a grid of these lists has 3 points and more; raise trials, now 2"):
        space.points(grid, Stage(trials=2, sampling="grid"), "coarse", 0)


def test_a_point_has_the_values_that_it_is_found_by():
    """Values that no axis has, such as the best of an earlier search, are at the nearest end or value."""
    axes = {"a": Axis(values=(5, 1, 3)), "b": Axis(linear=(-1, 3)), "c": Axis(log10=(-4, 0)), "d": Axis(linear=(2, 2))}
    for u in (1 / 6, 0.5, 5 / 6):
        values = {key: space.at(axis, u) for key, axis in axes.items()}
        assert space.point(axes, values) == pytest.approx([u, u, u, 0.5])
    assert space.point(axes, {"a": 4.5, "b": 9, "c": 0, "d": 7}) == pytest.approx([1 / 6, 1, 0, 0.5])
    assert space.values_at({"network.hidden": Axis(linear=(2, 6))}, [0.9], settings()) == {"network.hidden": 6}


ETA = "training.schedule.eta_max"
LOG, RANKED = {LAMBDA: Axis(log10=(-5, -1))}, [{LAMBDA: 10.0**exponent} for exponent in (-2.5, -3, -2, -1, -5)]


@pytest.mark.parametrize(
    ("axes", "fine", "ranked", "trials", "expected"),
    [
        (LOG, "best 3", RANKED, 8, [(-3.25, -1.75)]),  # by -3, -2.5 and -2; 8 trials in 4: half of 0.5 on both sides
        (LOG, "best 1", RANKED, 8, [(-2.75, -2.25)]),
        (LOG, "between best two", RANKED, 8, [(-3, -2.5)]),
        (LOG, "best 9", RANKED, 8, [(-5, -1)]),
        (LOG, "best 2", [{LAMBDA: 0.0}, {LAMBDA: 1e-3}], 8, [(-5, -2.75)]),  # of lambdas that a coarse search listed
        ({"a": Axis(values=(1, 2, 3))}, "best 1", [{"a": 5}], 3, [(1, 2, 3)]),
        ({"a": Axis(values=(1, 2, 3))}, "best 2", [{"a": 3}, {"a": 1}, {"a": 2}], 3, [(1, 3)]),
        # 16 trials on two axes are 4 on each: half of a quarter of the axis, to each side
        (LOG | {ETA: Axis(linear=(0, 1))}, "best 1", [{LAMBDA: 1e-3, ETA: 0.5}], 16, [(-3.5, -2.5), (0.375, 0.625)]),
    ],
)
def test_the_fine_range_is_around_the_best(axes, fine, ranked, trials, expected):
    narrowed = space.narrow(axes, Fine(range=fine), ranked, trials)
    assert [*narrowed] == [*axes]
    for axis, ends in zip(narrowed.values(), expected, strict=True):
        assert (axis.log10 or axis.linear or axis.values) == pytest.approx(ends)


def test_a_fine_search_needs_a_range_or_finished_trials():
    with pytest.raises(RunError, match="1 finished trials are too few for a fine search of range between best two"):
        space.narrow(LOG, Fine(range="between best two"), [{LAMBDA: 0.1}], 8)
    with pytest.raises(ConfigError, match="give --from RUN, or l_min and l_max"):
        lambdas(stage="fine")
    with pytest.raises(ConfigError, match="kind = constant: a search trains in cycles; take cyclic"):
        design(config.load(None, ["training.schedule=constant"]), "coarse")


@pytest.mark.parametrize(
    ("override", "general", "message"),
    [
        ("search.coarse={l_min: -1, l_max: -5}", False, r"search\.coarse\.l_min = -1.*must be at most l_max"),
        ("search.coarse.trials=0", False, r"search\.coarse\.trials = 0: must be at least 1"),
        ("search.coarse.sampling=sobol", False, "must be uniform, grid, halton or tpe"),
        ("search.over.training.lamda.values=[1]", True, r"training\.lamda.*did you mean"),
        ("search.over.label.values=[1]", True, "label = 1: must be text"),
        ("search.over.network.hidden={values: [1], linear: [1, 2]}", True, "must have one of log10, linear and values"),
        ("search.over.seed.values=[1, 2]", True, "seed: take search.coarse.seeds instead"),
        ("search.over={}", True, r"search\.over = \{\}"),
        ("search.final.validation=10000", False, r"data\.validation = 10000: must be below 10000"),
        ("search.over.training.batch_size.values=[50, 5000]", True, "training.batch_size = 5000: must be at most 60"),
    ],
)
def test_wrong_settings_are_named_before_anything_runs(override, general, message):
    with pytest.raises(ConfigError, match=message):
        laid_out(override, general=general)


def resolved(source, *overrides, stage="coarse"):
    """The study of a config, its sources, and its final training."""
    found = config.resolve(source, overrides)
    study = design(found.settings, stage, origins=found.origins)
    return study, study.sources, study.final_settings(study.trials[0].values)


def test_a_search_keeps_the_schedule_and_split_that_the_config_states():
    """Only what neither `search` nor the config states is a default of the search; the plan says which."""
    study, sources, final = resolved("quick", "search.coarse.n_s=20")
    trial = study.trial_settings(study.trials[0]).training.schedule
    assert (trial.n_s, trial.cycles) == (20, 1)
    assert (final.training.schedule.n_s, final.training.schedule.cycles) == ("2 epochs", 1)
    assert (final.data.train, final.data.validation) == ((1,), (2,))
    assert study.plan()["sources"] == sources
    assert sources["search.coarse.n_s"] == "search.coarse.n_s (--set)"
    assert sources["search.coarse.cycles"].startswith("training.schedule.cycles (quick.yaml:")
    assert study.settings.search.fine.cycles == 1  # a fine search from this folder has no other
    assert resolved({"label": "x" * 64})[2].label == "x" * 59 + "-best"
    _, sources, final = resolved(None)
    assert set(sources.values()) == {"default"}
    assert (final.data.train, final.data.validation, final.training.schedule.cycles) == ("all", 1000, 3)


def test_a_fine_search_from_a_folder_has_the_schedule_that_the_coarse_one_resolved(tmp_path):
    for source, expected in (None, (4, "2 epochs")), ("quick", (1, "2 epochs")), ("search", (4, "2 epochs")):
        coarse, *_ = resolved(source)
        (tmp_path / "config.yaml").write_text(config.dump(coarse.settings))
        found = config.load(tmp_path / "config.yaml", ["search.fine={l_min: -3, l_max: -2}"])
        fine = design(found, "fine")
        assert (fine.part.cycles, fine.part.n_s) == expected


def test_a_trial_that_diverged_with_some_seeds_is_behind_the_others():
    study = laid_out("search.coarse={trials: 2, seeds: 2}")
    ends = [(0, 42, "diverged", 0.0), (0, 43, "completed", 0.5), (1, 42, "completed", 0.4), (1, 43, "completed", 0.4)]
    study.rows.extend(
        {"index": i, "seed": seed, "status": status, **dict.fromkeys(MEASURES, accuracy)}
        for i, seed, status, accuracy in ends
    )
    assert [trial["index"] for trial in study.standings()] == [1, 0]


def test_a_schedule_that_is_set_beside_the_earlier_search_is_kept(complete):
    words = ["search-lambda", "fine", "--from", str(complete[0].path), "--set", "training.schedule.cycles=7"]
    assert "cycles 7" in CliRunner().invoke(cli, [*words, "--dry-run"]).output


def test_half_of_a_split_that_is_set_beside_the_earlier_search_is_kept(complete):
    """The other half is that of the earlier search, and so is what `data` says of it."""
    words = ["search-lambda", "fine", "--from", str(complete[0].path), "--set", "data.train=[3]", "--dry-run"]
    printed = CliRunner().invoke(cli, words).output
    assert "search.final.train: data.train (--set)\nsearch.final.validation: data.validation\n" in printed + "\n"


@pytest.mark.parametrize(
    ("source", "overrides", "split"),
    [
        ("search", [], ("all", 1000)),  # 49,000 and 1,000 images, which the assignment asks for
        ("width", [], ("all", 5000)),
        (None, ["data.validation=[3]"], ((1,), (3,))),  # a split is stated by either half
        ("quick", ["search.final.validation=500"], ((1,), 500)),
        ("quick", ["search.final.train=all"], ("all", 1000)),  # batch 2 cannot validate what it trains
        ("quick", ["search.final={train: [1, 2], validation: [4]}"], ((1, 2), (4,))),
    ],
)
def test_the_final_split_is_the_stated_one_unless_search_says_otherwise(source, overrides, split):
    _, _, final = resolved(source, *overrides)
    assert (final.data.train, final.data.validation) == split


# The pool


def jobs(*overrides, **kinds):
    found = [settings(*([override] if isinstance(override, str) else override)) for override in overrides]
    return [Job(key, s, "", **kinds) for key, s in enumerate(found)]


def outcomes(todo, workers=1, threads=1):
    with pool.local(workers, threads) as executor:
        return [outcome for _, outcome in sorted(filter(None, pool.run(todo, executor)), key=lambda end: end[0].key)]


def test_trainings_that_differ_in_more_than_eta_and_lambda_are_not_in_lockstep():
    """Here by the seed and the width: groups for each; so are gradient checks, and jobs that want the test scores."""
    changes = [
        [f"seed={i % 2}", f"network.hidden=[{5 + i % 3}]", f"training.schedule.eta_max={1 + i}"] for i in range(24)
    ]
    groups = pool.lockstep(jobs(*changes), 1, 1)
    assert [sorted({job.key % 6 for job in group}) for group in groups] == [[k] for k in range(6) for _ in range(2)]
    assert {len(group) for group in groups} == {2}
    check = jobs("seed=1", "seed=1", check=Check(methods=("forward",), samples=1, step=1e-6).results)
    assert len(pool.lockstep([*jobs("seed=1"), *jobs("seed=1", scored="validation"), *check], 1, 1)) == 4


def test_a_training_has_the_same_bytes_in_any_group():
    todo = jobs(*(f"training.lambda={lam}" for lam in (0, 0.01, 0.1, 0.001)))
    alone, lockstep = outcomes(todo, workers=4), outcomes(todo * 2, workers=1)[::2]
    assert [o.status for o in lockstep] == ["completed"] * 4
    for a, b in zip(alone, lockstep, strict=True):
        assert (a.records, a.results) == (b.records, b.results)
        assert a.model.theta.tobytes() == b.model.theta.tobytes()


def test_an_outcome_has_what_a_run_folder_has(tmp_path):
    """Scores, curves, network and confusions of the same training by `experiments.train`."""
    (job,) = jobs("training.lambda=0.01")
    (outcome,) = outcomes([job])
    training = experiment.start(job.settings, runs_dir=tmp_path, threads=1)
    list(training)
    run = Run(training.run.path)
    assert outcome.results == run.results
    assert outcome.model.theta.tobytes() == run.model.theta.tobytes()
    curves = [list(record.row().values()) for record in outcome.records]
    assert curves == np.transpose([*run.records.values()]).tolist()
    assert outcome.confusion.tolist() == [[int(n) for n in row.values()] for row in run.read_rows("confusion-test.csv")]
    (held_out,) = outcomes(jobs("training.lambda=0.01", scored="held-out"))
    assert held_out.results == {name: value for name, value in run.results.items() if "train" not in name}
    (trial,) = outcomes(jobs("training.lambda=0.01", scored="validation"))
    assert trial.model is None and not trial.results
    assert [r.validation for r in trial.records] == [r.validation for r in outcome.records]
    assert (outcome.updates, dict(outcome.provenance)) == (job.settings.updates, run.environment["data"])


def test_an_error_fails_its_group_alone(monkeypatch):
    train = pool.training.train_lockstep

    def failing(states, dataset, all_settings, *rest, **kinds):
        if any(s.seed == 1 for s in all_settings):
            raise MemoryError("no room")
        return train(states, dataset, all_settings, *rest, **kinds)

    monkeypatch.setattr(pool.training, "train_lockstep", failing)
    found = outcomes(jobs("seed=1", "seed=2", ["seed=1", "training.lambda=1"]), workers=1)
    assert [(o.status, o.note) for o in found[::2]] == [("failed", "MemoryError: no room")] * 2
    assert found[1].status == "completed"


def test_a_gradient_check_is_a_job():
    """Errors by method, parameter and measure, and those of the worst parameter."""
    (outcome,) = outcomes(jobs("seed=1", check=Check(methods=["centred", "forward"], samples=3, step=1e-5).results))
    found = outcome.results
    assert outcome.status == "completed"
    assert found["centred.W1.norm_relative_error"] < 1e-8
    for method in "centred", "forward":
        each = [found[f"{method}.{name}.max_absolute_error"] for name in ("W1", "W2", "b1", "b2")]
        assert found[f"{method}.all.max_absolute_error"] == max(each)


@pytest.mark.parametrize("kind", [{}, {"check": Check(methods=("centred",), samples=60, step=1e-5).results}])
def test_a_stop_ends_what_runs_and_begins_nothing(kind):
    """Two trainings or checks that would take minutes, and one that waits."""
    stop = threading.Event()
    todo = jobs(*[[f"seed={i}", "training.schedule.n_s=100000000", "network.hidden=[5000]"] for i in range(3)], **kind)
    with pool.local(2) as executor:
        ends = pool.run(todo, executor, stop)
        assert next(ends) is None
        stop.set()
        assert sorted(job.key for job, outcome in filter(None, ends) if outcome.status == "left") == [0, 1, 2]
        ends = pool.run(todo, executor)
        assert next(ends) is None
        ends.close()


def test_images_are_read_once_and_let_go(images, dataset, monkeypatch):
    """One copy for all who use one data set at a time; when the pool is left, nobody holds it."""
    images.clear()
    with pool.local(2) as executor:
        executor.dataset(settings().data)
        list(pool.run(jobs(*(f"seed={i}" for i in range(6))), executor))
        assert len(images) == 1
        copy = alike(dataset.train)
        kept, loading = weakref.ref(copy), [copy]
        monkeypatch.setattr(pool.data, "load", lambda *_: loading.pop())
        del copy
        executor.dataset(settings("data.dims=7").data)
        assert kept()
    del executor
    gc.collect()
    assert not kept()


def test_other_images_are_no_fault_of_a_training(dataset):
    (job,) = jobs("seed=1")
    with pool.local(1) as executor, pytest.raises(DataError, match=r"fingerprint .*, those of the jobs 000000000000;"):
        list(pool.run([pool.replace(job, fingerprint="0" * 64)], executor))


# A search and its folder


def test_a_search_writes_a_row_a_trial_and_the_best(run_search, figures):
    run, study = run_search()
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
    assert search.read(again).standings() == study.standings()


def test_rows_are_those_of_the_trainings_themselves(run_search):
    run, study = run_search("search.coarse.cycles=3")
    for trial, row in zip(study.trials, rows(run), strict=True):
        (outcome,) = outcomes([Job(0, study.trial_settings(trial), "")])
        accuracy = [record.validation.accuracy for record in outcome.records]
        assert float(row["validation_accuracy"]) == accuracy[-1]
        assert float(row["best_validation_accuracy"]) == max(accuracy)
        assert float(row["validation_loss"]) == outcome.results["validation_loss"]


def test_the_final_accuracy_ranks_and_not_the_best_on_the_way():
    """Of equal ones the first is best; what was not completed is not ranked."""
    table = [(0, 0.4, 0.9), (1, 0.5, 0.5), (2, 0.5, 0.6), (3, 0.99, 0.99)]
    columns = ("index", "validation_accuracy", "best_validation_accuracy")
    study = laid_out()
    study.rows[:] = [dict(zip(columns, map(str, row), strict=True)) | {"validation_loss": "1"} for row in table]
    for row, status in zip(study.rows, ("completed", "completed", "completed", "stopped"), strict=True):
        row |= {"status": status, "seed": "42"}
    assert [trial["index"] for trial in study.standings()] == [1, 2, 0]
    for row, status in zip(study.rows[:2], ("failed", "diverged"), strict=True):
        row |= {"index": "0", "status": status}
    assert study.summaries()[0]["status"] == "failed"  # the worst of its seeds


def test_a_figure_that_fails_costs_no_search(run_search, figures, monkeypatch, caplog):
    monkeypatch.setitem(plots.FIGURES, "search", plots.FIGURES["search"]._replace(draw=lambda _: 1 / 0))
    run, _ = run_search()
    assert run.status == "completed"
    assert "the figure search could not be drawn: division by zero" in caplog.text
    assert "figure search" in (run.path / "log.txt").read_text()


def test_fine_goes_on_from_coarse(run_search, complete, figures):
    """The earlier best is trained again first; the others are within the narrower range; the figure has both."""
    before, coarse = complete
    run, fine = run_search(stage="fine", earlier=search.read(before), formats=("svg",))
    values, earlier = [trial.values[LAMBDA] for trial in fine.trials], coarse.points()
    assert values[0] == earlier[0]["values"][LAMBDA] == coarse.values[coarse.standings()[0]["index"]][LAMBDA]
    assert not set(values[1:]) & {point["values"][LAMBDA] for point in earlier} and len(values) == 3
    low, high = fine.space[LAMBDA].log10
    assert -5 <= low < high <= -1
    assert all(low <= np.log10(lam) <= high for lam in values)
    assert fine.trial_settings(fine.trials[0]).training.schedule.cycles == 2
    svg = (run.path / "figures" / "search.svg").read_text()
    assert "coarse" in svg and "fine" in svg and "best" in svg
    assert search.read(run).earlier["trials"] == earlier
    grid = lambdas("search.fine={sampling: grid, l_min: -3, l_max: -1}", stage="fine", earlier=coarse)
    assert grid == pytest.approx([values[0], 1e-3, 1e-1])
    assert values[0] not in lambdas("search.fine.include_best=false", stage="fine", earlier=coarse)
    assert lambdas("search.fine.trials=1", stage="fine", earlier=coarse) == values[:1]  # the best counts as one


def test_three_settings_are_drawn_as_lines_from_each_to_the_accuracy():
    """Heights are places between the ends; of a logarithm 0 is at the foot; the best is drawn last."""
    columns = {"training.lambda": (1e-3, 0, 1e-1), "network.hidden": (20, 60, 40), "training.batch_size": (9, 9, 9)}
    trials = [
        {"values": dict(zip(columns, values, strict=True)), "accuracy": accuracy, "spread": 0.0}
        for values, accuracy in zip(zip(*columns.values(), strict=True), (0.4, 0.3, 0.2), strict=True)
    ]
    figure = plots.search({"coarse": trials[1:], "fine": trials[:1]}, {key: key == LAMBDA for key in columns})
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
    """Widths and eta bounds by their dotted keys: whole numbers where they are, and best.yaml has them."""
    axes = (
        "network.hidden={linear: [2, 6]}",
        "training.schedule.eta_max.log10=[-2, 0]",
        "training.batch_size.values=[9]",
    )
    run, study = run_search(*(f"search.over.{axis}" for axis in axes), general=True)
    assert all(2 <= int(row["hidden"]) <= 6 for row in rows(run))
    best = study.standings()[0]
    final = config.load(run.path / "best.yaml")
    assert (final.network.hidden, final.training.schedule.eta_max) == ((best["hidden"],), best["eta_max"])
    fine = laid_out("search.fine.values=[0.1]", stage="fine", general=True, earlier=search.read(run))
    assert set(fine.space) == {"network.hidden", "training.schedule.eta_max", "training.batch_size"}
    assert len(fine.trials) == 3


def test_cycles_are_searched_like_any_number(run_search):
    """With their short name; a table of an earlier version, which had a second column of them, goes on."""
    run, study = run_search("search.over.training.schedule.cycles.values=[1, 2]", general=True)
    assert [(row["index"], row["cycles"]) for row in rows(run)] == [("0", "1"), ("1", "2")]
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
        search.read(run)


def resumed(run, **kinds):
    """Go on with a search; return the indices of the trials that were run."""
    run = Run(run.path)
    with pool.local(2) as executor:
        study = search.resume(run, executor, **kinds)
        return sorted(trial.index for trial, _ in filter(None, search.execute(study, run, executor)))


def stopped(study, folder, after):
    """The run of a search that is left after this many trials."""
    with pool.local(1) as executor:
        run = search.start(study, executor, folder)
        going = search.execute(study, run, executor)
        list(itertools.islice(filter(None, going), after))
        going.close()
    return run


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
    assert len(laid_out(stage="fine", earlier=search.read(run)).trials) == 3  # to read it, none is needed


# A Dask cluster: a real scheduler and real workers, on the loopback interface

LARGER = (
    "data={source: synthetic, train: [1], validation: 100, limit: 500, dims: 30}",
    "search.coarse={n_s: 50, trials: 6, cycles: 2}",
)


def started(*arguments, **environment):
    command = [sys.executable, "-m", "distributed.cli." + arguments[0], *arguments[1:], "--no-dashboard"]
    env = {k: v for k, v in os.environ.items() if k != "CIFARNET_DATA_DIR"} | environment
    return subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)


def heard(process, word):
    """Wait for a line with a word in what the process says, and return it."""
    for line in process.stderr:
        if word in line:
            return line
    raise AssertionError(f"{process.args} ended without {word!r}")


@pytest.fixture
def scheduler(tmp_path):
    """The address of a scheduler, and a function that starts a worker for it."""
    pytest.importorskip("distributed", reason="Dask is not installed: pip install 'cifarnet[dask]'")
    processes = [started("dask_scheduler", "--host", "127.0.0.1", "--port", "0")]
    address = heard(processes[0], "Scheduler at:").split()[-1]

    def worker():
        arguments = ("--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--local-directory", str(tmp_path))
        processes.append(started("dask_worker", address, *arguments, XDG_CACHE_HOME=str(tmp_path)))
        heard(processes[-1], "Registered to:")
        return processes[-1]

    yield address, worker
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_a_cluster_does_the_same_search_or_says_what_its_workers_lack(scheduler, dataset, tmp_path, monkeypatch):
    """Without workers, without their images, with another program: refused. One that is killed costs nothing."""
    address, worker = scheduler
    with monkeypatch.context() as patch, pytest.raises(RunError, match="no workers; start some with `dask worker tcp:"):
        patch.setattr(pool, "TIMEOUT", 1)
        pool.cluster(address).__enter__()
    _, second = worker(), worker()
    with pool.cluster(address) as executor:
        with pytest.raises(DataError, match=r"worker tcp://127\.0\.0\.1:\d+: .*CIFAR-10"):
            executor.dataset(settings("data.source=cifar10").data)
        monkeypatch.setattr(dataset, "fingerprint", "0" * 64)
        with pytest.raises(DataError, match=r"worker tcp://.*, those of the jobs 000000000000; give every machine"):
            executor.dataset(settings(*LARGER).data)
    with monkeypatch.context() as patch:
        patch.setattr(pool, "RELEASE", "9.9")
        with (
            pool.cluster(address) as executor,
            pytest.raises(RunError, match=r"worker tcp.*, and the jobs come from 9"),
        ):
            executor.dataset(settings(*LARGER).data)
    monkeypatch.setattr(pool.data, "load", LOAD)
    tables = []
    for executor in pool.executor(jobs=2), pool.executor(address):
        study = laid_out(*LARGER)
        with executor as workers:
            run = search.start(study, workers, tmp_path)
            for end in search.execute(study, run, workers):
                if end and len(tables) and second.poll() is None:
                    second.kill()
                    second.wait()
        tables.append(rows(run))
    assert second.poll() is not None
    assert [row["index"] for row in tables[0]] == [str(i) for i in range(6)]
    assert tables[0] == tables[1]


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense://x", "tcp://127.0.0.1:x"])
def test_an_unreachable_scheduler_is_an_error(address, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(pool, "TIMEOUT", 1)
    with pytest.raises(RunError, match=f"{address}: no Dask scheduler answers"):
        pool.cluster(address).__enter__()
