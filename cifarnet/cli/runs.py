"""The commands about run folders: list, show, compare, page, rm, note."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cifarnet.cli import completion, options
from cifarnet.cli.options import echo_json
from cifarnet.errors import RunError

if TYPE_CHECKING:
    from cifarnet.catalogue import Entry

COLOURS = {"completed": "green", "running": "blue", "interrupted": "yellow", "stale": "yellow"}
filters = click.option(
    "--filter",
    "conditions",
    multiple=True,
    metavar="CONDITION",
    help="Such as lambda<1e-3 or status=completed.",
    shell_complete=completion.value_names,
)


@click.group()
def runs() -> None:
    """The runs so far: list, show, compare, note, remove.

    RUN is a run folder, the beginning of its name that no other shares, or latest.

    \b
    Examples:
      cifarnet runs list --sort -validation_accuracy
      cifarnet runs show latest
    """


@runs.command("list")
@filters
@click.option(
    "--sort",
    metavar="KEY",
    shell_complete=completion.value_names,
    help="Smallest first; -KEY: largest first. By default the newest first.",
)
@options.runs_dir
@options.as_json
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values, unrounded.")
def list_runs(conditions: tuple[str, ...], sort: str | None, runs_dir: Path, as_json: bool, as_csv: bool) -> None:
    """List runs, with those settings that differ between them.

    A key of --filter and --sort is a setting such as training.lambda (or lambda, where that is enough), a result such
    as test_accuracy, or one of run, kind, label, status, started, seconds. The first column names a run everywhere.

    \b
    Examples:
      cifarnet runs list --filter "lambda<1e-3" --sort -validation_accuracy
      cifarnet runs list --filter status=completed --csv > runs.csv
    """
    from cifarnet import catalogue

    found = catalogue.select(catalogue.entries(runs_dir), conditions)
    if sort:
        found = catalogue.arrange(found, sort)
    if as_json:
        echo_json({"runs": [dict(e.info) | {"run": str(e.path)} for e in found]})
    elif as_csv:
        echo_csv(found)
    elif found:
        click.echo(overview(found))
    else:
        click.echo(f"no runs in {runs_dir}{' meet this' if conditions else ''}", err=True)


def echo_csv(found: Sequence[Entry]) -> None:
    """What the table shows, as it was recorded."""
    import csv
    import io

    from cifarnet import catalogue

    out = io.StringIO()
    header = [*catalogue.FACTS, *catalogue.columns(found)]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([e.values.get(key, "") for key in header] for e in found)
    click.echo(out.getvalue(), nl=False)


def overview(found: Sequence[Entry]) -> str:
    """A table of runs; where the terminal is too narrow, settings are left out from the right, and named."""
    from tabulate import tabulate

    from cifarnet import catalogue

    now, handles, shown = datetime.now(UTC), catalogue.handles(found), catalogue.columns(found)
    settings = shown[: -len(catalogue.ACCURACIES)]
    ends = [key.rpartition(".")[2] for key in settings]
    names = [end if ends.count(end) == 1 else key for end, key in zip(ends, settings, strict=True)]
    left = [[handles[e.path], duration(e.age(now)), kind(e), label(e), status(e)] for e in found]
    middle = [[catalogue.shown(e.values[key]) if key in e.values else "" for key in settings] for e in found]
    right = [[*(percent(e.results.get(key)) for key in catalogue.ACCURACIES), seconds(e)] for e in found]

    def table(count: int) -> str:
        rows = [a + b[:count] + c for a, b, c in zip(left, middle, right, strict=True)]
        headers = ["run", "age", "kind", "label", "status", *names[:count], "validation", "test", "time"]
        align = ["left"] * 5 + ["right"] * (count + 3)
        return tabulate(rows, headers, disable_numparse=True, colalign=align)

    count = fitting(table, len(settings))
    rest = f"\nToo narrow for {', '.join(settings[count:])}: --csv has all" if count < len(settings) else ""
    return table(count) + rest


def fitting(table: Callable[[int], str], most: int) -> int:
    """How many columns of settings fit on the terminal; all of them where there is none."""
    import shutil

    if not sys.stdout.isatty():
        return most
    width = shutil.get_terminal_size().columns
    rules = {count: table(count).split("\n")[1] for count in range(most, 0, -1)}
    return next((count for count, line in rules.items() if len(line) <= width), 0)


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


@runs.command()
@click.argument("name", metavar="[RUN]", default="latest", shell_complete=completion.run_names)
@options.runs_dir
@options.as_json
def show(name: str, runs_dir: Path, as_json: bool) -> None:
    """Show a run: what it is, what it reached, its settings, its notes and the command that repeats it.

    The status is running, completed, interrupted, diverged, failed, or stale: said to run, but its process is gone.

    \b
    Example:
      cifarnet runs show latest
    """
    from cifarnet import catalogue
    from cifarnet import runs as folders

    path = folders.find(name, runs_dir)
    e = catalogue.Entry(path, folders.read(path))
    notes = folders.notes(path)
    if as_json:
        echo_json(dict(e.info) | {"run": str(path), "notes": notes})
        return
    facts = {"run": str(path), "kind": kind(e), "label": label(e), "status": status(e), "time": seconds(e)}
    facts |= {"started": e.info.get("started", ""), "error": e.info.get("error", "")}
    facts |= {key: result(key, value) for key, value in e.results.items()}
    echo_facts(facts)
    click.echo()
    echo_facts({key: catalogue.shown(value) for key, value in e.settings.items()})
    for note in notes:
        click.echo(f"\nnote of {note}")
    if kind(e) == "train" and e.info["status"] in ("stale", "interrupted"):
        click.echo(f"\nTo go on: cifarnet train --resume {path}")
    if kind(e) == "train":
        click.echo(f"\nRepeat it: cifarnet train --config {path / 'config.yaml'}")


def result(key: str, value: float) -> str:
    return percent(value) if key.endswith("accuracy") else f"{value:,}" if isinstance(value, int) else f"{value:.5g}"


def echo_facts(facts: dict[str, str]) -> None:
    width = max(map(len, facts), default=0)
    for key, value in facts.items():
        if value:
            click.echo(f"{key:{width}}  {value}")


@runs.command()
@click.argument("names", metavar="RUN RUN...", nargs=-1, required=True, shell_complete=completion.run_names)
@options.runs_dir
@options.figure_format
@options.as_json
def compare(names: tuple[str, ...], runs_dir: Path, figure_format: str, as_json: bool) -> None:
    """Compare runs: settings and environment where they differ, results side by side, the curves in one figure.

    Of runs of the same settings whose results differ, says which of the recorded causes may explain it.

    \b
    Example:
      cifarnet runs compare 20261121-0835 latest
    """
    from cifarnet import catalogue, plots
    from cifarnet import runs as folders

    found = [catalogue.entry(folders.find(name, runs_dir)) for name in names]
    if len({e.path.resolve() for e in found}) < 2:
        raise click.UsageError("name at least two different runs")
    settings, environments = [e.settings for e in found], [catalogue.environment(e.path) for e in found]
    parts: dict[str, dict[str, list[Any]]] = {
        "settings": {key: [s.get(key) for s in settings] for key in catalogue.differing(settings)},
        "environment": {key: [e.get(key) for e in environments] for key in catalogue.differing(environments)},
        "results": {key: [e.values.get(key) for e in found] for key in catalogue.results(found)},
    }
    curves = {e.path.name: folders.read_curves(e.path) for e in found if catalogue.has_curves(e)}
    figure = runs_dir / f"comparison.{figure_format}" if curves else None
    if figure:
        drawn = plots.overlay(curves)
        if any(e.settings.get("data.source") == "synthetic" for e in found):
            plots.stamp(drawn, plots.SYNTHETIC)
        folders.Run(runs_dir).write(figure.name, plots.render(drawn, figure_format))
    causes = list(catalogue.causes(found))
    if as_json:
        echo_json({"runs": [str(e.path) for e in found], **parts, "causes": causes, "figure": figure and str(figure)})
        return
    for title, rows in parts.items():
        click.echo(side_by_side(title, rows, found) + "\n")
    for cause in causes:
        click.echo(f"{cause['runs'][0]} and {cause['runs'][1]} have the same settings and differ: {cause['why']}\n")
    if figure:
        click.echo(f"Curves: {figure}")


def side_by_side(title: str, rows: dict[str, list[Any]], found: Sequence[Entry]) -> str:
    """A row a key, a column a run."""
    from tabulate import tabulate

    from cifarnet import catalogue

    if not rows:
        return f"{title}: the same"
    handles = catalogue.handles(found)
    lines = [[key, *("" if v is None else short(catalogue.shown(v)) for v in values)] for key, values in rows.items()]
    return tabulate(lines, [title, *(handles[e.path] for e in found)], disable_numparse=True)


def short(text: str) -> str:
    """On one line of a table: a git diff has thousands."""
    line = " ".join(text.split())
    return line if len(line) <= 40 else f"{line[:37]}..."


@runs.command("page")
@filters
@options.runs_dir
@options.as_json
def make_page(conditions: tuple[str, ...], runs_dir: Path, as_json: bool) -> None:
    """Write index.html over runs into the runs folder, and run.html into each of theirs.

    A page needs no network and nothing beside it.

    \b
    Example:
      cifarnet runs page --filter status=completed
    """
    from cifarnet import catalogue, page

    found = catalogue.select(catalogue.entries(runs_dir), conditions)
    if not found:
        raise RunError(f"no runs in {runs_dir}{' meet this' if conditions else ''}")
    index = page.write_index(runs_dir, found)
    if as_json:
        echo_json({"page": str(index), "runs": [str(e.path) for e in found]})
    else:
        click.echo(index)


@runs.command("rm")
@click.argument("names", metavar="RUN...", nargs=-1, shell_complete=completion.run_names)
@click.option("--keep-best", type=click.IntRange(min=0), metavar="K", help="Keep K of best validation accuracy.")
@filters
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@options.runs_dir
def remove(
    names: tuple[str, ...], keep_best: int | None, conditions: tuple[str, ...], yes: bool, runs_dir: Path
) -> None:
    """Remove runs: those named, or all trainings but the K best; asks first, and never removes a running one.

    --filter narrows what is removed, and --keep-best then keeps the best of those.

    \b
    Examples:
      cifarnet runs rm 20261121-083512
      cifarnet runs rm --keep-best 5 --filter label=quick
    """
    from cifarnet import catalogue
    from cifarnet import runs as folders

    if not names and keep_best is None:
        raise click.UsageError("name runs, or say how many to keep with --keep-best K")
    named = [catalogue.entry(folders.find(name, runs_dir)) for name in names]
    found = catalogue.select(named or [e for e in catalogue.entries(runs_dir) if kind(e) == "train"], conditions)
    found = list({e.path.resolve(): e for e in found}.values())
    kept = {e.path for e in catalogue.best(found, keep_best or 0)}
    running = [e for e in found if e.info["status"] == "running" and e.path not in kept]
    doomed = [e for e in found if e.path not in kept and e not in running]
    for e in running:
        click.echo(f"{e.path} is running and stays", err=True)
    if doomed:
        click.echo(overview(doomed))
        confirm(f"Remove these {len(doomed)} runs for good?" if len(doomed) > 1 else "Remove this run for good?", yes)
    for e in doomed:
        folders.remove(e.path)
    click.echo(f"{len(doomed)} removed")
    if running and names:
        raise RunError(f"{len(running)} of the runs named still run; stop them first")


def confirm(question: str, yes: bool) -> None:
    """Ask, on a terminal; elsewhere nobody could answer."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask on; say --yes to remove them")
    click.confirm(question, abort=True, err=True)


@runs.command()
@click.argument("name", metavar="RUN", shell_complete=completion.run_names)
@click.argument("text")
@options.runs_dir
def note(name: str, text: str, runs_dir: Path) -> None:
    """Add a note to a run, which `runs show` shows.

    \b
    Example:
      cifarnet runs note latest "the one for the report"
    """
    from cifarnet import runs as folders

    folders.Run(folders.find(name, runs_dir)).note(text)
