"""A run as tables of text: settings and results, the records, and every weight matrix and bias."""

from __future__ import annotations

import json

from cifarnet import config
from cifarnet.nn.network import named_views
from cifarnet.readable import csv_text
from cifarnet.runs import Run


def files(run: Run) -> dict[str, str]:
    """Return the content of summary.csv, metrics.csv and one file for each of W1, b1, ..."""
    info, records = run.info, run.records
    about = config.flatten({"settings": info.get("settings", {}), "results": info.get("results", {})})
    summary = [(key, json.dumps(value) if isinstance(value, (list, dict)) else value) for key, value in about.items()]
    whole = {name: column.astype(int) for name, column in records.items() if name in ("step", "cycle")}
    metrics = zip(*(column.tolist() for column in (records | whole).values()), strict=True)
    tables = {"summary": [("key", "value"), *summary], "metrics": [tuple(records), *metrics]}
    for name, values in named_views(run.model.theta, run.model.sizes).items():
        rows = values if values.ndim == 2 else values[:, None]
        tables[name] = [tuple(range(rows.shape[1])), *rows.tolist()]
    return {f"export/{name}.csv": csv_text(rows) for name, rows in tables.items()}
