"""What the page shows, from the studies and the records alone: chapters, sections, figures."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cifarnet import experiment, plots, runs
from cifarnet.report import compare, plan
from cifarnet.report.charts import Chart, Point, Series, chart
from cifarnet.report.compare import Count, Entry, Tested
from cifarnet.report.plan import Recorded
from cifarnet.report.studies import Exhibit, Row, Study

LABELS = {"step": "update step", "epoch": "epoch", "record": "record"}
SPLITS = {"train": "training", "validation": "validation"}


class Image(NamedTuple):
    title: str
    alt: str
    uri: str


class Figure(NamedTuple):
    """The charts or images of one row, under one caption."""

    caption: str
    charts: list[Chart]
    images: list[Image]


class Section(NamedTuple):
    """One exhibit as the page shows it."""

    exhibit: Exhibit
    lines: list[tuple[Row, list[Entry], list[Recorded]]]
    settings: list[Entry]
    figures: list[Figure]


class Chapter(NamedTuple):
    """One report as the page shows it."""

    study: Study
    outcome: Count
    accuracies: Count
    claims: list[Tested]
    sections: list[Section]


class Book:
    """All that the page is made of: the studies, the state of the plan, and the records that it names.

    ``state`` is plan.json: ``rows`` maps study/exhibit/row to the keys of its jobs, one a seed; beside it stand the
    scale, whether the data are synthetic, and how long the passes took.
    """

    def __init__(self, studies: Sequence[Study], state: Mapping[str, Any], folder: Path) -> None:
        self.state = state
        self.folder = folder
        self.studies = [s for s in studies if any(name.startswith(f"{s.id}/") for name in state["rows"])]
        self.found = plan.recorded(folder / "trainings")
        self.measured = {key: plan.measures(run) for key, run in self.found.items()}

    def runs_of(self, name: str) -> list[Recorded]:
        """The finished runs of a row, one a seed."""
        return [self.found[key] for key in self.state["rows"].get(name, ()) if key in self.found]

    def results(self, name: str) -> list[Mapping[str, float]]:
        return [self.measured[key] for key in self.state["rows"].get(name, ()) if key in self.found]

    @property
    def incomparable(self) -> str:
        """Why no number can be compared, where none can."""
        if self.state["synthetic"]:
            return "the data are synthetic"
        return f"trainings are shortened to {self.state['scale']:g} of their length" if self.state["scale"] != 1 else ""

    @cached_property
    def entries(self) -> dict[str, list[Entry]]:
        return {study.id: list(compare.entries(study, self.results, self.incomparable)) for study in self.studies}

    @cached_property
    def claims(self) -> dict[str, list[Tested]]:
        return {
            s.id: [compare.test(s, claim, self.results, self.incomparable) for claim in s.claims] for s in self.studies
        }

    @cached_property
    def chapters(self) -> list[Chapter]:
        return [self.chapter(study) for study in self.studies]

    def chapter(self, study: Study) -> Chapter:
        found = self.entries[study.id]
        accuracies = compare.count([e for e in found if e.is_accuracy and e.verdict != "setting"])
        sections = [self.section(study, exhibit) for exhibit in study.exhibits]
        return Chapter(study, compare.count(found), accuracies, self.claims[study.id], sections)

    def section(self, study: Study, exhibit: Exhibit) -> Section:
        found = [e for e in self.entries[study.id] if e.exhibit == exhibit.id]
        results = {e.row for e in found if e.verdict != "setting" and e.row}
        lines = [
            (row, [e for e in found if e.row == row.id and e.verdict != "setting"] or self.own(study, exhibit, row),
             self.runs_of(f"{study.id}/{exhibit.id}/{row.id}"))
            for row in exhibit.rows
            if row.id in results or "lambda" in exhibit.figures
        ]  # fmt: skip
        settings = [e for e in found if e.verdict == "setting" or not e.row]
        return Section(exhibit, lines, settings, list(self.figures(study, exhibit)))

    def own(self, study: Study, exhibit: Exhibit, row: Row) -> list[Entry]:
        """What stands in the table for a trial that the report has, but gives no number of."""
        measure = next(n.measure for r in exhibit.rows for n in r.reported)
        values = [m[measure] for m in self.results(f"{study.id}/{exhibit.id}/{row.id}") if measure in m]
        mean, std = (
            (float(np.mean(values)), float(np.std(values, ddof=1)) if values[1:] else math.nan)
            if values
            else (math.nan,) * 2
        )
        return [Entry(study.id, exhibit.id, row.id, "", measure.replace("_", " "), "", math.nan, mean, std, len(values),
                      math.nan, math.nan, "cannot be compared", "not in the report")]  # fmt: skip

    def figures(self, study: Study, exhibit: Exhibit) -> Iterator[Figure]:
        for row in exhibit.rows:
            found = self.runs_of(f"{study.id}/{exhibit.id}/{row.id}")
            if found and not row.check:
                caption = row.title + (f" ({row.figure} of the report)" if row.figure else "")
                charts = [c for kind in exhibit.figures if (c := curve(kind, exhibit, row, found))]
                images = [templates(found[0], row)] if "templates" in exhibit.figures else []
                if charts or images:
                    yield Figure(caption, charts, images)
        if "lambda" in exhibit.figures and (found_chart := self.over_lambda(study, exhibit)):
            yield Figure("Every trial of the search", [found_chart], [])

    def over_lambda(self, study: Study, exhibit: Exhibit) -> Chart | None:
        """Accuracy against log10 lambda: ours with their spread, and the report's."""
        points = []
        for row in exhibit.rows:
            if lam := row.settings.training.lam:
                entry = self.line(study, exhibit, row)
                spread = 0 if math.isnan(entry.std) else entry.std
                points.append(Point("ours", math.log10(lam), entry.mean, spread))
                points.append(Point("reported", math.log10(lam), entry.reported))
        shown = [p for p in points if math.isfinite(p.y)]
        title = self.line(study, exhibit, exhibit.rows[0]).quantity
        return chart(title, "log₁₀ λ", [], shown, percent=True) if any(p.name == "ours" for p in shown) else None

    def line(self, study: Study, exhibit: Exhibit, row: Row) -> Entry:
        """The accuracy that a trial of a search is known by."""
        kept = [e for e in self.entries[study.id] if (e.exhibit, e.row) == (exhibit.id, row.id) and e.is_accuracy]
        return next((e for e in kept if e.verdict != "setting"), self.own(study, exhibit, row)[0])

    @cached_property
    def environment(self) -> dict[str, Any]:
        """Of the latest run."""
        path = max((run.path for run in self.found.values()), default=None)
        return runs.read_json(path / "environment.json") if path else {}

    @property
    def official(self) -> bool:
        return bool(self.environment) and self.environment["data"]["official"]


def curve(kind: str, exhibit: Exhibit, row: Row, found: Sequence[Recorded]) -> Chart | None:
    """Cost, loss, accuracy or eta of a training, in the report's own x-axis: mean over the seeds and their range."""
    tables = [plan.curves(run) for run in found]
    n = min(len(table["step"]) for table in tables)
    x = np.arange(n, dtype=float) if exhibit.x == "record" else tables[0][exhibit.x][:n]
    names = {"eta": "eta"} if kind == "eta" else {f"{split}_{kind}": shown for split, shown in SPLITS.items()}
    if kind not in ("cost", "loss", "accuracy", "eta"):
        return None
    series = []
    for column, shown in names.items():
        ys = np.array([table[column][:n] for table in tables])
        if kept := np.isfinite(ys).all(axis=0).nonzero()[0].tolist():
            ys = ys[:, kept]
            series.append(Series(shown, x[kept], ys.mean(axis=0), ys.min(axis=0), ys.max(axis=0)))
    wanted = {"validation_accuracy", "test_accuracy"} if kind == "accuracy" else set()
    marks = [
        Point("reported", float(x[-1]), r.quantity)
        for r in row.reported
        if r.measure in wanted and not (r.reason or math.isnan(r.quantity))
    ]
    title = {"eta": "learning rate η"}.get(kind, kind)
    return chart(title, LABELS[exhibit.x], series, marks, percent=kind == "accuracy") if series else None


def templates(run: Recorded, row: Row) -> Image:
    """The ten class templates of a one-layer network."""
    png = plots.render(experiment.figure(run.path, row.settings, "weights"), "png")
    alt = f"The weights of each of the ten classes as 32 x 32 colour images, {row.title}"
    return Image("class templates", alt, f"data:image/png;base64,{base64.b64encode(png).decode()}")
