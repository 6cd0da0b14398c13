"""Pages made of the records of runs: one for each run folder, and an index over many."""

from __future__ import annotations

import base64
import contextlib
import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cifarnet import plots
from cifarnet.errors import RunError
from cifarnet.plots import style
from cifarnet.runs import Folder, Run, catalog

if TYPE_CHECKING:
    from jinja2 import Template

CONFUSION = "confusion-test.csv"


def write(run: Run) -> Path:
    """Write run.html into the folder of a run, from what it records; RunError if that cannot be read or written."""
    run.write("run.html", html("run.html.j2", content(run)))
    return run.path / "run.html"


def write_missing(run: Run) -> None:
    """Write the page of a completed run if its process was killed before it could, where the folder can be written."""
    if not (run.path / "run.html").exists():
        with contextlib.suppress(RunError):
            run.remove_parts()
            write(run)


@contextlib.contextmanager
def page_of(run: Run) -> Iterator[None]:
    """Write the page of a run when the work on it ends; a run that is left before its end says so."""
    try:
        yield
    except BaseException as error:
        with contextlib.suppress(RunError):  # where the folder is the trouble, the first error says so
            if run.info["status"] == "running":
                failed = isinstance(error, Exception)
                run.finish("failed", error=str(error)) if failed else run.finish("interrupted")
            write(run)
        raise
    write(run)


def write_index(runs_dir: Path, runs: Sequence[Run]) -> Path:
    """Write an index over runs, and run.html into each that can be read; RunError if a page cannot be written."""
    readable = [run for run in runs if run.status != "unreadable"]
    for run in readable:
        write(run)
    columns = catalog.columns(readable, "page")
    shown = {
        "title": f"{len(readable)} runs",
        "columns": ["#" * column.number + heading for heading, column in columns.items()],
        "rows": [
            (quote(os.fsencode(run.name)), [(column.cell(run), column.number) for column in columns.values()])
            for run in readable
        ],
        "synthetic": any(map(synthetic, readable)),
    }
    Folder(runs_dir).write("index.html", html("index.html.j2", shown))
    return runs_dir / "index.html"


def html(name: str, shown: Mapping[str, Any]) -> bytes:
    """Fill a template; what UTF-8 has no bytes for, as in the name of a folder, becomes a question mark."""
    return template(name).render(shown).encode(errors="replace")


@functools.cache
def template(name: str) -> Template:
    """Return a template of this room; what it asks for and is not given is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("cifarnet.pages", ".")
    settings: dict[str, Any] = {"undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    environment = Environment(loader=loader, autoescape=True, **settings)
    environment.globals["colours"] = style.PAGE
    return environment.get_template(name)


def content(run: Run) -> dict[str, Any]:
    """Return all that the page of a run shows."""
    info, scores = run.info, run.scores
    classes, confusion = confusions(run)
    return {
        "title": run.name,
        "kind": run.kind,
        "label": run.label,
        "status": run.status,
        "started": info.get("started", ""),
        "time": catalog.duration(info["seconds"]) if "seconds" in info else "",
        "error": info.get("error", ""),
        "synthetic": synthetic(run),
        "accuracies": [
            (split, catalog.percent(scores[f"{split}_accuracy"]))
            for split in ("test", "validation", "train")
            if f"{split}_accuracy" in scores
        ],
        "results": [(key, f"{value:.6g}") for key, value in scores.items() if not key.endswith("accuracy")],
        "notes": run.notes,
        "command": f"cifarnet train --config {run.path / 'config.yaml'}" if run.kind == "train" else "",
        "figures": [(spec, uri) for name, spec in plots.FIGURES.items() if (uri := picture(run, name))],
        "classes": [f"#{name}" for name in classes],
        "confusion": confusion,
        "tables": {
            title: {key: catalog.shown(value) for key, value in values.items()}
            for title, values in {"Settings": run.choices, "Environment": environment(run)}.items()
        },
    }


def synthetic(run: Run) -> bool:
    return bool(run.choices.get("data.source") == "synthetic")


def environment(run: Run) -> dict[str, Any]:
    """Return what was recorded of the machine and the code; a git diff is named, not shown."""
    try:
        found = catalog.environment(run)
    except RunError:
        return {}
    changed = {"git_diff": "files were changed" if found.get("git_diff") else "no file was changed"}
    return found | changed if found else {}


def picture(run: Run, name: str) -> str:
    """Return a figure of the run as an address for its page; empty where there is none."""
    kinds = [kind for kind in ("png", "svg") if (run.path / f"figures/{name}.{kind}").is_file()]
    return data_uri(run.read_bytes(f"figures/{name}.{kinds[0]}"), kinds[0]) if kinds else ""


def data_uri(content: bytes, kind: str = "png") -> str:
    """Return a picture, "png" or "svg", as an address for a page."""
    return f"data:image/{'svg+xml' if kind == 'svg' else kind};base64,{base64.b64encode(content).decode()}"


def confusions(run: Run) -> tuple[list[str], list[list[int]]]:
    """Return the names of the classes and the counts on the test images; nothing where there are none."""
    if not (run.path / CONFUSION).is_file():
        return [], []
    table = run.read_table(CONFUSION)
    return list(table), [[int(count) for count in row] for row in zip(*table.values(), strict=True)]
