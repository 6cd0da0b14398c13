"""What errors of a gradient that are incompatible may come from: checks with other steps h."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from cifarnet.experiments.pool import Executor
from cifarnet.reports import jobs
from cifarnet.reports.chapter import Chapter
from cifarnet.reports.jobs import Fingerprint, Progress, Scope, Task
from cifarnet.studies.spec import Exhibit, Study
from cifarnet.verdicts import compare
from cifarnet.verdicts.compare import Entry

FACTORS = (0.1, 10.0)  # of the step
Numbers = Mapping[tuple[str, str], Entry]  # by name and printed text


def explain(
    chapter: Chapter, exhibit: Exhibit, executor: Executor, fingerprint: Fingerprint, progress: Progress
) -> Generator[Progress, None, dict[str, Any]]:
    """Check the gradients of an exhibit with each of the other steps; return causes as causes.json has them.

    Yield ``progress`` while the work goes on. What is recorded is not done again.
    """
    folder = chapter.records.folder
    studies = {factor: with_step(chapter.study, exhibit, factor) for factor in FACTORS}
    passes = {factor: jobs.passes([study], Scope(), fingerprint) for factor, study in studies.items()}
    known, todo = jobs.recorded(folder), dict[str, Task]()
    for task in (task for several in passes.values() for tasks in several for task in tasks):
        if task.key not in known:
            todo[task.key] = task
    for _ in jobs.carry_out([*todo.values()], folder, executor):
        yield progress
    measures = {key: jobs.measures(run) for key, run in jobs.recorded(folder).items()}
    others = {factor: entries(studies[factor], passes[factor], measures) for factor in FACTORS}
    return causes([e for e in chapter.entries if e.exhibit == exhibit.id], others)


def with_step(study: Study, exhibit: Exhibit, factor: float) -> Study:
    """Return a study of those gradient checks alone that have a number to compare, with another step."""
    rows = []
    for row in exhibit.rows:
        if row.check and not row.alternative and not all(number.reason for number in row.reported):
            step = float(f"{factor * row.check.step:.12g}")
            rows.append(row.model_copy(update={"check": row.check.model_copy(update={"step": step})}))
    return study.model_copy(update={"exhibits": (exhibit.model_copy(update={"rows": tuple(rows)}),)})


def entries(study: Study, passes: Sequence[Sequence[Task]], measures: Mapping[str, Mapping[str, float]]) -> Numbers:
    """Return the numbers of a study from what was measured, by key."""
    keys = jobs.keys_by_row(passes)
    found = compare.entries(study, lambda name: [measures[key] for key in keys[f"{study.id}/{name}"]])
    return {(entry.name, entry.text): entry for entry in found}


def causes(here: Sequence[Entry], others: Mapping[float, Numbers]) -> dict[str, Any]:
    """Return causes from the numbers of an exhibit as they are here, and with other steps.

    Named is the step with which most are compatible, beside those that are, if that is more than as they are here.
    """
    counted = [e for e in here if e.counts and not math.isnan(e.low)]
    stated = sum(e.verdict == "compatible" for e in counted)
    count = {
        factor: sum(found[e.name, e.text].verdict == "compatible" for e in counted) for factor, found in others.items()
    }
    best, causes = max(others, key=lambda factor: count[factor]), {}
    for e in (e for e in counted if e.verdict == "incompatible"):
        own: dict[str, Any] = {"tried": len(others), "deviation": None, "says": ""}
        other = others[best][e.name, e.text]
        if count[best] > stated and other.verdict == "compatible":
            own |= {"deviation": f"step times {best:g}", "mean": other.mean, "low": other.low, "high": other.high}
            own["n"] = other.n
            own["says"] = f"Of {len(counted)} numbers {count[best]} are compatible under it, {stated} as stated."
            own["command"] = "cifarnet reproduce-report --causes"
        causes[e.name] = own
    return causes
