"""The trials of a search, as its run folder has them."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any

from cifarnet.readable import mean_std
from cifarnet.runs.run import Run


def standings(run: Run) -> list[dict[str, Any]]:
    """Return the trials of a search with means over their completed seeds, best first; last where one was not."""
    values = {trial["index"]: trial["values"] for trial in run.read_json("plan.json")["trials"]}
    groups, ended_badly = dict[int, list[Mapping[str, str]]](), set[int]()
    for row in run.read_rows("trials.csv"):
        if row["status"] != "completed":
            ended_badly.add(int(row["index"]))
        else:
            groups.setdefault(int(row["index"]), []).append(row)
    found = []
    for index, rows in groups.items():
        accuracy, spread = mean_std([float(row["validation_accuracy"]) for row in rows])
        means = {key: fmean(float(row[key]) for row in rows) for key in ("best_validation_accuracy", "validation_loss")}
        trial = {"index": index, "values": values[index], "accuracy": accuracy, "spread": spread}
        found.append(trial | means | {"seconds": sum(float(row["seconds"]) for row in rows)})
    return sorted(found, key=lambda trial: (trial["index"] in ended_badly, -trial["accuracy"], trial["index"]))


def stages(run: Run) -> dict[str, list[dict[str, Any]]]:
    """Return the completed trials of a search by its stage, after those of the earlier one that it started from."""
    stage, found = run.read_json("plan.json")["stage"], {}
    if (run.path / "earlier.json").is_file():
        before = run.read_json("earlier.json")
        found["earlier search" if before["stage"] == stage else before["stage"]] = before["trials"]
    return found | {stage: standings(run)}
