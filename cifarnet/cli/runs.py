"""``cifarnet runs``: list, show, compare, draw, page, rm, note."""

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from cifarnet.cli.completion import value_names
from cifarnet.cli.options import FORMAT, RUN, RUN_OR_LATEST, WithRuns, argument, command, flag, option
from cifarnet.cli.output import aligned, table, warn
from cifarnet.errors import RunError
from cifarnet.readable import duration, is_number, measured, shown
from cifarnet.runs import Folder, Run, catalog
from cifarnet.runs.storage import make_folder

KEY: dict[str, Any] = {"metavar": "KEY", "shell_complete": value_names}
CONDITION = KEY | {"metavar": "CONDITION"}
LONGEST = 200  # letters of a file's name
COLOURS = {"completed": "green", "running": "blue", "interrupted": "yellow", "stale": "yellow"}


@click.group()
def runs() -> None:
    """The runs so far: list, show, compare, note, and rm removes.

    RUN is a run folder, the beginning of its name that no other has, or latest.

    \b
    Examples:
      cifarnet runs list --sort -validation_accuracy
      cifarnet runs show latest
    """


class Selecting(WithRuns):
    conditions: Sequence[str] = option("--filter", multiple=True, help="Such as lambda<1e-3; repeatable.", **CONDITION)

    def select(self) -> list[Run]:
        """Return the runs that meet the conditions; where there are none, say why."""
        everything = catalog.list_runs(self.runs_dir)
        found = catalog.select(everything, self.conditions)
        if not found:
            why = f"no run meets {' and '.join(self.conditions)}" if everything else f"no runs in {self.runs_dir}"
            click.echo(why, err=True)
        return found


@command("list", runs)
class List(Selecting):
    """List runs: what differs between them, and what they reached.

    A key of --filter and --sort is a setting such as training.lambda (or lambda, where that is enough), a result such
    as test_accuracy, or one of run, kind, label, status, started, seconds. The first column names a run everywhere.

    Examples:
      cifarnet runs list --filter "lambda<1e-3" --sort -validation_accuracy
      cifarnet runs list --filter status=completed --by seed --markdown
    """

    sort: str | None = option("--sort", help="Smallest first, with -KEY largest; else newest first.", **KEY)
    by: str | None = option("--by", help="One row for trainings that differ in this alone, such as seed.", **KEY)
    csv: bool = flag("--csv", help="Print comma-separated values, unrounded.")
    markdown: bool = flag("--markdown", help="Print a table in Markdown.")
    latex: bool = flag("--latex", help="Print a table in LaTeX.")

    def run(self) -> None:
        if sum((self.json, self.csv, self.markdown, self.latex)) > 1:
            raise click.UsageError("take one of --json, --csv, --markdown and --latex")
        found = catalog.arrange(self.select(), self.sort) if self.sort else self.select()
        found = [run for run in found if run.kind == "train"] if self.by else found
        groups, columns = [[run] for run in found], catalog.columns(found, "csv")
        rows = [{key: column.of(run) for key, column in columns.items()} for run in found]
        if self.by:
            groups = catalog.fold(found, catalog.full_key(self.by, found, "--by"))
            rows = [catalog.folded(group, columns) for group in groups]
        if self.csv:
            headings = list(dict.fromkeys(key for row in rows for key in row)) or list(columns)
            writer = csv.DictWriter(sys.stdout, headings, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        elif self.json:
            every = {"runs": [run.info | {"run": str(run.path)} for run in found]}
            self.answer(every | ({"rows": rows} if self.by else {}))
        elif found:
            click.echo(overview(groups, "github" if self.markdown else "latex_booktabs" if self.latex else ""))


def overview(groups: Sequence[Sequence[Run]], form: str = "") -> str:
    """Lay out a table with a row for each group of runs, in Markdown and LaTeX without the columns that are all alike.

    Where the terminal, or 80 columns, is too narrow, these go first.
    """
    runs = [run for group in groups for run in group]
    columns, handles = catalog.columns(runs, "table"), catalog.handles(runs)
    cells = {heading: [column.summary(group) for group in groups] for heading, column in columns.items()}
    alike = {heading for heading, column in cells.items() if len(set(column)) == 1 and columns[heading].keep}
    cells["run"] = [handles[group[0].path] for group in groups]
    if len(groups) < len(runs):
        cells = {heading: [*map(cut, column)] for heading, column in cells.items()}  # there may be a hundred lambdas
        cells["runs"] = [str(len(group)) for group in groups]
    texts = [heading for heading, column in columns.items() if not column.number]
    if form:
        cells = {heading: column for heading, column in cells.items() if heading not in alike}
        return table(cells, left=len(cells.keys() & texts), form=form)
    cells["status"] = [click.style(group[0].status, fg=COLOURS.get(group[0].status, "red")) for group in groups]
    keep = {heading: (heading not in alike, c.keep) for heading, c in columns.items() if c.keep is not None}
    expendable = sorted(reversed(keep), key=lambda heading: keep[heading])
    return table(cells, left=len(texts), expendable=expendable, piped=True)


@command("show", runs)
class Show(WithRuns):
    """Show a run: what it is, and what it reached.

    Also its settings, its notes and the command that repeats it. The status is running, completed, interrupted,
    diverged, failed, or stale: said to run, but its process is gone.

    Example:
      cifarnet runs show latest
    """

    name: str = argument(**RUN_OR_LATEST)

    def run(self) -> None:
        run = Run.find(self.name, self.runs_dir)
        info, notes, kind = run.info, run.notes, run.kind
        facts = {"run": str(run.path)} | {key: info.get(key, "") for key in ("kind", "label", "status")}
        facts["time"] = duration(info["seconds"]) if "seconds" in info else ""
        facts |= {key: info.get(key, "") for key in ("started", "error")}
        facts |= {key: measured(key, value) for key, value in run.scores.items()}
        lines = [aligned(facts), "", aligned({key: shown(value) for key, value in run.choices.items()})]
        lines += [f"\nnote of {note}" for note in notes]
        if kind == "train" and run.is_stopped:
            lines.append(f"\nIt {run.describe()}")
        lines += [f"\nRepeat it: cifarnet train --config {run.path / 'config.yaml'}"] if kind == "train" else []
        self.answer(info | {"run": str(run.path), "notes": notes}, *lines)


@command("compare", runs)
class Compare(WithRuns):
    """Compare runs: settings, environment, results, curves.

    Settings and environment where they differ, results side by side, the curves in one figure. Of runs of the same
    settings whose results differ, says which of the recorded causes may explain it.

    Example:
      cifarnet runs compare 20261121-0835 latest
    """

    names: Sequence[str] = argument(nargs=-1, required=True, **RUN | {"metavar": "RUN RUN..."})
    kind: str = option("--format", type=FORMAT, default="png", help="Of the figure.")

    def run(self) -> None:
        from cifarnet.api.compare import compare

        found = self.find_all(self.names)
        if len(found) < 2:
            raise click.UsageError("name at least two different runs")
        compared = compare(found)
        if not self.json:
            click.echo("\n\n".join(self.lines(found, compared)) + "\n")
        figure = self.draw(found)
        answer = {"runs": [str(run.path) for run in found], **compared, "figure": figure and str(figure)}
        if figure or self.json:
            self.answer(answer, f"Curves: {figure}")

    def lines(self, runs: Sequence[Run], compared: dict[str, Any]) -> list[str]:
        """Lay out a row a key, a column a run."""
        text, handles = list[str](), catalog.handles(runs)
        unique = len(set(handles.values())) == len(runs)  # or some are of different folders
        for title in ("settings", "environment", "results"):
            found = compared[title]
            columns = {title: [*found]}
            for i, run in enumerate(runs):
                name = handles[run.path] if unique else str(run.path)
                columns[name] = [short(key, values[i]) for key, values in found.items()]
            text.append(table(columns, left=len(columns)) if found else f"{title}: the same")
        for cause in compared["causes"]:
            text.append(f"{' and '.join(cause['runs'])} have the same settings and differ: {cause['why']}")
        return text

    def draw(self, runs: Sequence[Run]) -> Path | None:
        """Draw the curves of those runs that have some; where that fails, the comparison stands, with a warning."""
        from cifarnet import plots
        from cifarnet.api.compare import curves

        try:
            if figure := curves(runs):
                name = f"{'-'.join(['comparison', *catalog.handles(runs).values()])[:LONGEST]}.{self.kind}"
                make_folder(self.runs_dir, parents=True)  # of runs elsewhere
                Folder(self.runs_dir).write(name, plots.render(figure, self.kind))
                return self.runs_dir / name
        except Exception as error:  # matplotlib has a hundred
            warn(f"the curves could not be drawn: {error}")
        return None


def short(key: str, value: Any) -> str:
    """Return a value on one line of a table: a git diff has thousands."""
    text = measured(key, value) if key.endswith("accuracy") and is_number(value) else shown(value)
    return "" if value is None else cut(" ".join(text.split()))


def cut(text: str) -> str:
    """Return as much of a text as one cell of a table has room for."""
    return text if len(text) <= 40 else f"{text[:37]}..."


@command("draw", runs)
class Draw(WithRuns):
    """Draw the figures of a run again, for a hand-in.

    They are 16 cm wide, with text of 9 pt. --panels adds cost, loss and accuracy each by itself, 8 cm wide. A run that
    was stopped has the curves so far.

    Example:
      cifarnet runs draw latest --format pdf --panels
    """

    name: str = argument(**RUN_OR_LATEST)
    kinds: Sequence[str] = option("--format", type=FORMAT, multiple=True, default=("pdf",), help="Repeatable.")
    panels: bool = flag("--panels", help="Also each panel of the curves by itself.")

    def run(self) -> None:
        from cifarnet import plots

        known, run = plots.FIGURES | (plots.PANELS if self.panels else {}), Run.find(self.name, self.runs_dir)
        every = [run, *(catalog.list_runs(self.runs_dir) if self.name == "latest" else [])]
        run = next((one for one in every if any(spec.available(one) for spec in known.values())), run)
        run.formats, found = self.kinds, {name: spec for name, spec in known.items() if spec.available(run)}
        warn(*plots.draw(run, found))
        files = [run.path / f"figures/{name}.{kind}" for name in found for kind in self.kinds]
        files = [file for file in files if file.exists()]
        if not files:
            raise RunError(f"{run.path}: nothing of it {'was' if found else 'can be'} drawn: it {run.describe()}")
        self.answer({"run": str(run.path), "figures": [str(file) for file in files]}, *map(str, files))


@command("page", runs)
class Page(Selecting):
    """Write index.html over runs, and run.html of each.

    A page needs no network and nothing beside it.

    Example:
      cifarnet runs page --filter status=completed
    """

    def run(self) -> None:
        from cifarnet import pages

        found = self.select()
        if not found:
            raise RunError("there is no run to write a page of")
        index = str(pages.write_index(self.runs_dir, found))
        self.answer({"page": index, "runs": [str(run.path) for run in found]}, index)


@command("rm", runs)
class Remove(Selecting):
    """Remove runs: those named, or all but the best.

    --keep-best removes all trainings but the K best; with --filter, all that meet it but the K best of these. Asks
    first, and never removes a running one.

    Examples:
      cifarnet runs rm 20261121-083512
      cifarnet runs rm --keep-best 5 --filter label=quick
    """

    names: Sequence[str] = argument(nargs=-1, **RUN | {"metavar": "[RUN]..."})
    keep_best: int | None = option("--keep-best", type=click.IntRange(min=0), metavar="K", help="Keep the K best.")
    yes: bool = flag("--yes", "-y", help="Do not ask.")

    def run(self) -> None:
        if not self.names and self.keep_best is None:
            raise click.UsageError("name runs, or say how many to keep with --keep-best K")
        named = [Run.listed(run.path) for run in self.find_all(self.names)]
        trainings = [run for run in catalog.list_runs(self.runs_dir) if run.kind == "train"]
        found = catalog.select(named or trainings, self.conditions)
        ranked = catalog.arrange([run for run in found if "validation_accuracy" in run.scores], "-validation")
        best = {run.path for run in ranked[: self.keep_best or 0]}
        rest = [run for run in found if run.path not in best]
        ended = [run for run in rest if run.status != "running"]
        running = [run for run in rest if run.status == "running"]
        for run in running:
            click.echo(f"{run.path} is running and stays", err=True)
        if ended:
            click.echo(overview([[run] for run in ended]), err=self.json)
            if not self.yes and not sys.stdin.isatty():
                raise click.UsageError("there is no terminal to ask on; say --yes to remove them")
            if not self.yes:
                click.confirm(f"Remove {len(ended)} runs for good?", abort=True, err=True)
        for run in ended:
            run.remove()
        self.answer({"removed": [str(run.path) for run in ended]}, f"{len(ended)} removed")
        if running and named:
            raise RunError(f"{len(running)} of the runs named still run; stop them first")


@command("note", runs)
class Note(WithRuns):
    """Add a note to a run, which `runs show` shows.

    Example:
      cifarnet runs note latest "the one for the report"
    """

    name: str = argument(**RUN)
    text: str = argument()

    def run(self) -> None:
        Run.find(self.name, self.runs_dir).note(self.text)
