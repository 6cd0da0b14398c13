"""``cifarnet reproduce-report``: every number and figure of the reports, trained again, and the page."""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cifarnet.cli.options import COUNT, Finite, Folder, Pooled, WithData, WithRuns, command, flag, option
from cifarnet.cli.progress import Stops, follow

if TYPE_CHECKING:
    from cifarnet.reports import Progress

SCALE, STUDY = Finite(0, 1, min_open=True), "STUDY[/EXHIBIT]"
SYNTHETIC = "CIFAR-10 was not found: SYNTHETIC data take its place, shortened, and nothing is compared."


@command("reproduce-report")
class ReproduceReport(Pooled, WithRuns, WithData):
    """Train what reports describe, compare every number.

    The page has all of them beside ours. What is recorded is not trained again: stopped and started anew, it goes on.
    Where CIFAR-10 is not found, synthetic data take its place, shortened to a minute, and nothing is compared.

    Examples:
      cifarnet reproduce-report --seeds 1
      cifarnet reproduce-report --only chou-2019 --only yadava/fine
      cifarnet reproduce-report --causes
    """

    seeds: int | None = option("--seeds", help="Passes; by default 3 (10 for claims), one if synthetic.", **COUNT)
    only: Sequence[str] = option("--only", multiple=True, metavar=STUDY, help="A report or an exhibit; repeatable.")
    scale: float | None = option("--scale", type=SCALE, metavar="X", help="Shorten every training, for a first look.")
    dry_run: bool = flag("--dry-run", help="List what would run and why; train and write nothing.")
    redraw: bool = flag("--redraw", help="Write the page from the records, without training.")
    causes: bool = flag("--causes", help="Then diagnose each incompatible number that is recorded.")
    studies: Path | None = option("--studies", type=Folder(), help="A study, shipped or a file, or a folder of them.")
    quiet: bool = flag("--quiet", "-q", help="No progress on standard error.")

    def run(self) -> None:
        from cifarnet import reports
        from cifarnet.experiments import pool
        from cifarnet.studies import read_studies

        studies, folder, scope = read_studies(self.studies), self.runs_dir / "reports", None
        if self.redraw and not folder.is_dir():
            raise click.UsageError(f"--redraw: nothing is recorded in {folder}; leave it out to train")
        if self.dry_run or not self.redraw:
            scope = reports.scope(studies, self.seeds, self.only, self.scale, self.data_dir)
            click.echo(f"{SYNTHETIC}\n" if scope.synthetic else "", err=True, nl=False)
        if scope and self.dry_run:
            click.echo("\n".join(reports.listing(studies, scope, folder, self.data_dir)))
            return
        if scope or self.causes:
            with pool.executor(self.scheduler, self.jobs, data_dir=self.data_dir) as executor, Stops() as stops:
                if scope:
                    self.carry_out("runs", reports.reproduce(studies, scope, folder, executor, self.data_dir), stops)
                if self.causes:
                    where = self.data_dir, self.studies, self.only
                    self.carry_out("exhibits", reports.explain(studies, folder, executor, *where), stops)
        report = reports.Report(studies, folder)
        page, text = str(report.write()), [report.closing()]
        if synthetic := report.records.state["synthetic"]:
            text.append("For the real images: cifarnet data download, then the same command again.")
        self.answer({"page": page, "synthetic": synthetic} | report.summary(), page, *text)

    def carry_out(self, unit: str, steps: Generator[Progress, None, None], stops: Stops) -> None:
        """Do some work under a bar; where a signal stops it, leave."""
        done = stops.until(steps)
        follow(((s.fraction, f"{s.done} of {s.total} {unit} {s.name}") for s in done), quiet=self.quiet)
        if stops.code:
            click.echo("interrupted; to go on, give the same command", err=True)
            sys.exit(stops.code)
