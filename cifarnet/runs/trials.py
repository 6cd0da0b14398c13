"""The trials of a search, as its run folder has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from cifarnet.readable import mean_std

if TYPE_CHECKING:
    from cifarnet.runs.run import Run

OVER = "search.over."
LENGTH = ("training.schedule.n_s", "training.schedule.cycles")
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


def by_index(values: Mapping[int, Any], rows: Iterable[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Return all trials, of these values by index: each with its values and the `summary` of its rows."""
    own: dict[int, list[Mapping[str, str]]] = {index: [] for index in values}
    for row in rows:
        own[int(row["index"])].append(row)
    return [{"index": index, "values": values[index]} | summary(found) for index, found in own.items()]


def rank(trials: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the trials that have an accuracy, the best first: by mean final validation accuracy, then by index.

    The best accuracy on the way is that of no network that is kept. Trials with a seed that did not complete come last.
    """
    found = [trial for trial in trials if trial["validation_accuracy"] is not None]
    return sorted(found, key=lambda t: (t["status"] != "completed", -t["validation_accuracy"], t["index"]))


def best_values(best: Mapping[str, Any], choices: Iterable[str]) -> dict[str, Any]:
    """Return by key what the best trial of a search has; None for what is not known yet, and for the length."""
    axes = [key.removeprefix(OVER).rpartition(".")[0] for key in choices if key.startswith(OVER)]
    keys = (*LENGTH, "training.lambda", *axes)
    found = {key: best[name] for name in best for key in keys if f".{key}".endswith(f".{name}")}
    return dict.fromkeys(LENGTH if best else keys) | found


def standings(run: Run) -> list[dict[str, Any]]:
    """Return the ranked trials of a search, with the seconds that all seeds of one took."""
    values = {trial["index"]: trial["values"] for trial in run.read_json("plan.json")["trials"]}
    rows, seconds = run.read_rows("trials.csv"), dict.fromkeys(values, 0.0)
    for row in rows:
        seconds[int(row["index"])] += float(row["seconds"])
    ranked = rank(by_index(values, rows))
    return [t | {"accuracy": t["validation_accuracy"], "seconds": seconds[t["index"]]} for t in ranked]


def stages(run: Run) -> dict[str, list[dict[str, Any]]]:
    """Return the completed trials of a search by its stage, after those of the earlier one that it started from."""
    stage, found = run.read_json("plan.json")["stage"], {}
    if (run.path / "earlier.json").is_file():
        before = run.read_json("earlier.json")
        found["earlier search" if before["stage"] == stage else before["stage"]] = before["trials"]
    return found | {stage: standings(run)}
