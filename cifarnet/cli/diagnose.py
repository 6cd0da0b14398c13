"""``cifarnet diagnose``: what numbers that differ may come from."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click

from cifarnet.cli.options import RUN, Experiment, Folder, Pooled, WithConfig, command, option
from cifarnet.cli.output import table, warn_synthetic
from cifarnet.cli.progress import Stops, follow
from cifarnet.readable import predicted
from cifarnet.runs import Run

if TYPE_CHECKING:
    from cifarnet.causes import Number, Problem

PRINTED = tuple(f"{split}_{kind}" for split in ("test", "validation", "train") for kind in ("accuracy", "cost", "loss"))
SHOWN = 8  # candidates


def printed(measure: str) -> Any:
    words = measure.replace("train", "training").replace("_", " ")
    return option(f"--{measure.replace('_', '-')}", metavar="X", help=f"The {words} as it is printed.")


@command("diagnose")
class Diagnose(WithConfig, Pooled, Experiment):
    """Find what a number that differs may come from.

    That is a mistake, another setting, or a misprint. Trains the settings as stated and under the deviations of others'
    programs (configs/README.md), and ranks them.

    Examples:
      cifarnet diagnose figure-3 --test-accuracy 38.2%
      cifarnet diagnose my.yaml --curve mine.csv --test-accuracy 0.4631
      cifarnet diagnose --study my-report.yaml --exhibit table-1
    """

    knobs: ClassVar[dict[str, str]] = {}
    more: ClassVar = {name: printed(name) for name in PRINTED}
    curve: Path | None = option("--curve", type=Folder(), metavar="CSV", help="Columns step, train_cost, ...")
    study: Path | None = option("--study", type=Folder(), metavar="YAML", help="A report: its numbers, its curves.")
    exhibits: Sequence[str] = option("--exhibit", multiple=True, metavar="ID", help="Of the study, this alone.")
    resume: str | None = option("--resume", help="Go on where this one stopped.", **RUN)

    def run(self) -> None:
        from cifarnet import causes
        from cifarnet.experiments import pool

        if self.resume and (self.configured or self.study or self.curve or any(vars(self)[name] for name in PRINTED)):
            raise click.UsageError("--resume goes on with the settings and numbers of a diagnosis: name no others")
        old = self.find(self.resume, "diagnosis") if self.resume else None
        threads = self.threads or (old and old.environment.get("threads")) or 1
        with pool.executor(self.scheduler, self.jobs, threads, self.data_dir) as executor, Stops() as stops:
            found = causes.resume(old, executor) if old else causes.start(self.problem(), executor, self.runs_dir)
            warn_synthetic(found.run.settings.data.source)
            steps = filter(None, stops.until(causes.execute(found, executor, self.data_dir)))
            follow(((s.fraction, f"{s.done} trainings, {s.what}") for s in steps), quiet=self.quiet)
        if found.run.status != "completed":
            click.echo(f"interrupted; to go on: {self.command_line('diagnose', '--resume', found.run.path)}", err=True)
            sys.exit(stops.code)
        self.show(found.run)

    def problem(self) -> Problem:
        """Return the rows and numbers that the options name."""
        from cifarnet import reports, studies
        from cifarnet.causes import Problem, numbers_of_curves

        printed = [name for name in PRINTED if vars(self)[name] is not None]
        if self.exhibits and not self.study:
            raise click.UsageError("--exhibit names a part of a --study")
        if self.study and (self.configured or printed or self.curve):
            raise click.UsageError("--study has settings and numbers of its own: leave out a config, numbers, --curve")
        if self.study:
            found = studies.read_studies(self.study)
            if len(found) > 1:
                raise click.UsageError(f"--study {self.study}: has {len(found)} studies; name the file of one")
            return reports.problem(found[0], self.exhibits)
        if self.curve and not self.curve.is_file():
            raise click.UsageError(f"--curve {self.curve}: there is no such file, or it is a folder")
        settings = self.resolve().settings
        numbers = [number(name, vars(self)[name]) for name in printed]
        numbers += numbers_of_curves(studies.read_metrics(self.curve, settings)) if self.curve else []
        if not numbers:
            raise click.UsageError("name a number, such as --test-accuracy 38.2%, a --curve, or a --study")
        return Problem({"": settings}, numbers)

    def show(self, run: Run) -> None:
        """Print the candidates, and what they explain."""
        results = run.results
        tried = results["candidates"]
        text = table(ranking(tried[:SHOWN], [number["measure"] for number in results["reported"]]))
        more = len(tried) - SHOWN
        rest = f"and {more} more; " * (more > 0) + f"excluded earlier: {len(results['excluded'])}\n"
        cure = [tried[0][key] for key in ("origin", "cure") if tried[0]["fits"] and tried[0][key]]
        again = self.command_line("train", "--config", run.path / "best.yaml")
        page = f"{run.path / 'run.html'} shows all; to repeat the first: {again}"
        answer = {"run": str(run.path), "status": run.status, "next": again} | results
        self.answer(answer, text, rest, *results["says"], *cure, page)


def ranking(candidates: Sequence[dict[str, Any]], measures: Sequence[str]) -> dict[str, list[str]]:
    """Lay out what each candidate gives: of one number mean and interval, of several how many are compatible."""
    found = {"candidate": [c["name"] for c in candidates]}
    found["probability"] = [f"{100 * c['probability']:.1f} %" for c in candidates]
    if len(measures) == 1:
        for header, key in {"gives": "mean", "from": "low", "to": "high"}.items():
            found[header] = [predicted(measures[0], c["numbers"][0][key]) for c in candidates]
    else:
        found["compatible"] = [f"{c['compatible']} of {len(measures)}" for c in candidates]
    return found | {"seeds": [str(c["seeds"]) for c in candidates]}


def number(measure: str, text: str) -> Number:
    """Return a printed number; UsageError if the text is none, or cannot be of this measure."""
    from cifarnet.causes import Number
    from cifarnet.studies.printed import resolution, result

    try:
        return Number("", measure, result(measure, text), resolution(text))
    except ValueError as error:
        raise click.UsageError(f"--{measure.replace('_', '-')} {text}: {error}") from error
