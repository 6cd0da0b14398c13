"""What the index over many runs shows: results first, then what differs; and the curves of those that are ticked."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from cifarnet import readable
from cifarnet.errors import RunError
from cifarnet.pages.kinds import Cell, thinned
from cifarnet.plots import charts
from cifarnet.plots.style import Floats
from cifarnet.runs import Run, catalog

FIRST = ("validation", "test", "kind", "status")  # columns of the catalog
TICKED = 120_000  # numbers in an index, for the curves of the runs that are ticked
SPARK = 30  # points of a small curve
MEASURES = [f"{split} {name}" for split in ("validation", "training") for name in ("accuracy", "loss", "cost")]


def index(runs: Sequence[Run]) -> dict[str, Any]:
    """Return what the index shows of runs."""
    known, handles = catalog.columns(runs, "page"), catalog.handles(runs)
    settings = [heading for heading in known if heading not in catalog.COLUMNS]
    rest = [heading for heading in known if heading not in ("run", "label", *FIRST, *settings)]
    order = [*(heading for heading in FIRST if heading in known), *settings, *rest]
    most = max(10, min(200, TICKED // (len(MEASURES) + 1) // max(len(runs), 1)))
    curves = {handles[run.path]: curves_of(run) for run in runs}
    rows = [
        {
            "name": handles[run.path],
            "label": run.label,
            "folder": quote(os.fsencode(run.name)),
            "spark": charts.sparkline(thinned(own, SPARK)["validation accuracy"] / 100) if own else "",
            "cells": [cell(known[heading], run) for heading in order],
        }
        for run, own in zip(runs, curves.values(), strict=True)
    ]
    return {
        "title": f"{len(runs):,} run{'s' if len(runs) != 1 else ''}",
        "heads": [(heading, known[heading].number, heading in settings) for heading in order],
        "rows": rows,
        "measures": MEASURES,
        "curves": {
            name: {key: for_json(column) for key, column in thinned(table, most).items()}
            for name, table in curves.items()
            if table
        },
    }


def cell(column: catalog.Column, run: Run) -> Cell:
    """Return a cell, which is sorted by its value and not by its text."""
    value = None if column.show is readable.percent else column.of(run)  # the number that is shown
    number = value if readable.is_number(value) else None
    return Cell(column.summary([run]), number, run.status if column.key == "status" else "")


def curves_of(run: Run) -> dict[str, Floats]:
    """Return the curves of a training, accuracies in per cent; nothing where there are none."""
    found: dict[str, Floats] = {}
    if run.kind == "train" and (run.path / "metrics.csv").is_file():
        with contextlib.suppress(RunError):
            records = run.records
            columns = {name: records[name.replace("training", "train").replace(" ", "_")] for name in MEASURES}
            found = {"step": records["step"]}
            found |= {name: (100 if "accuracy" in name else 1) * column for name, column in columns.items()}
    return found if len(found.get("step", ())) else {}


def for_json(column: Floats) -> list[float | None]:
    """Return numbers for a page, None where nothing was measured."""
    return [charts.rounded(value) if math.isfinite(value) else None for value in column.tolist()]
