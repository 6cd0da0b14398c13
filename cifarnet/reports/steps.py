"""What errors of a gradient that are incompatible may come from: checks with other steps h."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cifarnet.reports import jobs
from cifarnet.reports.jobs import Fingerprint, Scope, Task
from cifarnet.reports.page import Report
from cifarnet.studies.spec import Exhibit, Row, Study
from cifarnet.verdicts import compare
from cifarnet.verdicts.compare import Entry

FACTORS = (0.1, 10.0)  # of the step
SEEDS = 3  # of each check
Tasks = Mapping[float, Sequence[Task]]  # by factor


def differing(report: Report) -> Iterator[tuple[Study, Exhibit]]:
    """Yield the exhibits with an error of a gradient that is incompatible."""
    for study in report.studies:
        differ = {(e.exhibit, e.row) for e in report.entries[study.id] if e.verdict == "incompatible"}
        for exhibit in study.exhibits:
            if any((exhibit.id, row.id) in differ for row in checks(exhibit)):
                yield study, exhibit


def checks(exhibit: Exhibit) -> list[Row]:
    """Return the gradient checks of an exhibit that have a number to compare."""
    return [r for r in exhibit.rows if r.check and not r.alternative and any(not n.reason for n in r.reported)]


def tasks(study: Study, exhibit: Exhibit, fingerprint: Fingerprint) -> Tasks:
    """Return the gradient checks of an exhibit with each of the other steps."""
    rows = [row for row in checks(exhibit) for _ in range(SEEDS)]
    return {factor: [task(f"{study.id}/{exhibit.id}/{row.id}", row, i % SEEDS, factor, fingerprint)
                     for i, row in enumerate(rows)] for factor in FACTORS}  # fmt: skip


def task(name: str, row: Row, seed: int, factor: float, fingerprint: Fingerprint) -> Task:
    """Return a row's check with another step, and its own seed plus ``seed``."""
    assert row.check
    check = row.check.model_copy(update={"step": float(f"{factor * row.check.step:.12g}")})
    settings = Scope().settings(row, seed)
    images = fingerprint(settings.data)
    return Task(jobs.key(settings, check, images), settings, images, check, (name,))


def missing(report: Report, tasks: Tasks) -> list[Task]:
    """Return the tasks that are not recorded."""
    done = jobs.recorded(report.folder)
    return [*{task.key: task for several in tasks.values() for task in several if task.key not in done}.values()]


def explain(report: Report, study: Study, exhibit: Exhibit, tasks: Tasks) -> dict[str, Any]:
    """Return causes as causes.json has them, once the tasks are recorded.

    Named is the step with which most are compatible, beside those that are, if that is more than as they are here.
    """
    done = jobs.recorded(report.folder)
    alone, others = study.model_copy(update={"exhibits": (exhibit,)}), {}
    for factor, several in tasks.items():
        found: dict[str, list[dict[str, float]]] = {}
        for one in several:
            found.setdefault(one.users[0], []).append(jobs.measures(done[one.key]))
        others[factor] = compare.entries(alone, lambda name, found=found: found.get(name, []))  # type: ignore[misc]
    return causes([e for e in report.entries[study.id] if e.exhibit == exhibit.id], others)


def causes(here: Sequence[Entry], others: Mapping[float, Sequence[Entry]]) -> dict[str, Any]:
    """Return causes from the numbers of an exhibit as they are here, and with other steps."""
    counted = [i for i, e in enumerate(here) if e.counts and not math.isnan(e.low)]
    every = {1.0: here, **others}
    count = {factor: sum(found[i].verdict == "compatible" for i in counted) for factor, found in every.items()}
    best, causes = max(others, key=lambda factor: count[factor]), {}
    for i in (i for i in counted if here[i].verdict == "incompatible"):
        own: dict[str, Any] = {"tried": len(others), "deviation": None, "says": ""}
        e = others[best][i]
        if count[best] > count[1.0] and e.verdict == "compatible":
            own |= {"deviation": f"step times {best:g}", "mean": e.mean, "low": e.low, "high": e.high, "n": e.n}
            own["says"] = f"Of {len(counted)} numbers {count[best]} are compatible under it, {count[1.0]} as stated."
            own["command"] = "cifarnet reproduce-report --causes"
        causes[f"{e.report}/{e.exhibit}/{e.row} {e.quantity}"] = own
    return causes
