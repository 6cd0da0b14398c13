"""Verdicts on numbers follow one rule, which errs as often as it says."""

import math
from statistics import stdev

import numpy as np
import pytest
from scipy import stats

from cifarnet import config
from cifarnet.statistics import inference as statistics
from cifarnet.studies.printed import Reported
from cifarnet.verdicts import compare


def one(study, values, text="46 %", others=(), exhibit=None, row=None, official=True, **number):
    """Compare a number with our values of its row, and with those of other rows of its exhibit."""
    exhibit = exhibit or study.exhibits[1]
    row = row or exhibit.rows[0]
    reported = Reported(text=text, **({"measure": "test_accuracy"} | number))
    names = [r.id for r in exhibit.rows if r.id != row.id]
    given = {row.id: values} | {name: [] for name in names} | dict(zip(names, others, strict=False))
    results = {name: [{reported.measure: value} for value in column] for name, column in given.items()}
    return compare.compare(study, exhibit, row, reported, results, official=official)


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
    assert (alone.df, alone.std) == (2, pytest.approx(0.001))
    pooled = statistics.spread([steady, other])
    variances = [0.001**2, stdev(other) ** 2]
    assert (pooled.df, pooled.std) == (4, pytest.approx(math.sqrt(sum(variances) / 2)))
    assert statistics.spread([steady, [v + 0.1 for v in steady], steady]).df == 4  # one network, recorded in two ways
    many = [[0.46 + 0.0001 * k for k in range(9)], [0.1 * k for k in range(9)]]
    assert statistics.spread(many).df == 8
    assert statistics.spread([[0.0, 1.0], [2.0, 3.0]]).df == 1  # two values a row cannot be tested
    assert one(study, steady, others=[other]).high < one(study, steady).high
    assert one(study, steady, others=[wild]).n == 3


def test_levene_decides_at_five_per_cent():
    """Deviations that differ by chance with probability .06 are pooled, with .04 not."""
    base = [-3.0, -1, 0, 1, 3, -2, 2, 0.5, -0.5]
    for factor, p in (2.29, 0.06), (2.57, 0.04):
        other = [factor * value for value in base]
        assert stats.levene(base, other).pvalue == pytest.approx(p, abs=0.002)
        assert statistics.spread([base, other]).df == (16 if p > 0.05 else 8)


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


def test_other_readings_do_not_widen_the_interval(study):
    """They are no row of the exhibit: neither pooled, nor trials of its search."""
    exhibit = study.exhibits[1]
    other = exhibit.rows[1].model_copy(update={"alternative": "otherwise"})
    changed = exhibit.model_copy(update={"rows": (exhibit.rows[0], other)})
    assert one(study, [0.459, 0.460, 0.461], others=[[0.3, 0.301, 0.302]], exhibit=changed).high == (
        one(study, [0.459, 0.460, 0.461]).high
    )
    assert compare.trials(changed) == (1, 1)
    fifth = (Reported(text="51 %", measure="test_accuracy", best=5),)
    rows = (exhibit.rows[0].model_copy(update={"reported": fifth}), other)
    assert compare.trials(exhibit.model_copy(update={"rows": rows})) == (5, 5)  # there are at least as many


def test_trainings_that_diverged_are_counted(study):
    """None has no number to compare with; of some, the reason says how many are left out."""
    exhibit, name = study.exhibits[1], study.exhibits[1].rows[0].name
    number = Reported(text="46 %", measure="test_accuracy")
    row = exhibit.rows[0].model_copy(update={"reported": (number,)})
    alone = study.model_copy(update={"exhibits": (exhibit.model_copy(update={"rows": (row,)}),)})
    ended = [{"test_accuracy": accuracy} for accuracy in (0.459, 0.46, 0.461)]
    lost = {"seconds": 1.0}
    for found, said in ([lost, lost, {}], "none of its 2 trainings"), ([*ended, lost], "1 of 4 trainings diverged"):
        (entry,) = (e for e in compare.entries(alone, {name: found}.__getitem__) if e.text == "46 %")
        assert said in entry.reason
