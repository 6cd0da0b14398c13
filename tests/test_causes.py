"""What a diagnosis tries for numbers that differ, how it ranks it, and when it stops."""

import math

import numpy as np
import pytest

from cifarnet import config
from cifarnet.causes import Number, Problem
from cifarnet.causes.answer import assessments
from cifarnet.causes.candidates import STATED, candidates, pair
from cifarnet.causes.numbers import first_step, measured, shortened
from cifarnet.causes.stages import MOST, Stages
from tests.common import changed


def test_what_is_tried_changes_something_and_contradicts_nothing():
    found = candidates({"row": config.load("figure-3")}, [Number("row", "test_accuracy", 0.46, 5e-5)])
    names = [c.name for c in found]
    assert names[0] == STATED
    assert {"l2_per_batch", "inputs only centred", "images not shuffled", "initial weights of 1"} < set(names)
    assert {"initial W2 of 0.1", "lambda times 0.1", "eta times 10", "cycles_as_epochs"} < set(names)
    assert {"n_s times 0.5", "n_s times 2", "one cycle more", "trained on all batches"} < set(names)
    assert not {"last_batch", "best_cycle", "statistics_of_file", "images shuffled", "one cycle fewer"} & set(names)
    assert "epochs_by_batch_size" not in names  # an epoch of 10,000 images has as many updates as a batch images
    many = config.load("figure-3", ["data={train: all, validation: 5000}"])
    assert {"epochs_by_batch_size", "trained on one batch"} < {c.name for c in candidates({"row": many}, [])}
    few = config.load("figure-3", ["data.limit=500"])
    assert "trained on all batches" not in {c.name for c in candidates({"row": few}, [])}
    numbers = [Number("row", "validation_accuracy", 0.37, 5e-5)]
    one_layer = [c.name for c in candidates({"row": config.load("assignment-1")}, numbers)]
    assert not {"relu_unmasked", "l2_missing", "same_order", "one_statistic", "validation_as_test"} & set(one_layer)


@pytest.mark.parametrize(("validation", "kind"), [(None, "deviation"), (0.4612, "digits"), (0.4613, None)])
def test_a_test_value_may_be_that_of_the_validation_images_if_their_digits_are_the_same(validation, kind):
    numbers = [Number("row", "test_accuracy", 0.4612, 2e-5)]
    numbers += [Number("row", "validation_accuracy", validation, 2e-5)] if validation else []
    found = {c.name: c.kind for c in candidates({"row": config.load("figure-3")}, numbers)}
    assert found.get("validation_as_test") == kind


@pytest.mark.parametrize(("half", "first"), [(5e-5, "validation_as_test"), (5e-3, STATED)])
def test_only_digits_that_chance_does_not_give_speak_for_one_set_of_images(half, first):
    rows = {"": config.load("figure-3")}
    numbers = [Number("", f"{split}_accuracy", 0.5, half) for split in ("test", "validation")]
    stages = made_up(rows, numbers, lambda settings: 0.0)
    assert assessments(stages)[0].candidate.name == first


def test_a_candidate_changes_the_rows_that_it_can_change():
    rows = {"0": config.load("figure-3", ["training.lambda=0"]), "1": config.load("figure-3")}
    found = {c.name: c for c in candidates(rows, [Number(row, "test_accuracy", 0.46, 5e-5) for row in rows])}
    assert found["l2_missing"].rows == {"1": {"deviations.l2_missing": True}}
    assert found["l2_missing"].settings("0", rows["0"], 7) == changed(rows["0"], seed=7)
    assert found["lambda times 10"].rows == {"1": {"training.lambda": 0.1}}
    both = pair(found["l2_missing"], found["biases_fixed"], rows)
    assert both.name == "l2_missing and biases_fixed"
    assert both.rows["0"] == {"deviations.biases_fixed": True}
    assert not pair(found["l2_missing"], found["l2_halved"], rows)


def test_trainings_are_measured_as_their_numbers_need_and_can_be_shortened():
    figure_4 = config.load("figure-4")
    assert measured(figure_4, ["train_cost@100", "train_cost@300"]).evaluation.per_cycle == 16
    assert measured(figure_4, ["train_cost@0", "train_cost@640", "train_cost@1920"]).evaluation.per_cycle == 5
    assert measured(figure_4, ["train_cost@0", "train_cost@777"]).evaluation.per_cycle == 20
    assert measured(figure_4, ["first.train_cost"]).evaluation == figure_4.evaluation
    assert first_step(measured(figure_4, ["test_accuracy"])) == 1600
    assert shortened(figure_4, 300).updates == 300
    assert shortened(config.load("assignment-1"), 300).updates == 300


def made_up(rows, numbers, effect, effort=math.inf, some=slice(None)):
    """The stages of a diagnosis to its end, where every training gives .5 and the effect of its settings.

    Tried are the settings as stated and some of the other candidates: as many as a test needs.
    """
    stated, *others = candidates(rows, numbers)
    stages = Stages(Problem(rows, numbers), [stated, *others[some]], effort=effort)
    while tasks := stages.todo():
        for task in tasks:
            noise = 0.002 * np.random.default_rng([task.settings.seed, len(stages.done)]).standard_normal()
            stages.done[task.key] = dict.fromkeys(stages.problem.columns, 0.5 + effect(task.settings) + noise)
    return stages


def test_few_candidates_are_trained_in_all_rows_of_a_table():
    rows = {str(lam): config.load("figure-3", [f"training.lambda={lam}"]) for lam in (0.001, 0.004, 0.007, 0.03)}
    numbers = [Number(row, "test_accuracy", 0.5 - float(row), 5e-5) for row in rows]
    found = made_up(rows, numbers, lambda s: -s.training.lam * (s.network.init != "xavier"), some=slice(-24, None))
    assert 4 < len(found.finished) <= 1 + MOST < len(found.tried)
    assert found.fits(found.finished[1]) and not found.fits(found.stated)


def test_a_misprint_of_several_numbers_is_a_tenth_as_probable():
    rows = {lam: config.load("figure-3", [f"training.lambda={lam}"]) for lam in ("0.01", "0.1")}
    stages = Stages(Problem(rows, []), candidates(rows, []))
    found = {candidate.name: stages.prior(candidate) for candidate in stages.candidates}
    assert found["lambda times 10"] == pytest.approx(0.1 * found["eta times 10"])


def test_other_images_held_out_move_all_rows_alike():
    """A table that is shifted as a whole is explained as stated, one that goes up and down by as much is not."""
    images = ["data.train=all", "data.validation=5000"]
    rows = {str(lam): config.load("figure-3", [*images, f"training.lambda={lam}"]) for lam in range(4)}
    shifts = {"as a whole": [0.028] * 4, "up and down": [0.015, -0.015, 0.015, -0.015]}
    found = {}
    for name, shift in shifts.items():
        numbers = [Number(row, "validation_accuracy", 0.5 + s, 5e-5) for row, s in zip(rows, shift, strict=True)]
        found[name] = made_up(rows, numbers, lambda s: 0.0, some=slice(5))
    assert found["as a whole"].fits(found["as a whole"].stated)
    p = {name: stages.probability(stages.stated, rows) for name, stages in found.items()}
    assert p["as a whole"] > 0.1 > p["up and down"]
    outside = found["as a whole"]
    assert not any(n["compatible"] for row in rows for n in outside.numbers(outside.stated, row)), "each by itself"


def test_what_a_short_training_measures_decides_what_is_tried_first():
    """Also where the strangest number is one that it does not measure."""
    rows = {"": config.load("figure-3")}
    numbers = [Number("", "first.train_cost", 0.9, 5e-4), Number("", "test_accuracy", 0.46, 5e-5)]
    effects = {"relu_unmasked": -0.04, "biases_fixed": -0.1, "gradient_summed": 0.1}
    found = made_up(rows, numbers, lambda s: sum(effects.get(name, 0.0) for name in s.deviations.on("update")), 1e12)
    assert found.strangest[0] == "test_accuracy"
    assert found.screened[0].name == "relu_unmasked"
