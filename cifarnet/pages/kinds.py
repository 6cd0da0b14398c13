"""What the page of a run shows of its kind: of a training, a search, a gradient check or a range test."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from cifarnet import plots
from cifarnet.plots.experiments import placed
from cifarnet.plots.figures import eta_of, ramps, scales
from cifarnet.plots.lines import PANELS
from cifarnet.plots.style import PALETTE, Floats
from cifarnet.readable import duration, evenly, in_table, percent
from cifarnet.runs import Run, catalog
from cifarnet.runs.trials import stages

POINTS = 400  # of a curve: as many as one sees
SPLITS = {"test": "test", "validation": "validation", "train": "training"}
RIGHT = "of the {} images classified rightly"
CONFUSION = "confusion-test.csv"


class Cell(NamedTuple):
    """A cell of a table: what it is sorted by where that is not its text, its look, and how dark it is (0 to 1)."""

    text: str
    value: Any = None
    look: str = ""
    shade: float | None = None


class Table(NamedTuple):
    """Columns with a # before their name are of numbers; the first cell of a row names it."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    look: str = "sortable"


@dataclass
class View:
    """What a page shows: scores as text and caption, commands by what they are for, charts, and tables with rows."""

    scores: list[tuple[str, str]] = field(default_factory=list)
    says: list[str] = field(default_factory=list)
    commands: dict[str, str] = field(default_factory=dict)
    charts: list[plots.Chart | None] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    source: str = ""  # code that was checked


def training(run: Run) -> View:
    known = {shown: run.scores.get(f"{split}_accuracy") for split, shown in SPLITS.items()}
    found = View([(percent(score), RIGHT.format(split)) for split, score in known.items() if score is not None])
    if run.is_stopped:
        found.commands["Go on"] = f"cifarnet train --resume {run.path}"
    if run.status == "completed":
        found.commands["Evaluate it"] = f"cifarnet evaluate {run.path}"
    found.commands["Repeat it"] = f"cifarnet train --config {run.path / 'config.yaml'}"
    if (run.path / "metrics.csv").is_file() and len((records := run.records)["step"]):
        found.charts = curves(run, records)
        if not found.scores:
            done = f" after {records['step'][-1]:,.0f} of {run.settings.updates:,} updates"
            found.scores = [(percent(records["validation_accuracy"][-1]), RIGHT.format("validation") + done)]
    if (run.path / CONFUSION).is_file():
        found.tables.append(confusions(run))
    return found


def curves(run: Run, records: Mapping[str, Floats]) -> list[plots.Chart | None]:
    """Draw cost, loss and accuracy with the ends of the cycles, and the learning rate of all updates."""
    kept, cycles = thinned(records), records.get("cycle", np.zeros(len(records["step"])))
    ends = records["step"][:-1][np.diff(cycles) > 0].tolist()
    found = []
    for name, label in PANELS.items():
        columns = {split: kept[f"{split}_{name}"] for split in ("train", "validation")}
        series = [plots.Series(SPLITS[split], kept["step"], y) for split, y in columns.items()]
        title = label.removesuffix(" (%)")
        found.append(plots.chart(title, "update step", series, percent=name == "accuracy", marks=ends))
    steps, etas = eta_of(run, 2 * POINTS)
    so_far = steps <= (records["step"][-1] if run.is_stopped else steps[-1])
    rate = plots.Series("learning rate", steps[so_far].astype(float), etas[so_far])
    return [*found, plots.chart("learning rate η", "update step", [rate], marks=ends)]


def thinned(records: Mapping[str, Floats], most: int = POINTS) -> dict[str, Floats]:
    """Return some rows of a table, evenly spread, the first and the last among them."""
    rows = evenly(len(records["step"]), most)
    return {name: column[rows] for name, column in records.items()}


def confusions(run: Run) -> Table:
    """Return the counts on the test images, each as dark as the fraction of its true class."""
    columns = run.read_table(CONFUSION)
    matrix = np.array(list(columns.values())).T.astype(int)
    fractions = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    rows = [
        [Cell(name), *(Cell(f"{count:,}", shade=round(shade, 3)) for count, shade in zip(counts, shades, strict=True))]
        for name, counts, shades in zip(columns, matrix.tolist(), fractions.tolist(), strict=True)
    ]
    caption = "A row for each true class, a column for each predicted one; the stronger its colour, the more there are"
    names = ["true class", *(f"#{name}" for name in columns)]
    return Table("Confusions on the test images", names, rows, caption, "confusions")


def search(run: Run) -> View:
    plan, logs = run.read_json("plan.json"), scales(run)
    earlier, done = [[], *stages(run).values()][-2:]
    groups = {"earlier": earlier, "trial": done, "best": done[:1]}
    names, count = catalog.short_names(logs), len({trial["index"] for trial in plan["trials"]})
    found = View(
        says=[f"{len(done)} of {count} planned trials are completed."],
        commands=next_commands(run, plan),
        charts=[against(key, log, groups) for key, log in logs.items()],
        tables=[trials(run, plan, done, names)],
    )
    if done:
        best = ", ".join(f"{name} {done[0]['values'][key]:.4g}" for key, name in names.items())
        found.scores = [(percent(done[0]["accuracy"]), f"on the validation images with the best trial: {best}")]
    return found


def trials(run: Run, plan: Mapping[str, Any], done: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> Table:
    """Return a row for each trial of a search."""
    status = {int(row["index"]): row["status"] for row in run.read_rows("trials.csv")}
    ended = {trial["index"]: trial for trial in done}
    every = ended | {trial["index"]: trial for trial in plan["trials"] if trial["index"] not in ended}
    some_spread = any(trial["spread"] for trial in done)
    measures: dict[str, Callable[[Mapping[str, Any]], str]] = {
        "#validation accuracy": lambda trial: percent(trial["accuracy"]),
        **({"#± std": lambda trial: percent(trial["spread"])} if some_spread else {}),
        "#best on the way": lambda trial: percent(trial["best_validation_accuracy"]),
        "#loss": lambda trial: f"{trial['validation_loss']:.4f}",
        "#time": lambda trial: duration(trial["seconds"]),
    }
    rows = []
    for index, trial in every.items():
        how = status.get(index, "waiting" if run.status == "running" else "missing")
        values = [Cell(f"{trial['values'][key]:.5g}") for key in names]
        results = [Cell(show(trial) if "accuracy" in trial else "") for show in measures.values()]
        rows.append([Cell(str(index)), *values, *results, Cell(how, look=how)])
    return Table("Trials", ["trial", *(f"#{name}" for name in names.values()), *measures, "status"], rows, "Best first")


def against(key: str, log: bool, groups: Mapping[str, Sequence[Mapping[str, Any]]]) -> plots.Chart | None:
    """Draw the accuracies of a search, and of the one that it started from, against one setting."""
    places, name = placed(groups, key, log), "λ" if key == "training.lambda" else key.rpartition(".")[2]
    points = []
    for (group, trials), colour in zip(groups.items(), ("soft", "c0", "c1"), strict=True):
        for x, trial in zip(places[group].tolist(), trials, strict=True):
            note = f"trial {trial['index']}" if "index" in trial else ""
            points.append(plots.Point(group, x, trial["accuracy"], trial["spread"], colour, note))
    return plots.chart("validation accuracy", f"log₁₀ {name}" if log else name, [], points, percent=True)


def next_commands(run: Run, plan: Mapping[str, Any]) -> dict[str, str]:
    """Return what to call next: to finish a search, to search finer, or to train with the best."""
    command = "search" if plan["general"] else "search-lambda"
    if run.is_stopped:
        return {"Go on": f"cifarnet {command} --resume {run.path}"}
    if run.status != "completed":
        return {}
    final = {"Train with the best": f"cifarnet train --config {run.path / 'best.yaml'}"}
    finer = {"Search finer": f"cifarnet {command} fine --from {run.path}"}
    return final if plan["stage"] == "fine" else finer | final


CHECKED = {  # columns of a gradient check, by key
    "name": "parameter", "passed": "verdict", "norm_relative_error": "#error", "tolerance": "#tolerance",
    "hidden": "hidden layers", "lambda": "#λ", "method": "method", "max_relative_error": "#max relative",
    "max_absolute_error": "#max absolute", "n": "#values", "kinks": "#across a kink",
    "images": "#n", "numerical_error": "#error to the numerical gradient",
}  # fmt: skip


def gradient_check(run: Run) -> View:
    results = run.results
    if not results:
        return View(says=["No gradients are compared yet: the table comes at the end."], commands=repeat_command(run))
    rows, verdict = results["parameters"], "passed" if results["passed"] else "FAILED"
    columns = {key: heading for key, heading in CHECKED.items() if key in rows[0]}
    cells = [[checked(key, row.get(key)) for key in columns] for row in rows]
    caption = "Error: ‖ga − gn‖ / (‖ga‖ + ‖gn‖) of a parameter; at most its tolerance, the gradient is right"
    table = Table("Parameters", [*columns.values()], cells, caption)
    if "source" not in results:
        failed = sum(not row["passed"] for row in rows)
        which = f"{failed} of {len(rows)} parameters differ from" if failed else f"{len(rows)} parameters agree with"
        return View([(verdict, f"{which} the numerical gradient")], tables=[table])
    mistakes = [[Cell(found[key]) for key in ("mistake", "shows", "right")] for found in results["mistakes"]]
    wrong = Table("What is wrong", ["mistake", "where it shows", "what is right"], mistakes)
    return View(
        [(verdict, f"{results['function']} in {results['code']}")],
        says=[*results["comparisons"], *results["differences"], *results["notes"], results["how"]],
        tables=[wrong, table],
        source="\n".join([*(f"# {line}" for line in results["taken"]), results["source"]]),
    )


def repeat_command(run: Run) -> dict[str, str]:
    """Return the command that repeats a run which was stopped; that of a student's code has no settings."""
    stopped = run.is_stopped and "network.hidden" in run.choices
    return {"Do it again": f"cifarnet {run.kind} --config {run.path / 'config.yaml'}"} if stopped else {}


def checked(key: str, value: Any) -> Cell:
    """Return a cell of a gradient check."""
    if key == "passed":
        return Cell("✓ right" if value else "≠ wrong", look="good" if value else "bad")
    return Cell(in_table(key, value))


def range_test(run: Run) -> View:
    tables, chosen, log = ramps(run)
    found = View(commands=repeat_command(run))
    found.says = ["The learning rates are chosen at the end." if tables else "Nothing is measured yet."]
    marks = [math.log10(eta) if log else eta for pair in chosen.values() for eta in pair]
    x_label = "log₁₀ η" if log else "learning rate η"
    for column, title in {"accuracy": "validation accuracy", "loss": "mean loss of the batches"}.items():
        series = [
            plots.Series(name, np.log10(table["eta"]) if log else table["eta"], table[column], colour=PALETTE[i % 7])
            for i, (name, table) in enumerate(tables.items())
        ]
        if column == "loss":  # one that explodes would hide all the others
            highest = 1.5 * max((float(s.y[np.isfinite(s.y)][:1].max(initial=0)) for s in series), default=0)
            series = [s._replace(y=np.where(s.y > highest, np.nan, s.y)) for s in series]
        found.charts.append(plots.chart(title, x_label, series, percent=column == "accuracy", marks=marks))
    if chosen:
        rows = [
            [Cell(name), *(Cell(f"{eta:g}") for eta in pair), Cell(f"cifarnet train --config {run.path / name}.yaml")]
            for name, pair in chosen.items()
        ]
        columns, caption = ["setting", "#eta_min", "#eta_max", "train with it"], "The dotted lines of the charts"
        found.says, found.tables = [run.results["rule"]], [Table("Chosen", columns, rows, caption)]
    return found
