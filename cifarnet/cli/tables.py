"""Tables for a terminal: as wide as it is, and as they are where there is none."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from tabulate import tabulate

if TYPE_CHECKING:
    from cifarnet.catalogue import Entry

COLOURS = {"completed": "green", "running": "blue", "interrupted": "yellow", "stale": "yellow"}


def table(rows: Iterable[Sequence[Any]], headers: Sequence[str], **look: Any) -> str:
    """A row a line; where the terminal is too narrow for that, a value a line under its header's name."""
    rows = list(rows)
    text = tabulate(rows, headers, **look)
    if fits(text):
        return text
    names = [" ".join(header.split()) for header in headers]
    lines = tabulate(rows, tablefmt="tsv", **look).splitlines()  # each value as in the table
    blocks = [zip(names, (cell.strip() for cell in line.split("\t")), strict=True) for line in lines]
    return "\n\n".join(tabulate(block, tablefmt="plain", disable_numparse=True) for block in blocks)


def fits(text: str) -> bool:
    """Whether no line is wider than the terminal; without one, any text fits."""
    return not sys.stdout.isatty() or max(map(len, text.splitlines())) <= shutil.get_terminal_size().columns


def overview(found: Sequence[Entry]) -> str:
    """A table of runs; where the terminal is too narrow, columns are left out, settings first, and named."""
    from cifarnet import catalogue

    now, handles, shown = datetime.now(UTC), catalogue.handles(found), catalogue.columns(found)
    settings = shown[: -len(catalogue.ACCURACIES)]
    columns = {
        "run": [handles[e.path] for e in found],
        "age": [duration(e.age(now)) for e in found],
        "kind": list(map(kind, found)),
        "label": list(map(label, found)),
        "status": list(map(status, found)),
    }
    left, ends = len(columns), [key.rpartition(".")[2] for key in settings]
    names = [e if ends.count(e) == 1 and e not in columns else key for e, key in zip(ends, settings, strict=True)]
    for key, name in zip(settings, names, strict=True):
        columns[name] = [catalogue.shown(e.values[key]) if key in e.values else "" for e in found]
    for key, name in zip(catalogue.ACCURACIES, ("validation", "test"), strict=True):
        columns[name] = [percent(e.results.get(key)) for e in found]
    columns["time"] = list(map(seconds, found))
    right, expendable, dropped = set(list(columns)[left:]), [*reversed(names), "kind", "time", "age", "label"], []

    def text() -> str:
        align = ["right" if name in right else "left" for name in columns]
        return tabulate(columns, headers="keys", disable_numparse=True, colalign=align)

    while expendable and not fits(text().split("\n")[1]):  # colours do not count
        dropped.append(expendable.pop(0))
        del columns[dropped[-1]]
    return text() + (f"\nToo narrow for {', '.join(dropped)}: --csv has all" if dropped else "")


def kind(e: Entry) -> str:
    return str(e.info.get("kind", ""))


def label(e: Entry) -> str:
    return str(e.info.get("label", ""))


def status(e: Entry) -> str:
    return click.style(e.info["status"], fg=COLOURS.get(e.info["status"], "red"))


def percent(share: float | None) -> str:
    return "" if share is None else f"{share:.2%}"


def seconds(e: Entry) -> str:
    return duration(e.info["seconds"]) if "seconds" in e.info else ""


def duration(seconds: float) -> str:
    """A time in the two units that matter, such as 3 min 20 s."""
    if seconds == float("inf"):
        return "?"
    for size, unit, part, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if seconds >= size:
            whole, rest = divmod(int(seconds), size)
            return f"{whole} {unit} {rest // part} {smaller}"
    return f"{seconds:.1f} s"


def side_by_side(title: str, rows: dict[str, list[Any]], found: Sequence[Entry]) -> str:
    """A row a key, a column a run."""
    from cifarnet import catalogue

    if not rows:
        return f"{title}: the same"
    handles = catalogue.handles(found)
    lines = [[key, *("" if v is None else short(catalogue.shown(v)) for v in values)] for key, values in rows.items()]
    return table(lines, [title, *(handles[e.path] for e in found)], disable_numparse=True)


def short(text: str) -> str:
    """On one line of a table: a git diff has thousands."""
    line = " ".join(text.split())
    return line if len(line) <= 40 else f"{line[:37]}..."
