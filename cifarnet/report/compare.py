"""The comparison: every number that a report prints beside ours, with a verdict by one stated rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import mean, stdev
from typing import Literal, NamedTuple

from cifarnet.report.numbers import Number, Reported, resolution
from cifarnet.report.studies import Claim, Exhibit, Row, Study

Verdict = Literal["agrees", "differs", "cannot be compared", "setting", "not run"]
ClaimVerdict = Literal["holds", "does not hold", "undecided", "not run", "cannot be compared"]
FLOOR = {"accuracy": 0.01, "cost": 0.05, "loss": 0.05}  # one percentage point; 0.05 of a cost, which starts near 2.3
ORDER = 10  # a numerical error varies with the images and weights; another order of magnitude would be news
ROUNDING = 1e-12  # of 0.46 - 0.45, which is no more than a point
ALIKE = 0.01  # "more or less the same" of accuracies: within a percentage point

Results = Callable[
    [str], Sequence[Mapping[str, float]]
]  # a row's name (study/exhibit/row) -> a mapping of measures a seed


class Entry(NamedTuple):
    """One line of numbers.csv."""

    report: str
    exhibit: str
    row: str
    place: str
    quantity: str
    text: str
    reported: float
    mean: float
    std: float
    n: int
    difference: float
    tolerance: float
    verdict: Verdict
    reason: str

    @property
    def is_accuracy(self) -> bool:
        return "accuracy" in self.quantity


class Tested(NamedTuple):
    """A claim, the paired differences that it was tested with, and its verdict."""

    claim: Claim
    rival: str
    difference: float
    error: float
    n: int
    verdict: ClaimVerdict


def measured_name(number: Reported, row: Row) -> str:
    """The measure's name in the results of a training or gradient check."""
    if row.check:
        return ".".join([number.method or row.check.methods[0], number.parameter or "all", number.measure])
    return ("first." if number.at == "first" else "") + number.measure


def entries(study: Study, results: Results, incomparable: str = "") -> Iterator[Entry]:
    """Every number of a report; ``incomparable`` is why none can be compared: synthetic data, or shorter trainings."""
    for exhibit in study.exhibits:
        for key, printed in exhibit.stated.items():
            yield from (stated(study, exhibit, None, key, text) for text in printed)
        for row in exhibit.rows:
            found = results(f"{study.id}/{exhibit.id}/{row.id}")
            for key, printed in row.stated.items():
                yield from (stated(study, exhibit, row, key, text) for text in printed)
            for number in row.reported:
                values = [m[name] for m in found if math.isfinite(m.get(name := measured_name(number, row), math.nan))]
                yield compare(study, exhibit, row, number, values, incomparable)
        for remark in exhibit.other:
            yield entry(study, exhibit, None, remark, remark.what, "cannot be compared", remark.reason)


def entry(
    study: Study, exhibit: Exhibit, row: Row | None, number: Number, what: str, verdict: Verdict, reason: str
) -> Entry:
    place = number.place or (row and row.place) or exhibit.place
    nothing = math.nan
    return Entry(study.id, exhibit.id, row.id if row else "", place, what, number.text, number.quantity,
                 nothing, nothing, 0, nothing, nothing, verdict, reason)  # fmt: skip


def stated(study: Study, exhibit: Exhibit, row: Row | None, key: str, text: str) -> Entry:
    return entry(study, exhibit, row, Number(text=text), key, "setting", "the training here has it")


def compare(
    study: Study, exhibit: Exhibit, row: Row, number: Reported, values: Sequence[float], incomparable: str
) -> Entry:
    """One reported result beside ours."""
    what = " ".join(filter(None, ["first" if number.at == "first" else "", number.measure.replace("_", " "),
                                  number.parameter or "", number.method or ""]))  # fmt: skip
    reason = number.reason or ("no number to compare with" if math.isnan(number.quantity) else incomparable)
    blank = entry(study, exhibit, row, number, what, "cannot be compared", reason)
    if not values:
        return blank if blank.reason else blank._replace(verdict="not run", reason="no record of this training yet")
    ours, spread = mean(values), stdev(values) if len(values) > 1 else math.nan
    filled = blank._replace(mean=ours, std=spread, n=len(values), difference=ours - number.quantity)
    if blank.reason:
        return filled
    low, high = limits(number, 0 if math.isnan(spread) else spread)
    agrees = low <= ours <= high
    explanation = "" if agrees else number.explanation or exhibit.explanation
    return filled._replace(
        tolerance=high - number.quantity, verdict="agrees" if agrees else "differs", reason=explanation
    )


def limits(number: Reported, spread: float) -> tuple[float, float]:
    """Between which values ours agrees with the reported number: the stated rule."""
    q, kind = number.quantity, number.measure.rpartition("_")[2]
    if kind == "error":
        return 0.0, q if number.bound else ORDER * q
    allowed = max(FLOOR[kind], 3 * spread, resolution(number.text)) + ROUNDING
    return q - allowed, q + allowed


def test(study: Study, claim: Claim, results: Results, incomparable: str = "") -> Tested:
    """Test a claim with the seeds that all its rows have: the first row against the strongest of the others.

    It holds where the mean difference has the claimed sign and is larger than twice its standard error; it does not
    where the sign is the other one or there is no difference; between them it is undecided. For one seed the sign alone
    decides.
    """
    columns = [[m.get(claim.measure, math.nan) for m in results(f"{study.id}/{name}")] for name in claim.rows]
    n = min(map(len, columns))
    sign = -1 if claim.expect == "first lowest" else 1
    first, *others = [[sign * value for value in column[:n]] for column in columns]
    if not n or any(math.isnan(value) for column in [first, *others] for value in column):
        return Tested(claim, "", math.nan, math.nan, 0, "not run")
    if claim.expect == "alike":
        rival = max(range(len(others)), key=lambda i: abs(mean(others[i]) - mean(first)))
    else:
        rival = max(range(len(others)), key=lambda i: mean(others[i]))
    differences = [a - b for a, b in zip(first, others[rival], strict=True)]
    error = stdev(differences) / math.sqrt(n) if n > 1 else math.nan
    tested = Tested(claim, claim.rows[rival + 1], sign * mean(differences), error, n, "cannot be compared")
    return tested if incomparable else tested._replace(verdict=judge(claim, mean(differences), error))


def judge(claim: Claim, difference: float, error: float) -> ClaimVerdict:
    margin = 0 if math.isnan(error) else 2 * error
    if claim.expect == "alike":
        return (
            "holds"
            if abs(difference) <= ALIKE
            else "does not hold"
            if abs(difference) - margin > ALIKE
            else "undecided"
        )
    return "does not hold" if difference <= 0 else "holds" if difference > margin else "undecided"


class Count(NamedTuple):
    """How many numbers were compared, and with what outcome."""

    agrees: int
    differs: int
    incomparable: int
    not_run: int
    settings: int


def count(found: Sequence[Entry]) -> Count:
    verdicts = [e.verdict for e in found]
    names: tuple[Verdict, ...] = ("agrees", "differs", "cannot be compared", "not run", "setting")
    return Count(*(verdicts.count(name) for name in names))
