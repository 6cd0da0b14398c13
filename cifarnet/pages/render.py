"""Pages made of the records of runs: one for each run folder, and an index over many."""

from __future__ import annotations

import base64
import contextlib
import functools
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifarnet import plots, readable
from cifarnet.errors import CifarnetError, RunError
from cifarnet.pages import diagnosis, kinds
from cifarnet.pages.index import index
from cifarnet.plots import style
from cifarnet.runs import KINDS, Folder, Run, catalog

if TYPE_CHECKING:
    from jinja2 import Template

VIEWS = {
    "train": kinds.training, "search": kinds.search, "gradcheck": kinds.gradient_check, "find-eta": kinds.range_test,
    "diagnose": diagnosis.content,
}  # fmt: skip
REFRESH_SECONDS = 2.0  # a page is not written more often while its run goes on


def write(run: Run) -> Path:
    """Write run.html into the folder of a run, from what it records; RunError if that cannot be read or written."""
    run.write("run.html", html("run.html.j2", content(run)))
    return run.path / "run.html"


@contextlib.contextmanager
def live_page(run: Run) -> Iterator[Callable[[], None]]:
    """Write the page of a run when the work on it ends, and while it goes on, where what is yielded is called.

    That may be called often: it writes every few seconds. A run that is left before its end says so.
    """
    written = time.monotonic()

    def refresh() -> None:
        nonlocal written
        if time.monotonic() - written >= REFRESH_SECONDS:
            with contextlib.suppress(RunError):  # where the folder is the trouble, the next record says so
                write(run)
            written = time.monotonic()

    try:
        yield refresh
    except BaseException as error:
        if run.info["pid"] != os.getpid():  # a fork ends; the run goes on in its parent
            raise
        with contextlib.suppress(RunError):  # where the folder is the trouble, the first error says so
            if run.info["status"] == "running":
                failed = isinstance(error, Exception)
                run.finish("failed", error=str(error)) if failed else run.finish("interrupted")
            write(run)
        raise
    write(run)


def write_index(runs_dir: Path, runs: Sequence[Run]) -> Path:
    """Write an index over runs, and run.html into each that can be read; RunError if a page cannot be written."""
    found = [run for run in runs if run.status != "unreadable"]
    Folder(runs_dir).write("index.html", html("index.html.j2", index(found)))
    for run in found:
        write(run)
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
    environment.globals |= {"colours": style.PAGE, "duration": readable.duration, "reported": readable.reported}
    environment.globals["source"] = lambda file: loader.get_source(environment, file)[0]
    return environment.get_template(name)


def view(run: Run) -> kinds.View:
    """Return what a run has to show; of one that is damaged, what is wrong with it."""
    try:
        return VIEWS[run.kind](run) if run.kind in VIEWS else kinds.View()
    except (CifarnetError, KeyError, TypeError, ValueError, IndexError) as error:
        what = str(error) if isinstance(error, CifarnetError) else f"its records cannot be read ({error!r})"
        return kinds.View(says=[what])


def content(run: Run) -> dict[str, Any]:
    """Return all that the page of a run shows."""
    shown, scores = view(run), run.scores if run.kind == "train" else {}
    results = {key: value for key, value in scores.items() if not key.endswith("accuracy")}
    return {
        "run": run,
        "title": run.name,
        "synthetic": run.is_synthetic,
        "kind": KINDS.get(run.kind, run.kind),
        "now": f"{datetime.now():%H:%M:%S}",
        "has_index": (run.path.parent / "index.html").is_file(),
        "view": shown,
        "figures": [*figures(run, charted=len(shown.charts) < 3)],
        "details": {
            "Results": {key: readable.measured(key, value) for key, value in results.items()},
            "Settings": {key: readable.shown(value) for key, value in run.choices.items()},
            "Environment": {key: readable.shown(value) for key, value in environment_rows(run).items()},
        },
    }


def environment_rows(run: Run) -> dict[str, Any]:
    """Return what was recorded of the machine and the code; a git diff is named, not shown."""
    with contextlib.suppress(RunError):
        if found := catalog.recorded_facts(run):
            return found | {"git_diff": "files were changed" if found.get("git_diff") else "no file was changed"}
    return {}


def figures(run: Run, *, charted: bool) -> Iterator[tuple[str, str, str]]:
    """Yield title, alternative text and address of the pictures in a run folder; not the trials that are charted."""
    known = {name: (spec.title, spec.alt) for name, spec in plots.FIGURES.items() if spec.title}
    if charted:
        del known["search"]
    known |= {
        "mistakes-*": ("Surest mistakes", "Images that the network is surest of and wrong about, with both classes"),
        "members-*": ("Networks as one", "Accuracy of the first 1, 2, ... networks as one, and of each by itself"),
    }
    for pattern, (title, alt) in known.items():
        for name, path in {path.stem: path for path in sorted(run.path.glob(f"figures/{pattern}.*g"))}.items():
            images = name.partition("-")[2].replace("-", " ")
            uri = data_uri(run.read_bytes(f"figures/{path.name}"), path.suffix[1:])  # .svg rather than .png
            yield f"{title}: {images} images" if images else title, alt, uri


def data_uri(content: bytes, kind: str = "png") -> str:
    """Return a picture as an address for a page: "png", or a figure as "svg", which is dark on a dark page."""
    content = content.replace(b"</style>", style.DARK, 1) if kind == "svg" else content
    return f"data:image/{'svg+xml' if kind == 'svg' else kind};base64,{base64.b64encode(content).decode()}"
