"""Pages made of the records of runs: one for each run folder, and an index over many."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cifarnet import catalogue, runs
from cifarnet.catalogue import Entry
from cifarnet.errors import RunError

FIGURES = {
    "curves": ("Curves", "Cost, loss and accuracy on the training and validation images against the update step"),
    "eta": ("Learning rate", "The learning rate of every update"),
    "weights": ("Weights", "The weights of the first layer as colour images of 32 x 32 pixels"),
}


def write(path: Path) -> Path:
    """Write run.html into a run folder, from what it records; returns its path.

    Raises
    ------
    RunError
        If the folder cannot be read or written.
    """
    runs.Run(path).write("run.html", template("run.html.j2").render(content(catalogue.Entry(path, runs.read(path)))))
    return path / "run.html"


def mend(path: Path) -> None:
    """Write the page of a completed run if its process was killed before it could, where the folder can be written."""
    if not (path / "run.html").exists():
        with contextlib.suppress(RunError):
            runs.Run(path).sweep()
            write(path)


@contextlib.contextmanager
def page_of(run: runs.Run) -> Iterator[None]:
    """Write the page of a run when the work on it ends; a run that is left before its end says so."""
    try:
        yield
    except BaseException as error:
        with contextlib.suppress(RunError):  # where the folder is the trouble, the first error says so
            if run.info["status"] == "running":
                run.finish("failed" if isinstance(error, Exception) else "interrupted")
            write(run.path)
        raise
    write(run.path)


def write_index(runs_dir: Path, found: Sequence[Entry]) -> Path:
    """Write an index over runs, and run.html into each that can be read; returns the path of the index.

    Raises
    ------
    RunError
        If a page cannot be written.
    """
    readable = [e for e in found if e.info["status"] != "unreadable"]
    for e in readable:
        write(e.path)
    settings = catalogue.columns(readable)[: -len(catalogue.ACCURACIES)]
    rows = [(e.path.name, line(e, settings)) for e in readable]
    columns = ["run", "kind", "label", "status", "started", *settings, "validation", "test", "time"]
    synthetic = any(e.settings.get("data.source") == "synthetic" for e in readable)
    text = template("index.html.j2").render(count=len(rows), columns=columns, rows=rows, synthetic=synthetic)
    runs.Run(runs_dir).write("index.html", text)
    return runs_dir / "index.html"


def line(e: Entry, settings: Sequence[str]) -> list[str]:
    """What the index shows of a run beside its name."""
    facts = [str(e.info.get(key, "")) for key in ("kind", "label", "status", "started")]
    shown = [catalogue.shown(e.settings[key]) if key in e.settings else "" for key in settings]
    return [*facts, *shown, *(percent(e.results.get(key)) for key in catalogue.ACCURACIES), seconds(e)]


def template(name: str, package: str = "cifarnet.page") -> Any:
    """A page of a package's folder; it may include the style sheet, which is here."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    loader = ChoiceLoader([PackageLoader(folder, ".") for folder in (package, "cifarnet.page")])
    settings: dict[str, Any] = {"undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    return Environment(loader=loader, autoescape=True, **settings).get_template(name)


def content(e: Entry) -> dict[str, Any]:
    """All that the page of a run shows."""
    accuracies = [(split, f"{split}_accuracy") for split in ("test", "validation", "train")]
    figures = [(title, alt, data) for name, (title, alt) in FIGURES.items() if (data := picture(e.path, name))]
    classes, confusion = confusions(e.path)
    tables = {"Settings": e.settings, "Environment": environment(e.path)}
    return {
        "name": e.path.name,
        "kind": e.info["kind"],
        "label": e.info["label"],
        "status": e.info["status"],
        "started": e.info.get("started", ""),
        "time": seconds(e),
        "error": e.info.get("error", ""),
        "synthetic": e.settings.get("data.source") == "synthetic",
        "accuracies": [(split, percent(e.results[key])) for split, key in accuracies if key in e.results],
        "results": [(key, f"{v:.6g}") for key, v in e.results.items() if not key.endswith("accuracy")],
        "notes": runs.notes(e.path),
        "command": f"cifarnet train --config {e.path / 'config.yaml'}" if e.info["kind"] == "train" else "",
        "figures": figures,
        "classes": classes,
        "confusion": confusion,
        "tables": [
            (title, [(k, catalogue.shown(v)) for k, v in rows.items()]) for title, rows in tables.items() if rows
        ],
    }


def environment(path: Path) -> dict[str, Any]:
    """What was recorded of the machine and the code; a git diff is named, not shown."""
    try:
        found = catalogue.environment(path)
    except RunError:
        return {}
    return found | {"git_diff": "files were changed" if found.get("git_diff") else "no file was changed"}


def picture(path: Path, name: str) -> str:
    """A figure of the run as a data URI; empty where there is none."""
    for ending, kind in (("png", "png"), ("svg", "svg+xml")):
        if (figure := path / "figures" / f"{name}.{ending}").is_file():
            return f"data:image/{kind};base64,{base64.b64encode(runs.read_figure(figure)).decode()}"
    return ""


def confusions(path: Path) -> tuple[list[str], list[list[int]]]:
    """The class names and the counts of confusion-test.csv; nothing where there is none."""
    file = path / "confusion-test.csv"
    if not file.is_file():
        return [], []
    table = runs.read_table(file)
    return list(table), [[int(count) for count in row] for row in zip(*table.values(), strict=True)]


def percent(share: float | None) -> str:
    return "" if share is None else f"{share:.2%}"


def seconds(e: Entry) -> str:
    return f"{e.info['seconds']:,.1f} s" if "seconds" in e.info else ""
