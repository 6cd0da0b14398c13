"""Searching: where the trials are, what is run, written, resumed and ranked."""

import csv
import itertools

import numpy as np
import pytest

from cifarnet import config, runs, search
from cifarnet.config.search import Axis, Fine, Stage
from cifarnet.data import Dataset
from cifarnet.errors import ConfigError, DataError, RunError
from cifarnet.search import space, trials, workers
from cifarnet.search.study import Found, design

TINY = (
    "data={source: synthetic, limit: 60, dims: 8}",
    "network.hidden=[5]",
    "training={batch_size: 20, schedule: {eta_max: 0.5}}",
    "search.coarse={trials: 4, n_s: 3, cycles: 1}",
    "search.fine={trials: 3, n_s: 3, cycles: 2}",
    "search.final={train: [1], validation: 100, n_s: 3}",
)
LAMBDA = "training.lambda"


@pytest.fixture
def toy_data(toy, monkeypatch):
    """60 images that every trial trains and validates on, whatever the settings say."""
    made = Dataset(toy, toy, np.zeros(8), np.ones(8), tuple("abcdefghij"), "f" * 64, "synthetic", {}, None)
    monkeypatch.setattr(trials, "_load", lambda *_: made)
    return made


@pytest.fixture
def run_search(toy_data, tmp_path):
    """Run a search in this process; the run folder and what was found."""

    def call(*overrides, stage="coarse", general=False, earlier=None, jobs=2, fail_fast=False):
        settings = config.load(None, (*TINY, *overrides), label="tiny")
        found = Found(design(settings, stage, general=general, earlier=earlier), [])
        run = search.start(found.study, toy_data, tmp_path / "runs", earlier)
        with search.local(jobs, 1, toy_data.fingerprint, None) as workers:
            for _ in search.execute(found, run, workers, fail_fast=fail_fast):
                pass
        return run.path, found

    return call


def rows(path):
    """trials.csv without the seconds, in the order of the indices."""
    with (path / "trials.csv").open() as file:
        table = [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]
    return sorted(table, key=lambda row: (int(row["index"]), int(row["seed"])))


def lambdas(*overrides, stage="coarse", earlier=None):
    study = design(config.load(None, (*TINY, *overrides)), stage, general=False, earlier=earlier)
    return [trial.values[LAMBDA] for trial in study.trials]


@pytest.mark.parametrize("sampling", ["uniform", "halton"])
def test_lambda_of_a_trial_depends_on_seed_and_index_alone(sampling):
    """Twice as many trials begin with the same ones; another seed has others; all are within the range."""
    few = lambdas("search.coarse.trials=5", f"search.coarse.sampling={sampling}")
    many = lambdas("search.coarse.trials=10", f"search.coarse.sampling={sampling}")
    assert many[:5] == few
    assert not set(lambdas("seed=1", f"search.coarse.sampling={sampling}")) & set(many)
    assert all(1e-5 <= lam <= 1e-1 for lam in many)


def test_uniform_is_uniform_in_the_exponent():
    """Of 2,000 lambdas about as many are in each decade of four."""
    places = np.log10([10 ** (-5 + 4 * u) for (u,) in points(2000, "uniform")])
    assert np.histogram(places, 4, (-5, -1))[0] == pytest.approx([500] * 4, abs=80)


def points(trials, sampling, axes=1, seed=0):
    names = {f"x{i}": Axis(linear=(0.0, 1.0)) for i in range(axes)}
    return list(space.points(names, Stage(trials=trials, sampling=sampling), "coarse", seed))


def test_halton_mirrors_the_digits_of_the_index():
    """Indices 1 to 6 in base 2 and 3, from Halton's paper; shifted, 16 points have one in each sixteenth."""
    assert [space.inverse(i, 2) for i in range(1, 7)] == [1 / 2, 1 / 4, 3 / 4, 1 / 8, 5 / 8, 3 / 8]
    assert [space.inverse(i, 3) for i in range(1, 4)] == pytest.approx([1 / 3, 2 / 3, 1 / 9])
    for seed in range(5):
        gaps = np.diff(sorted(u for (u,) in points(16, "halton", seed=seed)))
        assert gaps == pytest.approx([1 / 16] * 15)


def test_a_grid_has_its_ends_and_even_steps():
    """5 values from -5 to -1: one each power of ten. One value is in the middle."""
    assert lambdas("search.coarse.trials=5", "search.coarse.sampling=grid") == pytest.approx(
        [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]
    )
    assert lambdas("search.coarse.trials=1", "search.coarse.sampling=grid") == pytest.approx([1e-3])


def test_listed_values_are_tried_as_they_are():
    """An explicit list is the trials, in its order, 0 included, whatever trials says."""
    assert lambdas("search.coarse.values=[0.01, 0, 0.001]") == [0.01, 0, 0.001]


def test_a_grid_over_several_settings_is_their_product():
    """A list of three and an interval in 12 trials: four values of the interval each."""
    grid = {"a": Axis(values=(1, 2, 3)), "b": Axis(linear=(0.0, 3.0))}
    found = list(space.points(grid, Stage(trials=13, sampling="grid"), "coarse", 0))
    values = [tuple(space.at(axis, u) for axis, u in zip(grid.values(), p, strict=True)) for p in found]
    assert values == list(itertools.product((1, 2, 3), (0, 1, 2, 3)))
    with pytest.raises(ConfigError, match="a grid of these lists has 3 points and more; raise trials, now 2"):
        space.points(grid, Stage(trials=2, sampling="grid"), "coarse", 0)


@pytest.mark.parametrize(
    ("fine", "expected"),
    [
        ("best 3", (-3.25, -1.75)),  # spanned by -3, -2.5 and -2; 8 trials in 4: half of 0.5 on both sides
        ("best 1", (-2.75, -2.25)),
        ("between best two", (-3, -2.5)),
        ("best 9", (-5, -1)),
    ],
)
def test_the_fine_range_is_around_the_best(fine, expected):
    """By hand: the best at l = -2.5, -3, -2, -1, -5 of eight trials between -5 and -1."""
    ranked = [{LAMBDA: 10.0**exponent} for exponent in (-2.5, -3, -2, -1, -5)]
    narrowed = space.narrow({LAMBDA: Axis(log10=(-5, -1))}, Fine(range=fine), ranked, 8)
    assert narrowed[LAMBDA].log10 == pytest.approx(expected)


def test_a_fine_search_needs_enough_finished_trials():
    """The message says how many there are."""
    with pytest.raises(RunError, match="1 finished trials are too few for a fine search of range between best two"):
        space.narrow({LAMBDA: Axis(log10=(-5, -1))}, Fine(range="between best two"), [{LAMBDA: 0.1}], 8)


def test_a_search_writes_a_row_a_trial_and_the_best(run_search):
    """Every column of every trial, the ranking, best.yaml with the best lambda, the figure; the status."""
    path, found = run_search()
    table = rows(path)
    assert [int(row["index"]) for row in table] == [0, 1, 2, 3]
    assert list(table[0]) == [
        "index", "seed", "lambda",
        "cycles", "best_validation_accuracy", "validation_accuracy", "validation_loss", "status",
    ]  # fmt: skip
    assert {row["status"] for row in table} == {"completed"}
    assert {row["seed"] for row in table} == {"42"}
    accuracies = [float(row["validation_accuracy"]) for row in table]
    assert [s.accuracy for s in found.standings()] == sorted(accuracies, reverse=True)
    best = config.load(path / "best.yaml")
    assert best.training.lam == float(max(table, key=lambda row: float(row["validation_accuracy"]))["lambda"])
    assert (best.data.validation, best.training.schedule.cycles) == (100, 3)
    assert (path / "figures" / "search.png").is_file()
    assert runs.read_json(path / "run.json")["status"] == "completed"
    assert search.read(path).standings() == found.standings()


def test_a_trial_is_the_same_bytes_for_any_number_of_jobs(run_search):
    """One, two and four side by side, the one with two abreast: the same rows."""
    assert rows(run_search(jobs=1)[0]) == rows(run_search(jobs=2)[0]) == rows(run_search(jobs=4)[0])


@pytest.mark.parametrize(
    ("trials", "jobs", "threads", "sizes"),
    [
        (8, 2, 1, [2, 2, 2, 2]),
        (20, 2, 1, [3, 3, 4, 3, 3, 4]),
        (16, 1, 1, [4, 4, 4, 4]),
        (3, 2, 1, [1, 1, 1]),
        (5, 1, 1, [2, 3]),
        (20, 2, 2, [1] * 20),
        (0, 2, 1, []),
    ],
)
def test_jobs_have_as_many_groups_each(trials, jobs, threads, sizes):
    """Of at most four, two or more for each job; trials on several threads are alone."""
    todo = [(i, config.load(None, [*TINY, f"training.lambda={i / 100}"])) for i in range(trials)]
    groups = workers.groups(todo, jobs, threads)
    assert [len(group) for group in groups] == sizes
    assert [one for group in groups for one in group] == todo


def test_trials_that_differ_in_more_than_eta_and_lambda_are_not_trained_abreast():
    """Here by the seed and the width: a group for each."""
    todo = []
    for i in range(24):
        changes = [f"seed={i % 2}", f"network.hidden=[{5 + i % 3}]", f"training.schedule.eta_max={1 + i}"]
        todo.append((i, config.load(None, [*TINY, *changes])))
    groups = workers.groups(todo, 1, 1)
    assert [sorted({i % 6 for i, _ in group}) for group in groups] == [[k] for k in range(6) for _ in range(2)]
    assert {len(group) for group in groups} == {2}


def test_of_a_group_only_the_one_that_fails_fails(run_search, monkeypatch):
    """Each is then trained alone, and the others have the rows that they would have had."""
    whole, train = rows(run_search()[0]), trials.train_abreast

    def failing(states, data, validation, plans, threads):
        if any(plan.lam == float(whole[1]["lambda"]) for plan in plans):
            raise MemoryError("no room")
        return train(states, data, validation, plans, threads)

    monkeypatch.setattr(trials, "train_abreast", failing)
    path, _ = run_search(jobs=1)
    table = rows(path)
    assert [row["status"] for row in table] == ["completed", "failed", "completed", "completed"]
    assert [table[i] for i in (0, 2, 3)] == [whole[i] for i in (0, 2, 3)]
    assert "trial 1, seed 42: MemoryError: no room" in (path / "log.txt").read_text()


def test_fine_goes_on_from_coarse(run_search):
    """The earlier best is trained again first; the others are within the narrower range; the figure has both."""
    coarse_path, coarse = run_search()
    path, fine = run_search(stage="fine", earlier=search.read(coarse_path))
    values = [trial.values[LAMBDA] for trial in fine.study.trials]
    assert len(values) == 3
    assert values[0] == coarse.standings()[0].values[LAMBDA]
    low, high = fine.study.space[LAMBDA].log10
    assert -5 <= low < high <= -1
    assert all(low <= np.log10(lam) <= high for lam in values)
    assert fine.study.trial_settings(fine.study.trials[0]).training.schedule.cycles == 2
    svg = (path / "figures" / "search.svg").read_text()
    assert "coarse" in svg and "fine" in svg and "best" in svg


def test_seeds_are_ranked_by_their_mean_and_show_the_spread(run_search):
    """Three seeds a trial: a row each, the mean and the standard deviation of their accuracies."""
    path, found = run_search("search.coarse.seeds=3", "search.coarse.trials=2")
    table = rows(path)
    assert [(row["index"], row["seed"]) for row in table] == [(i, s) for i in "01" for s in ("42", "43", "44")]
    first = next(s for s in found.standings() if s.index == 0)
    accuracies = [float(row["validation_accuracy"]) for row in table[:3]]
    assert first.accuracy == pytest.approx(np.mean(accuracies))
    assert first.spread == pytest.approx(np.std(accuracies, ddof=1))


def test_any_numbers_are_searched(run_search):
    """Widths and eta bounds by their dotted keys: whole numbers where they are, and best.yaml has them."""
    over = "search.over={network.hidden: {linear: [2, 6]}, training.schedule.eta_max: {log10: [-2, 0]}}"
    path, found = run_search(over, general=True)
    table = rows(path)
    assert all(2 <= int(row["hidden"]) <= 6 for row in table)
    best = found.standings()[0].values
    settings = config.load(path / "best.yaml")
    assert settings.network.hidden == (best["network.hidden"],)
    assert settings.training.schedule.eta_max == best["training.schedule.eta_max"]
    _, fine = run_search(stage="fine", general=True, earlier=search.read(path))
    assert set(fine.study.space) == {"network.hidden", "training.schedule.eta_max"}


def test_cycles_are_searched_like_any_number(run_search):
    """Their column does not hide how long each trial was trained."""
    path, _ = run_search("search.over.training.schedule.cycles.values=[1, 2]", general=True)
    assert [(row["training.schedule.cycles"], row["cycles"]) for row in rows(path)] == [("1", "1"), ("2", "2")]


@pytest.mark.parametrize(
    ("overrides", "general", "message"),
    [
        (["search.coarse={l_min: -1, l_max: -5}"], False, r"search\.coarse\.l_min = -1.*must be at most l_max"),
        (["search.coarse.trials=0"], False, r"search\.coarse\.trials = 0: must be at least 1"),
        (["search.coarse.sampling=sobol"], False, "must be uniform, grid or halton"),
        (["search.over.training.lamda.values=[1]"], True, r"training\.lamda.*did you mean"),
        (["search.over.label.values=[1]"], True, "label = 1: must be text"),
        (
            ["search.over.network.hidden={values: [1], linear: [1, 2]}"],
            True,
            "must have one of log10, linear and values",
        ),
        (["search.over.seed.values=[1, 2]"], True, "seed: take search.coarse.seeds instead"),
        ([], True, r"search\.over = \{\}"),
        (["search.final.validation=10000"], False, r"data\.validation = 10000: must be below 10000"),
        (["search.over.training.batch_size.values=[50, 5000]"], True, "training.batch_size = 5000: must be at most 60"),
    ],
)
def test_wrong_settings_are_told_before_anything_runs(overrides, general, message):
    """The message names the key."""
    with pytest.raises(ConfigError, match=message):
        design(config.load(None, (*TINY, *overrides)), "coarse", general=general)


def test_a_search_without_cycles_is_refused():
    """Any schedule but the cyclic one."""
    with pytest.raises(ConfigError, match=r"training\.schedule\.kind = constant: a search trains in cycles"):
        design(config.load(None, ["training.schedule.kind=constant"]), "coarse", general=False)


def test_a_fine_search_of_nothing_is_an_error():
    """Without an earlier search it needs a range of its own, and with one it runs."""
    with pytest.raises(ConfigError, match="give --from RUN, or l_min and l_max"):
        lambdas(stage="fine")
    assert len(lambdas("search.fine={l_min: -3, l_max: -2}", stage="fine")) == 3


def test_what_is_no_search_is_refused(tmp_path):
    """A folder of another kind."""
    run = runs.create(tmp_path, "train", "x", "")
    with pytest.raises(RunError, match="this is no search but a run of kind train"):
        search.read(run.path)


def test_a_diverged_trial_is_recorded_and_stops_nothing(run_search):
    """The other trials are ranked; its row has a status and no figures; log.txt says why."""
    path, found = run_search("search.over.training.schedule.eta_max.values=[0.1, 1e30]", general=True)
    table = rows(path)
    assert [row["status"] for row in table] == ["completed", "diverged"]
    assert table[1]["validation_accuracy"] == ""
    assert found.ended("diverged") == [1]
    assert [s.index for s in found.standings()] == [0]
    assert "trial 1, seed 42: diverged: " in (path / "log.txt").read_text()


def test_a_diverged_trial_of_a_group_is_told_before_the_others_end(run_search, toy_data):
    """It pauses them: they go on from there, and end as if it had not been with them."""
    etas = "search.over.training.schedule.eta_max.values=[0.1, 1e30, 0.2, 0.3]"
    settings = config.load(None, (*TINY, etas), label="tiny")
    found = Found(design(settings, "coarse", general=True), [])
    group = [found.study.trial_settings(trial) for trial in found.study.trials]
    first = trials.run(group, 1, toy_data.fingerprint)
    assert [outcome.status for outcome in first] == ["paused", "diverged", "paused", "paused"]
    path, _ = run_search(etas, general=True, jobs=1)
    alone, _ = run_search(etas.replace(" 1e30,", ""), general=True, jobs=4)
    assert [row["status"] for row in rows(path)] == ["completed", "diverged", "completed", "completed"]
    values = [[(row["eta_max"], row["validation_loss"]) for row in rows(found)] for found in (path, alone)]
    assert [value for value in values[0] if value[0] != "1e+30"] == values[1]


def test_fail_fast_stops_at_the_first(run_search, tmp_path):
    """The error names the trial; the run is marked failed."""
    with pytest.raises(RunError, match="trial 0 diverged, and --fail-fast was given"):
        run_search("search.over.training.schedule.eta_max.values=[1e30, 0.1]", general=True, jobs=1, fail_fast=True)
    assert runs.read_json(runs.find("latest", tmp_path / "runs") / "run.json")["status"] == "failed"


def test_fail_fast_stops_at_the_first_of_a_group(run_search, tmp_path):
    """One abreast of another has diverged: its row is written, the other's, which was paused, is not."""
    etas = "search.over.training.schedule.eta_max.values=[0.1, 1e30, 0.2, 0.3]"
    with pytest.raises(RunError, match="trial 1 diverged, and --fail-fast was given"):
        run_search(etas, general=True, jobs=1, fail_fast=True)
    written = {row["index"]: row["status"] for row in rows(runs.find("latest", tmp_path / "runs"))}
    assert written["1"] == "diverged"
    assert "0" not in written


def test_other_images_are_no_fault_of_a_trial(toy_data):
    """A fingerprint that differs is an error for the search, not an outcome."""
    with pytest.raises(DataError, match="fingerprint ffffffffffff, those of the search 000000000000"):
        trials.run([config.load(None, TINY)], 1, "0" * 64)


def resumed(path, toy_data, *, retry_failed=False):
    found, run = search.reopen(path, toy_data, retry_failed=retry_failed)
    with search.local(2, 1, toy_data.fingerprint, None) as workers:
        ended = [end[0].index for end in search.execute(found, run, workers, fail_fast=False) if end]
    return sorted(ended)


@pytest.mark.parametrize("after", [1, 2, 3])
def test_an_interrupted_search_resumes_to_the_same_result(run_search, toy_data, tmp_path, after):
    """Left after some trials, the run is interrupted; resumed, rows and best.yaml are those of a whole search."""
    whole, _ = run_search()
    found = Found(design(config.load(None, TINY, label="tiny"), "coarse", general=False), [])
    run = search.start(found.study, toy_data, tmp_path / "runs", None)
    with search.local(1, 1, toy_data.fingerprint, None) as workers:
        going = search.execute(found, run, workers, fail_fast=False)
        for _ in zip(range(after), filter(None, going), strict=False):
            pass
        going.close()
    assert runs.read_json(run.path / "run.json")["status"] == "interrupted"
    left = len(found.missing())
    assert len(resumed(run.path, toy_data)) == left <= 4 - after
    assert rows(run.path) == rows(whole)
    assert (run.path / "best.yaml").read_bytes() == (whole / "best.yaml").read_bytes()


def test_a_row_cut_short_is_run_again(run_search, toy_data):
    """trials.csv ends in the middle of a row, or of its header: resumed, it is whole, nothing lost or doubled."""
    path, _ = run_search()
    expected, text = rows(path), (path / "trials.csv").read_text()
    for cut in (5, len(text) // 2, len(text) - 1):
        (path / "trials.csv").write_text(text[:cut])
        resumed(path, toy_data)
        assert rows(path) == expected


def test_failed_trials_are_retried_on_request(run_search, toy_data, monkeypatch):
    """A trial that fails for a passing reason is left as it is by a resume, and run again with retry_failed."""
    whole, _ = run_search()
    true = trials.train_abreast
    monkeypatch.setattr(trials, "train_abreast", lambda *_: (_ for _ in ()).throw(MemoryError("no memory")))
    path, found = run_search()
    assert found.ended("failed") == [0, 1, 2, 3]
    assert not (path / "best.yaml").exists()
    monkeypatch.setattr(trials, "train_abreast", true)
    assert resumed(path, toy_data) == []
    assert resumed(path, toy_data, retry_failed=True) == [0, 1, 2, 3]
    assert rows(path) == rows(whole)


HALVING = ("search.coarse={trials: 5, cycles: 3, halving: 2, sampling: grid}",)


def test_halving_stops_the_worst_after_each_cycle(run_search):
    """Five trials, three cycles: 3 go on after the first, 2 after the second; those have the rows of a whole search."""
    whole, stopped = rows(run_search(*HALVING, "search.coarse.halving=null")[0]), rows(run_search(*HALVING)[0])
    assert sorted(row["cycles"] for row in stopped) == ["1", "1", "2", "3", "3"]
    assert [row for row in stopped if row["status"] == "completed"] == [
        whole[int(row["index"])] for row in stopped if row["status"] == "completed"
    ]
    assert {row["status"] for row in stopped if row["cycles"] != "3"} == {"stopped"}


def test_a_halving_search_is_the_same_abreast(run_search):
    """Groups of four, then of those that are left, beside one that diverges: the rows of trials that are alone."""
    etas = "search.over.training.schedule.eta_max.values=[0.1, 1e30, 0.2, 0.3, 0.05, 0.4, 0.15, 0.25]"
    abreast, alone = (
        rows(run_search(etas, "search.coarse={cycles: 3, halving: 2}", general=True, jobs=jobs)[0]) for jobs in (1, 8)
    )
    assert abreast == alone
    assert sorted(row["status"] for row in alone) == ["completed"] * 2 + ["diverged"] + ["stopped"] * 5


@pytest.mark.parametrize("rows_left", range(5))
def test_a_halving_search_resumes_to_the_same_result(run_search, toy_data, rows_left):
    """Whatever rows were written, those that are missing become the same."""
    path, _ = run_search(*HALVING)
    expected, lines = rows(path), (path / "trials.csv").read_text().splitlines(keepends=True)
    (path / "trials.csv").write_text("".join(lines[: rows_left + 1]))
    resumed(path, toy_data)
    assert rows(path) == expected


def test_halving_keeps_one_in_so_many(run_search):
    """Ten trials of three seeds, one in three: 4 go on after a cycle and 2 after two, with all their seeds."""
    path, _ = run_search("search.coarse={trials: 10, cycles: 3, halving: 3, seeds: 3}")
    cycles = [row["cycles"] for row in rows(path)]
    assert [cycles.count(c) for c in "123"] == [3 * 6, 3 * 2, 3 * 2]
