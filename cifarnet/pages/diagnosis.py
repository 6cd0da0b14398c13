"""What the page of a diagnosis shows: what was reported, as stated and under the likeliest candidates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from cifarnet import plots
from cifarnet.pages.kinds import Cell, Table, View
from cifarnet.readable import predicted
from cifarnet.runs import Run

BEST = 2  # candidates whose numbers are shown
COLOURS = ("c0", "c1", "c2")
SENTENCES = ("origin", "sign", "cure")  # how a deviation comes about, how it shows and how it is corrected
Found = Mapping[str, Any]


def content(run: Run) -> View:
    """Return what a diagnosis has to show; before its end, how to go on."""
    results = run.results
    if not results:
        going = {"Go on": f"cifarnet diagnose --resume {run.path}"} if run.is_stopped else {}
        return View(says=["The trainings are not done yet."], commands=going)
    candidates, first = results["candidates"], results["candidates"][0]
    stated = [c for c in candidates if c["kind"] == "as stated"]
    chosen = stated + [c for c in candidates if c["kind"] != "as stated"][:BEST]
    tables = [numbers(results["reported"], chosen), ranking(candidates)]
    tables += [excluded(results["excluded"])] if results["excluded"] else []
    mending = [first[key] for key in SENTENCES if first["fits"] and first[key]]
    again = {"Train as the likeliest": f"cifarnet train --config {run.path / 'best.yaml'}"}
    charts = [*curves(results["reported"], chosen)]
    return View(says=[*results["says"], *mending], commands=again, charts=charts, tables=tables)


def ranking(candidates: Sequence[Found]) -> Table:
    rows = [
        [
            Cell(c["name"]),
            Cell(f"{100 * c['probability']:.1f} %", c["probability"], shade=round(c["probability"], 3)),
            Cell(f"{c['compatible']} of {len(c['numbers'])}", c["compatible"], "good" if c["fits"] else "bad"),
            Cell(str(c["seeds"])),
            Cell(c["says"]),
        ]
        for c in candidates
    ]
    caption = "The most probable first; compatible are numbers within the 95 % interval of one more training"
    return Table("Candidates", ["candidate", "#probability", "#compatible", "#seeds", "what it is"], rows, caption)


def numbers(reported: Sequence[Found], chosen: Sequence[Found]) -> Table:
    """Return every reported number beside the mean of each chosen candidate, marked where it is compatible."""
    rows = [
        [Cell(" ".join(filter(None, [n["row"], n["words"]]))), Cell(predicted(n["measure"], n["value"]))]
        + [number(c["numbers"][i], n) for c in chosen]
        for i, n in enumerate(reported)
    ]
    columns = ["number", "#reported", *(f"#{c['name']}" for c in chosen)]
    return Table("Reported, and under each", columns, rows, "Means of the seeds, with the 95 % interval")


def number(found: Found, reported: Found) -> Cell:
    mean, low, high = (predicted(reported["measure"], found[key]) for key in ("mean", "low", "high"))
    return Cell(f"{mean} ({low.removesuffix(' %')} to {high})", found["mean"], "good" if found["compatible"] else "bad")


def excluded(found: Mapping[str, str]) -> Table:
    """Return the candidates that were not trained to the end, together where the reason is the same."""
    reasons = dict.fromkeys(found.values())
    rows = [[Cell(why), Cell(", ".join(name for name, own in found.items() if own == why))] for why in reasons]
    return Table("Not trained to the end", ["why", "candidates"], rows)


def curves(reported: Sequence[Found], chosen: Sequence[Found]) -> Iterator[plots.Chart | None]:
    """Draw each reported curve over those of the chosen candidates, with their intervals."""
    places: dict[str, list[int]] = {}
    for i, n in enumerate(reported):
        if "@" in n["measure"]:
            places.setdefault(n["measure"].partition("@")[0], []).append(i)
    for measure, indices in places.items():
        x = np.array([float(reported[i]["measure"].partition("@")[2]) for i in indices])
        points = [plots.Point("reported", at, reported[i]["value"]) for at, i in zip(x.tolist(), indices, strict=True)]
        series = []
        for c, colour in zip(chosen, COLOURS, strict=False):
            y, low, high = (np.array([c["numbers"][i][key] for i in indices], float) for key in ("mean", "low", "high"))
            series.append(plots.Series(c["name"], x, y, low=low, high=high, colour=colour))
        name = measure.replace("_", " ").replace("train ", "training ")
        yield plots.chart(name, "update step", series, points, percent=measure.endswith("accuracy"))
