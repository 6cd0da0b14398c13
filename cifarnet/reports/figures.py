"""The figures of the page: curves with the report's points, searches over lambda, class templates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from cifarnet import pages, plots
from cifarnet.runs import Run
from cifarnet.statistics.inference import quantile
from cifarnet.studies.figures import Floats
from cifarnet.studies.spec import Exhibit, Row
from cifarnet.verdicts.compare import Entry
from cifarnet.verdicts.curves import Compared, Templates

X_LABELS = {"step": "update step", "epoch": "epoch", "record": "record"}
CURVES = {"cost": "cost", "loss": "loss", "accuracy": "accuracy", "eta": "learning rate"}
SPLITS = {"train": "training", "validation": "validation"}


def figure(
    exhibit: Exhibit, row: Row, runs: Sequence[Run], found: Sequence[Compared], templates: Templates | None
) -> dict[str, Any] | None:
    """Draw what an exhibit shows of a row, and what the report's own figure has there."""
    if not runs:
        return None
    charts = [c for kind in exhibit.figures if kind in CURVES and (c := curve(kind, exhibit, row, runs, found))]
    images = []
    if "templates" in exhibit.figures:
        alt = f"The weights of each of the ten classes as 32 x 32 colour images, {row.title}"
        weights = plots.FIGURES["weights"].draw(runs[0])
        images.append(picture("ours" if templates else "class templates", alt, weights))
    if templates:
        title = f"the report's: {templates.matches} of 10 fit the template of their own class best"
        weights = plots.weights(templates.reported, classes=runs[0].model.classes)
        images.append(picture(title, f"The report's class templates, {row.title}", weights))
    caption = row.title + (f" ({row.figure} of the report)" if row.figure else "")
    return {"caption": caption, "charts": charts, "images": images} if charts or images else None


def curve(kind: str, exhibit: Exhibit, row: Row, runs: Sequence[Run], found: Sequence[Compared]) -> plots.Chart | None:
    """Draw cost, loss, accuracy or eta against the report's own x-axis: the mean over the seeds and their range.

    Where the report's curve is known its points stand over it, and the band is where 95 % of further trainings lie.
    """
    tables = [run.records for run in runs]
    n = min(len(table["step"]) for table in tables)
    x = np.arange(n, dtype=float) if exhibit.x == "record" else tables[0][exhibit.x][:n]
    names = {"eta": "eta"} if kind == "eta" else {f"{split}_{kind}": shown for split, shown in SPLITS.items()}
    series, marks = [], []
    for column, shown in names.items():
        ys = np.array([table[column][:n] for table in tables])  # (seeds, n)
        reported = next((c for c in found if c.curve.column == column), None)
        series.append(plots.Series(shown, x, ys.mean(axis=0), *band(ys, reported)))
        if reported:
            points = zip(reported.curve.x.tolist(), reported.curve.y.tolist(), strict=True)
            colour = "validation" if shown == "validation" else "training"
            marks += [plots.Point(f"reported {shown}", a, b, colour=colour) for a, b in points]
    marks += [
        plots.Point("reported", float(x[-1]), number.quantity)
        for number in row.reported
        if kind == "accuracy" and number.measure in ("validation_accuracy", "test_accuracy") and not number.reason
    ]
    return plots.chart(CURVES[kind], X_LABELS[exhibit.x], series, marks, percent=kind == "accuracy")


def band(ys: Floats, reported: Compared | None) -> tuple[Floats, Floats]:
    """Return the range of the seeds, or the prediction interval of one more training."""
    if reported is None or len(ys) < 2:
        return ys.min(axis=0), ys.max(axis=0)
    half = quantile(len(ys) - 1) * ys.std(axis=0, ddof=1) * math.sqrt(1 + 1 / len(ys))
    return ys.mean(axis=0) - half, ys.mean(axis=0) + half


def over_lambda(lines: Sequence[tuple[Row, list[Entry], list[Run]]]) -> plots.Chart | None:
    """Draw the first result of each row against log10 lambda: ours with its standard deviation, and the report's."""
    points = []
    for row, (entry, *_), _ in lines:
        if (lam := row.settings.training.lam) and not row.alternative:
            points.append(plots.Point("ours", math.log10(lam), entry.mean, float(np.nan_to_num(entry.std))))
            points.append(plots.Point("reported", math.log10(lam), entry.reported))
    if not any(math.isfinite(point.y) for point in points if point.name == "ours"):
        return None
    title = lines[0][1][0].quantity
    return plots.chart(title, "log₁₀ λ", [], points, percent="accuracy" in title)


def picture(title: str, alt: str, figure: Any) -> dict[str, str]:
    """Return a figure as the page has it."""
    return {"title": title, "alt": alt, "uri": pages.data_uri(plots.render(figure, "svg"), "svg")}
