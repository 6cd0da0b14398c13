"""A run as tables of text: settings and results, the records, and every weight matrix and bias."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from typing import Any

from cifarnet import config
from cifarnet.nn.network import named_views
from cifarnet.runs import Run


def files(run: Run) -> dict[str, str]:
    """Return the content of summary.csv, metrics.csv and one file for each of W1, b1, ..."""
    info, records = run.info, run.records
    about = config.flatten({"settings": info.get("settings", {}), "results": info.get("results", {})})
    summary = [(key, json.dumps(value) if isinstance(value, (list, dict)) else value) for key, value in about.items()]
    tables = {"summary": table(["key", "value"], summary)}
    tables["metrics"] = table(list(records), zip(*(column.tolist() for column in records.values()), strict=True))
    for name, values in named_views(run.model.theta, run.model.sizes).items():
        rows = values if values.ndim == 2 else values[:, None]
        tables[name] = table([str(column) for column in range(rows.shape[1])], rows.tolist())
    return {f"export/{name}.csv": text for name, text in tables.items()}


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Write a table as CSV; what was not measured is empty."""
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(header)
    lines.writerows(["" if value != value or value is None else value for value in row] for row in rows)
    return out.getvalue()
