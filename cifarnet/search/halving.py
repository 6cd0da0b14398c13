"""Successive halving (Jamieson & Talwalkar 2016): after each cycle, all but the best trials are stopped."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from cifarnet.search.study import Found


def kept(found: Found, accuracy: Mapping[int, float], cycle: int) -> set[int]:
    """The indices of the trials that go on after a cycle.

    Parameters
    ----------
    found
        The search. A trial that has a row of more cycles is among the best, one that has a row of fewer is not: so a
        search that was stopped and resumed stops the same trials.
    accuracy
        Of the other trials that are still trained: the mean validation accuracy over the seeds after the cycle.
    cycle
        Cycles trained, 1 or more; then one in halving^cycle goes on, rounded up.
    """
    count = len({trial.index for trial in found.study.trials})
    for _ in range(cycle):
        count = ceil(count / (found.study.part.halving or 1))
    known = trained(found)
    safe = {index for index, cycles in known.items() if cycles > cycle}
    ranked = sorted(accuracy.keys() - known.keys(), key=lambda index: (-accuracy[index], index))
    return safe | set(ranked[: max(count - len(safe), 0)])


def trained(found: Found) -> dict[int, int]:
    """How many cycles the trials that have rows were trained for."""
    rows = [row for row in found.rows if row["status"] in ("completed", "stopped")]
    return {int(row["index"]): int(row["cycles"]) for row in rows}
