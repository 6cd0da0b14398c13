"""The comparison: every number that a report prints beside ours, with a verdict by one stated rule."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import mean, stdev
from typing import Any, Literal, NamedTuple

import numpy as np

from cifarnet.config import BATCH_IMAGES, Settings
from cifarnet.statistics import inference as statistics
from cifarnet.studies.printed import Number, Reported
from cifarnet.studies.spec import Exhibit, Row, Study
from cifarnet.verdicts import curves

Verdict = Literal["compatible", "incompatible", "not decidable", "cannot be compared", "setting", "not run"]
# The widest interval that decides anything: 5 percentage points, 0.2 of a cost that starts near 2.3, a factor of 100 of
# an error, which is compared by its power of ten. What lies outside a wider one is incompatible all the same.
USEFUL = {"accuracy": 0.05, "cost": 0.2, "loss": 0.2, "error": 2.0}
TINY = 1e-30  # an error of 0 has no power of ten
COUNTED: dict[str, Verdict] = {
    "compatible": "compatible", "incompatible": "incompatible", "not_decidable": "not decidable",
    "incomparable": "cannot be compared", "not_run": "not run", "settings": "setting",
}  # fmt: skip

Measured = Sequence[Mapping[str, float]]  # the measures of each seed
Results = Callable[[str], Measured]  # of a row of a study, EXHIBIT/ROW
Values = Mapping[str, Sequence[float]]  # ours of every row of an exhibit, one a seed


class Entry(NamedTuple):
    """One line of numbers.csv; ``low`` and ``high`` are where 95 % of further trainings lie."""

    report: str
    exhibit: str
    row: str
    place: str
    quantity: str
    text: str
    reported: float
    mean: float = math.nan
    std: float = math.nan
    n: int = 0
    low: float = math.nan
    high: float = math.nan
    difference: float = math.nan
    verdict: Verdict = "cannot be compared"
    reason: str = ""
    basis: str = ""  # the least firm thing that the training rests on
    counts: bool = True  # not where it repeats another measurement, or is under another reading

    @property
    def name(self) -> str:
        """STUDY/EXHIBIT/ROW QUANTITY, as causes.json has it."""
        return f"{self.report}/{self.exhibit}/{self.row} {self.quantity}"

    @property
    def is_result(self) -> bool:
        return self.verdict != "setting"

    @property
    def is_accuracy(self) -> bool:
        return "accuracy" in self.quantity and self.is_result


def count(entries: Iterable[Entry]) -> dict[str, int]:
    """Return how many measurements have each verdict; one that is printed several times is one."""
    return tally(entry.verdict for entry in entries if entry.counts)


def tally(verdicts: Iterable[Verdict]) -> dict[str, int]:
    """Return how often each verdict is there."""
    found = Counter(verdicts)
    return {name: found[verdict] for name, verdict in COUNTED.items()}


def entries(study: Study, results: Results, incomparable: str = "", official: bool = True) -> list[Entry]:
    """Return every number of a report; ``incomparable`` is why none can be compared, such as synthetic data.

    ``official`` is whether our images are those of the release, byte for byte.
    """
    found: list[Entry] = []
    measured: list[tuple[int, Row, Reported]] = []
    for exhibit in study.exhibits:
        found += stated(study, exhibit, None)
        rows = {row.id: results(row.name) for row in exhibit.rows}
        for row in exhibit.rows:
            found += stated(study, exhibit, row)
            for number in row.reported:
                measured.append((len(found), row, number))
                found.append(compare(study, exhibit, row, number, rows, incomparable, official))
        found += [entry(study, exhibit, None, remark, remark.what, reason=remark.reason) for remark in exhibit.other]
    for index in repetitions(measured):
        found[index] = found[index]._replace(counts=False)
    return found


def finite(results: Iterable[Mapping[str, float]], measure: str) -> list[float]:
    return [value for found in results if math.isfinite(value := found.get(measure, math.nan))]


def repetitions(measured: Sequence[tuple[int, Row, Reported]]) -> Iterator[int]:
    """Yield which numbers repeat another: the same measure of the same training, to the digits of the coarser text."""
    kept: dict[str, list[float]] = {}
    for index, row, number in sorted(measured, key=lambda m: digits(m[2])):
        before, near = kept.setdefault(row.settings.model_dump_json() + row.measured(number), []), digits(number)
        if row.alternative or any(abs(value - number.quantity) <= near for value in before):
            yield index
        else:
            before.append(number.quantity)


def digits(number: Reported) -> float:
    """Return half a unit of a number's last digit, as far as it is one."""
    return 0.0 if number.measure == "seconds" or math.isnan(number.quantity) else 1.0001 * number.half


def stated(study: Study, exhibit: Exhibit, row: Row | None) -> Iterator[Entry]:
    """Yield the settings that a report prints for an exhibit or for one of its rows."""
    for key, texts in (row or exhibit).stated.items():
        for text in texts:
            found = entry(study, exhibit, row, Number(text=text), key, reason="the training here has it")
            yield found._replace(verdict="setting")


def entry(study: Study, exhibit: Exhibit, row: Row | None, number: Number, what: str, **more: Any) -> Entry:
    """Return the entry of a number that nothing stands beside."""
    place = number.place or (row and row.place) or exhibit.place
    return Entry(study.id, exhibit.id, row.id if row else "", place, what, number.text, number.quantity, **more)


def compare(
    study: Study,
    exhibit: Exhibit,
    row: Row,
    number: Reported,
    results: Mapping[str, Measured],
    why: str = "",
    official: bool = True,
) -> Entry:
    """Return the entry of a reported result, beside the ``results`` of every row of its exhibit.

    ``why`` says why it cannot be compared, if it cannot.
    """
    values = {name: finite(ran, row.measured(number)) for name, ran in results.items()}
    ran = sum(map(bool, results[row.id]))  # nothing is measured of those that are not recorded
    words = ["first" * (number.at == "first"), number.measure.replace("_", " "), number.parameter, number.method]
    reason = number.reason or ("no number to compare with" if math.isnan(number.quantity) else why)
    basis, ours = study.basis(row), values[row.id]
    found = entry(study, exhibit, row, number, " ".join(filter(None, words)), reason=reason, basis=basis)
    if not ours:
        none = f"none of its {ran} trainings ended with a number" if ran else "no record of this training yet"
        return found if reason else found._replace(verdict="not run", reason=none)
    std = stdev(ours) if len(ours) > 1 else math.nan
    found = found._replace(mean=mean(ours), std=std, n=len(ours), difference=mean(ours) - number.quantity)
    if reason:
        return found
    low, high = limits(exhibit, row, number, values, official)
    verdict = judge(number, low, high)
    if verdict == "not decidable":
        note = "one training has no spread" if len(ours) == 1 else "the interval is too wide to say"
    elif verdict == "incompatible":
        note = number.explanation or exhibit.explanation
    else:
        count = " to ".join(map(str, sorted({*trials(exhibit)})))
        note = f"number {number.best} of {count} trials, compared as such" if number.best else ""
    lost = f"{ran - len(ours)} of {ran} trainings diverged and are left out" if ran > len(ours) else ""
    return found._replace(low=low, high=high, verdict=verdict, reason="; ".join(filter(None, [note, lost])))


def limits(exhibit: Exhibit, row: Row, number: Reported, values: Values, official: bool) -> tuple[float, float]:
    """Return the prediction interval for a reported number: the rule that the page states."""
    own = values[row.id]
    others = [values[r.id] for r in exhibit.rows if r is not row and not r.alternative and values[r.id]]
    half, kind = number.half, number.measure.rpartition("_")[2]
    if kind == "error":
        rows = [[math.log10(max(abs(value), TINY)) for value in column] for column in (own, *others)]
        wide = math.log10(1 + half / max(number.quantity, TINY))
        low, high = statistics.interval(rows[0], statistics.spread(rows), rounding=wide)
        return 10.0**low, 10.0**high
    extra = other_images(row.settings, number.measure, mean(own), exhibit.held_out, official)
    if number.best:
        every, best = [own, *others], number.best
        fewest, most = (statistics.interval_of_best(every, best, n, extra, half) for n in trials(exhibit))
        return fewest[0], most[1]
    spread = statistics.spread([own, *others])
    if kind == "accuracy":  # seeds of equal counts do not show that others have them too
        spread = spread._replace(std=max(spread.std, step(row.settings, number.measure) / math.sqrt(12)))
    return statistics.interval(own, spread, extra, half)


def trials(exhibit: Exhibit) -> tuple[int, int]:
    """Return how many trials a search has at least, and at most."""
    ranks = [max((number.best or 0 for number in row.reported), default=0) for row in exhibit.rows]
    most = max(exhibit.trials or sum(not row.alternative for row in exhibit.rows), *ranks)
    return most if exhibit.trials_are_stated else max(sum(rank > 0 for rank in ranks), *ranks), most


def step(settings: Settings, measure: str) -> float:
    """Return the least difference of two accuracies: that of one image."""
    images = {"train": settings.data.n_train, "validation": settings.data.n_validation, "test": BATCH_IMAGES}
    return 1 / images[measure.partition("_")[0]]


def other_images(settings: Settings, measure: str, p: float, held_out: str, official: bool) -> float:
    """Return the variance of a measure between the report's images and ours.

    Two sets of held-out images have that of p (1 - p) / n each. Where ours are drawn anew for each seed, the spread of
    the seeds has it already. Images that are not the ``official`` bytes move every accuracy.
    """
    n, drawn_once = settings.data.validation, settings.data.holdout_seed is None
    found = 0.0 if official or not measure.endswith("accuracy") else statistics.IMAGES**2
    if measure == "validation_accuracy" and held_out != "ours" and isinstance(n, int) and drawn_once:
        found += statistics.variance_of_other_images(p, n)
    return found


def judge(number: Reported, low: float, high: float) -> Verdict:
    """Return the verdict of a number; a bound needs that the interval reaches below it."""
    if math.isnan(low):
        return "not decidable"
    if low > number.quantity or (high < number.quantity and not number.bound):
        return "incompatible"
    return "compatible" if decides(number.measure, low, high) else "not decidable"


def decides(measure: str, low: float, high: float) -> bool:
    """Return whether an interval is narrow enough for its measure, so that being within it says something."""
    kind = measure.rpartition("_")[2]
    return (math.log10(high / low) if kind == "error" else high - low) <= USEFUL.get(kind, math.inf)


def points(study: Study, exhibit: Exhibit, row: Row, found: curves.Compared) -> Iterator[Entry]:
    """Yield the points of a curve as lines of numbers.csv."""
    curve, basis = found.curve, study.basis(row)
    ours = np.array([curve.x, curve.y, found.mean, found.std, found.low, found.high]).T.tolist()
    for (x, y, mean_, std, low, high), verdict in zip(ours, found.verdicts, strict=True):
        what = f"{curve.column.replace('_', ' ')} at {exhibit.x} {x:g}"
        yield Entry(study.id, exhibit.id, row.id, exhibit.place, what, f"{y:g}", y, mean_, std, found.n, low, high,
                    mean_ - y, verdict, "read off a figure", basis, False)  # fmt: skip
