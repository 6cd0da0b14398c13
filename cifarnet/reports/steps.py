"""What errors of a gradient that are incompatible may come from: checks with other steps h."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from cifarnet.experiments.pool import Executor
from cifarnet.reports import jobs
from cifarnet.reports.chapter import Chapter
from cifarnet.reports.jobs import Fingerprint, Progress, Records, Scope
from cifarnet.studies.spec import Exhibit
from cifarnet.verdicts.compare import Entry

FACTORS = (0.1, 10.0)  # of the step


def explain(
    chapter: Chapter, exhibit: Exhibit, executor: Executor, fingerprint: Fingerprint, progress: Progress
) -> Generator[Progress, None, dict[str, Any]]:
    """Check the gradients of an exhibit with each of the other steps; return causes as causes.json has them.

    Yield ``progress`` while the work goes on. What is recorded is not done again.
    """
    exhibits = {factor: with_step(exhibit, factor) for factor in FACTORS}
    study = chapter.study.model_copy(update={"exhibits": tuple(exhibits.values())})
    passes = jobs.passes([study], Scope(), fingerprint)
    folder = chapter.records.folder
    known = jobs.recorded(folder)
    todo = [task for tasks in passes for task in tasks if task.key not in known]
    for _ in jobs.carry_out(todo, folder, executor):
        yield progress
    other = Chapter(study, Records(folder, jobs.keys_by_row(passes)))
    return causes(chapter.entries_of(exhibit), {factor: other.entries_of(e) for factor, e in exhibits.items()})


def with_step(exhibit: Exhibit, factor: float) -> Exhibit:
    """Return an exhibit of those gradient checks alone that have a number to compare, with another step."""
    name, rows = f"{exhibit.id}-step-times-{factor:g}", []
    for row in exhibit.rows:
        if row.check and not row.alternative and not all(number.reason for number in row.reported):
            check = row.check.model_copy(update={"step": float(f"{factor * row.check.step:.12g}")})
            rows.append(row.model_copy(update={"exhibit": name, "check": check}))
    return exhibit.model_copy(update={"id": name, "rows": tuple(rows)})


def causes(here: Sequence[Entry], others: Mapping[float, Sequence[Entry]]) -> dict[str, Any]:
    """Return causes from the numbers of an exhibit as they are here, and with other steps.

    Named is the step with which most are compatible, beside those that are, if that is more than as they are here.
    """
    counted = [e for e in here if e.counts and not math.isnan(e.low)]
    stated = sum(e.verdict == "compatible" for e in counted)
    numbers = {factor: {(e.row, e.quantity, e.text): e for e in found} for factor, found in others.items()}
    count = {
        factor: sum(found[e.row, e.quantity, e.text].verdict == "compatible" for e in counted)
        for factor, found in numbers.items()
    }
    best, causes = max(others, key=lambda factor: count[factor]), {}
    for e in (e for e in counted if e.verdict == "incompatible"):
        own: dict[str, Any] = {"tried": len(others), "deviation": None, "says": ""}
        other = numbers[best][e.row, e.quantity, e.text]
        if count[best] > stated and other.verdict == "compatible":
            own |= {"deviation": f"step times {best:g}", "mean": other.mean, "low": other.low, "high": other.high}
            own["n"] = other.n
            own["says"] = f"Of {len(counted)} numbers {count[best]} are compatible under it, {stated} as stated."
            own["command"] = "cifarnet reproduce-report --causes"
        causes[e.name] = own
    return causes
