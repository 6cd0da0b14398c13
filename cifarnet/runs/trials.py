"""The trials of a search, as its run folder has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from cifarnet.readable import mean_std
from cifarnet.runs.run import Run

MEASURES = ("validation_accuracy", "best_validation_accuracy", "validation_loss")


def summary(rows: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Return the means over the seeds of a trial, the standard deviation of its accuracy, and how it ended."""
    ends = [row["status"] for row in rows] or ["missing"]
    status = next((bad for bad in ("failed", "diverged") if bad in ends), ends[0])
    done = {name: [float(row[name]) for row in rows if row["status"] == "completed"] for name in MEASURES}
    if not (accuracies := done["validation_accuracy"]):
        return {"validation_accuracy": None, "status": status}
    spread = {"spread": mean_std(accuracies)[1], "seeds": len(accuracies)}
    return {name: fmean(column) for name, column in done.items()} | spread | {"status": status}


def rank(trials: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the trials that have an accuracy, the best first: by mean final validation accuracy, then by index.

    The final accuracy, not the best on the way: it is the one that the trained network has. Trials that diverged or
    failed with some of their seeds come after the others.
    """
    found = [trial for trial in trials if trial["validation_accuracy"] is not None]
    return sorted(found, key=lambda t: (t["status"] != "completed", -t["validation_accuracy"], t["index"]))


def standings(run: Run) -> list[dict[str, Any]]:
    """Return the ranked trials of a search, with the seconds that all seeds of one took."""
    values = {trial["index"]: trial["values"] for trial in run.read_json("plan.json")["trials"]}
    rows: dict[int, list[Mapping[str, str]]] = {index: [] for index in values}
    for row in run.read_rows("trials.csv"):
        rows[int(row["index"])].append(row)
    found = [summary(own) | {"index": i, "values": values[i]} for i, own in rows.items()]
    took = {i: sum(float(row["seconds"]) for row in own) for i, own in rows.items()}
    return [t | {"accuracy": t["validation_accuracy"], "seconds": took[t["index"]]} for t in rank(found)]


def stages(run: Run) -> dict[str, list[dict[str, Any]]]:
    """Return the completed trials of a search by its stage, after those of the earlier one that it started from."""
    stage, found = run.read_json("plan.json")["stage"], {}
    if (run.path / "earlier.json").is_file():
        before = run.read_json("earlier.json")
        found["earlier search" if before["stage"] == stage else before["stage"]] = before["trials"]
    return found | {stage: standings(run)}
