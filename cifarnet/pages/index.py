"""What the index over many runs shows: results first, then what differs; and the curves of those that are ticked."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from cifarnet import readable
from cifarnet.errors import RunError
from cifarnet.pages.kinds import Cell, thinned
from cifarnet.plots import FIGURES, charts
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
    order = [key for key in dict.fromkeys([*FIRST, *settings, *known]) if key in known and key not in ("run", "label")]
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
        "synthetic": any(run.is_synthetic for run in runs),
        "heads": [(heading, known[heading].number, heading in settings) for heading in order],
        "rows": rows,
        "measures": MEASURES,
        "curves": {
            name: {key: [*map(charts.rounded, column.tolist())] for key, column in thinned(table, most).items()}
            for name, table in curves.items()
            if table
        },
    }


def cell(column: catalog.Column, run: Run) -> Cell:
    """Return a cell, which is sorted by its value and not by its text."""
    value = None if column.show is readable.percent else column.of(run)  # the number that is shown
    number = value if readable.is_number(value) else None
    return Cell(column.summary([run]), number, run.status if column.key == "status" else "")


def curves_of(run: Run) -> Mapping[str, Floats]:
    """Return the curves of a training, accuracies in per cent; nothing where there are none."""
    with contextlib.suppress(RunError):
        if FIGURES["curves"].available(run) and len((records := run.records)["step"]):
            columns = {name: records[name.replace("training", "train").replace(" ", "_")] for name in MEASURES}
            shown = {name: (100 if "accuracy" in name else 1) * column for name, column in columns.items()}
            return {"step": records["step"]} | shown
    return {}
