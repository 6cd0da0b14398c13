"""The page: index.html, report.md and numbers.csv from the studies and the records alone."""

from __future__ import annotations

import base64
import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cifarnet import experiment, page, plots, runs
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


def show(value: float, quantity: str) -> str:
    """A number as people read it: accuracies in per cent, errors with a power of ten."""
    if math.isnan(value):
        return "–"
    if "accuracy" in quantity:
        return f"{100 * value:.2f} %"
    if "error" in quantity:
        return f"{value:.2e}"
    return f"{value:.1f} s" if quantity == "seconds" else f"{value:.4g}"


def gap(value: float, quantity: str) -> str:
    """A difference, with its sign; of accuracies in percentage points."""
    if math.isnan(value) or "error" in quantity or quantity == "seconds":
        return "–"
    return (f"{100 * value:+.2f}" if "accuracy" in quantity else f"{value:+.3g}").replace("-", "−")


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.0f} s"


def html(book: Book) -> str:
    """The page as one self-contained file."""
    alone, names = apart(book), {"duration": duration, "show": show, "gap": gap, "isnan": math.isnan}
    command = f"cifarnet reproduce-report --studies {alone.id}" if alone else "cifarnet reproduce-report"
    words = {"title": title(book), "apart": bool(alone), "command": command}
    return str(page.template("page.html.j2", "cifarnet.report").render(book=book, **names, **words, **summary(book)))


def apart(book: Book) -> Study | None:
    """The study that stands apart, where the page is of nothing else."""
    studies = [chapter.study for chapter in book.chapters]
    return studies[0] if len(studies) == 1 and studies[0].apart else None


def title(book: Book) -> str:
    """What the page is called."""
    alone = apart(book)
    return alone.title if alone else "What the reports claim, measured again"


def summary(book: Book) -> dict[str, Any]:
    """The figures at the head of the page, and of the line at the end of the command."""
    everything = [e for found in book.entries.values() for e in found]
    claims = [tested for found in book.claims.values() for tested in found]
    return {
        "accuracies": compare.count([e for e in everything if e.is_accuracy and e.verdict != "setting"])._asdict(),
        "numbers": compare.count(everything)._asdict(),
        "total": len(everything),
        "claims_hold": sum(t.verdict == "holds" for t in claims),
        "claims_fail": sum(t.verdict == "does not hold" for t in claims),
        "claims_open": sum(t.verdict == "undecided" for t in claims),
        "claims": len(claims),
        "seeds": max((len(keys) for keys in book.state["rows"].values()), default=0),
    }


def table(book: Book) -> str:
    """numbers.csv: every number that the reports print. Our own times are left out, as they differ from run to run."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(Entry._fields)
    for found in book.entries.values():
        for e in found:
            timeless = e._replace(mean=math.nan, std=math.nan, difference=math.nan) if e.quantity == "seconds" else e
            writer.writerow(
                "" if v != v else f"{v:.6g}" if isinstance(v, float) and i != 6 else v for i, v in enumerate(timeless)
            )
    return out.getvalue()


def markdown(book: Book) -> str:
    """report.md: the same tables without the figures."""
    from tabulate import tabulate

    out = [f"# {title(book)}", ""]
    out += [closing(book), ""]
    for chapter in book.chapters:
        out += [f"## {chapter.study.author}: {chapter.study.title}", ""]
        rows = [
            [e.exhibit, e.row, e.quantity, e.text, show(e.mean, e.quantity), show(e.std, e.quantity), e.n,
             gap(e.difference, e.quantity), e.verdict, e.reason]
            for e in book.entries[chapter.study.id] if e.verdict != "setting"
        ]  # fmt: skip
        headers = ["exhibit", "row", "quantity", "reported", "mean", "std", "n", "difference", "verdict", "remark"]
        if apart(book):
            headers, rows = [*headers[:3], *headers[4:7]], [[*row[:3], *row[4:7]] for row in rows]
        out += [tabulate(rows, headers, tablefmt="github", disable_numparse=True), ""]
        out += [f"- {t.claim.says} *{t.verdict}* {t.claim.explanation}".rstrip() for t in chapter.claims] + [""]
    return "\n".join(out)


def closing(book: Book) -> str:
    """The line that ends the command."""
    if book.incomparable:
        return f"Nothing is compared: {book.incomparable}."
    head = summary(book)
    a = head["accuracies"]
    accuracies = f"{a['agrees']} of {a['agrees'] + a['differs']} accuracies agree; "
    return f"{'' if apart(book) else accuracies}{head['claims_hold']} of {head['claims']} claims hold."


def write(book: Book, folder: Path) -> Path:
    """Write the three files; returns the path of the page."""
    for name, text in {"numbers.csv": table(book), "report.md": markdown(book), "index.html": html(book)}.items():
        runs.write_whole(folder / name, text.encode())
    return folder / "index.html"
