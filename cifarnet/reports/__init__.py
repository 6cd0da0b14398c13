"""The reports, trained again (`jobs`) and shown beside ours (`page`, of a `chapter` each, and `figures`).

`reasons` has what numbers that differ may come from, `steps` what errors of a gradient may.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from pathlib import Path

from cifarnet import data
from cifarnet.experiments.pool import Executor
from cifarnet.reports import jobs
from cifarnet.reports.jobs import Progress, Scope, listing, scope
from cifarnet.reports.page import Report
from cifarnet.reports.reasons import explain, problem
from cifarnet.studies import Study

__all__ = ["Progress", "Report", "Scope", "explain", "listing", "problem", "reproduce", "scope"]


def reproduce(
    studies: Sequence[Study], scope: Scope, folder: Path, executor: Executor, data_dir: Path | None
) -> Generator[Progress, None, None]:
    """Do all that is not recorded, seed by seed, and write the page after each pass; yield as the work goes on.

    CifarnetError if a task failed, or a file cannot be read or written.
    """
    passes, known = jobs.passes(studies, scope, data.fingerprints(data_dir)), set(jobs.recorded(folder))
    todo = []
    for tasks in passes:
        todo.append([task for task in tasks if task.key not in known])
        known |= {task.key for task in tasks}
    progress, work = Progress(0, sum(map(len, todo)), 0.0, ""), sum(task.work for tasks in todo for task in tasks)
    for number, tasks in enumerate(todo, 1):
        began = time.monotonic()
        for task in jobs.carry_out(tasks, folder, executor):
            if task:
                done, total, fraction, _ = progress
                progress = Progress(done + 1, total, fraction + task.work / work, task.users[0])
            yield progress
        jobs.write_plan(folder, scope, passes[:number], {"jobs": len(tasks), "seconds": time.monotonic() - began})
        if tasks or number == len(passes):
            Report(studies, folder).write()
