"""Verdicts on claims, curves and class templates err as often as they say."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from cifarnet import reports
from cifarnet.errors import ConfigError, RunError
from cifarnet.reports import jobs
from cifarnet.statistics import inference as statistics
from cifarnet.studies.figures import read_templates
from cifarnet.verdicts import claims, curves
from cifarnet.verdicts.words import gap
from tests.seventh import curve, recorded


def claimed(study, expect, columns, **claim):
    """Test a claim on rows of other networks, by their values seed by seed."""
    rows = ["runs/small", "runs/sample-1", "templates/one", "gradient/first"][: len(columns)]
    claim = study.claims[0].model_copy(update={"expect": expect, "rows": tuple(rows)} | claim)
    results = dict(zip(rows, columns, strict=True))
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


def test_a_claim_over_gradient_checks_is_of_the_worst_error_of_their_first_method(study):
    """By the name that the results of a check have for it."""
    found = {"gradient/first": [3e-7, 4e-7, 3.5e-7], "gradient/other": [1e-7, 1.1e-7, 0.9e-7]}
    exhibit = study.exhibits[0]
    check = exhibit.rows[0].check.model_copy(update={"step": 1e-5})
    rows = (*exhibit.rows, exhibit.rows[0].model_copy(update={"id": "other", "check": check}))
    both = study.model_copy(update={"exhibits": (exhibit.model_copy(update={"rows": rows}),)})
    claim = study.claims[0].model_copy(
        update={"expect": "first highest", "measure": "max_absolute_error", "rows": tuple(found)}
    )
    tested = claims.test(both, claim, lambda name: [{"forward.all.max_absolute_error": v} for v in found[name]])
    assert claims.decide([tested])[0].verdict == "holds"
    assert (gap(tested.difference, claim.measure), gap(-2.5, "seconds")) == ("+2.5e-07".replace("-", "−"), "−2.5 s")


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
