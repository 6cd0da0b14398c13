"""The commands about run folders: list, show, compare, page, rm, note."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cifarnet.cli import completion, options
from cifarnet.cli.options import echo_json
from cifarnet.cli.tables import kind, label, overview, percent, seconds, side_by_side, status
from cifarnet.errors import RunError

if TYPE_CHECKING:
    from cifarnet.catalogue import Entry

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
