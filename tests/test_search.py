"""A search lays out its trials: where they are, what the final training is, and which of them is best."""

import itertools

import numpy as np
import pytest

from cifarnet import config
from cifarnet.config.search import Axis, Fine, Stage
from cifarnet.errors import ConfigError, RunError
from cifarnet.search import design, space
from tests.searches import LAMBDA, laid_out, lambdas, settings


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
    found = lambdas("search.fine={l_min: -3, l_max: -2}", stage="fine")
    assert found[:2] == [0.00750588785194786, 0.0013533399124990675]


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
    for sampling, count in ("uniform", 2), ("grid", 6):  # lists are tried in full
        assert len(list(space.points(lists, Stage(trials=2, sampling=sampling), "coarse", 0))) == count
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
        ("search.over.training.lamda.values=[1]", True, r"training\.lamda.*did you mean"),
        ("search.over.label.values=[1]", True, "label = 1: must be text"),
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


@pytest.mark.parametrize(
    ("seeds", "ends", "ranked"),
    [  # (index, status, final accuracy, the best on the way): the final one ranks, and of equal ones the first is best
        (1, [(0, "completed", 0.4, 0.9), (1, "completed", 0.5, 0.5), (2, "completed", 0.5, 0.6)], [1, 2, 0]),
        (1, [(0, "completed", 0.4, 0.4), (3, "stopped", 0.9, 0.9)], [0]),
        (3, [(0, "diverged", 0, 0), (0, "failed", 0, 0), (0, "completed", 0.5, 0.5), *[(1, "completed", 0.4, 0.4)] * 3],
         [1, 0]),
    ],
)  # fmt: skip
def test_completed_trials_are_ranked_by_the_accuracy_at_their_end(seeds, ends, ranked):
    """One that diverged or failed with some of its seeds is behind the others, and has the worst of their ends."""
    study = laid_out(f"search.coarse.seeds={seeds}")
    for index, status, accuracy, best in ends:
        row = {"index": str(index), "seed": str(42 + len(study.rows) % seeds), "status": status, "validation_loss": "1"}
        study.rows.append(row | {"validation_accuracy": str(accuracy), "best_validation_accuracy": str(best)})
    assert [trial["index"] for trial in study.standings()] == ranked
    assert study.summaries()[0]["status"] == ("completed" if seeds == 1 else "failed")
