"""What the page of a diagnosis shows: what was reported, as stated and under the likeliest candidates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from cifarnet import plots
from cifarnet.pages.kinds import Cell, Table, View
from cifarnet.plots.style import PALETTE
from cifarnet.readable import predicted
from cifarnet.runs import Run

SHOWN = 3  # candidates whose numbers are shown, what is stated first
SENTENCES = ("origin", "sign", "cure")  # how a deviation comes about, how it shows and how it is corrected
Found = Mapping[str, Any]


def content(run: Run) -> View:
    """Return what a diagnosis has to show; before its end, how to go on."""
    results = run.results
    if not results:
        going = {"Go on": f"cifarnet diagnose --resume {run.path}"} if run.is_stopped else {}
        return View(says=["The trainings are not done yet."], commands=going)
    candidates, first = results["candidates"], results["candidates"][0]
    chosen = sorted(candidates, key=lambda c: c["kind"] != "as stated")[:SHOWN]
    return View(
        says=[*results["says"], *(first[key] for key in SENTENCES if first["fits"] and first[key])],
        commands={"Train as the likeliest": f"cifarnet train --config {run.path / 'best.yaml'}"},
        charts=[*curves(results["reported"], chosen)],
        tables=[numbers(results["reported"], chosen), ranking(candidates), excluded(results["excluded"])],
    )


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
    names = {why: ", ".join(name for name, own in found.items() if own == why) for why in found.values()}
    rows = [[Cell(why), Cell(together)] for why, together in names.items()]
    return Table("Not trained to the end", ["why", "candidates"], rows)


def curves(reported: Sequence[Found], chosen: Sequence[Found]) -> Iterator[plots.Chart | None]:
    """Draw each reported curve over those of the chosen candidates, with their intervals."""
    for measure in dict.fromkeys(n["measure"].partition("@")[0] for n in reported if "@" in n["measure"]):
        indices = [i for i, n in enumerate(reported) if n["measure"].startswith(f"{measure}@")]
        x = np.array([float(reported[i]["measure"].partition("@")[2]) for i in indices])
        points = [plots.Point("reported", at, reported[i]["value"]) for at, i in zip(x.tolist(), indices, strict=True)]
        series = []
        for c, colour in zip(chosen, PALETTE, strict=False):
            y, low, high = (np.array([c["numbers"][i][key] for i in indices], float) for key in ("mean", "low", "high"))
            series.append(plots.Series(c["name"], x, y, low, high, colour))
        name = measure.replace("_", " ").replace("train ", "training ")
        yield plots.chart(name, "update step", series, points, percent=measure.endswith("accuracy"))
