"""``cifarnet train``: one config becomes one run folder, or one for each of several seeds."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from cifarnet.cli.options import COUNT, RUN, Drawing, WithConfig, command, flag, option
from cifarnet.cli.output import table, warn, warn_synthetic
from cifarnet.cli.progress import Stops, follow
from cifarnet.errors import Diverged, RunError
from cifarnet.readable import duration, mean_std, percent
from cifarnet.runs import Run, catalog
from cifarnet.runs.catalog import Column

if TYPE_CHECKING:
    from cifarnet.config import Settings
    from cifarnet.training import Record

SPLITS = ("train", "validation", "test")


@command("train")
class Train(WithConfig, Drawing):
    """Train a network and write a run folder.

    Stopped by Ctrl-C, a kill or a power loss, a run goes on with --resume and ends with the same bytes.

    Examples:
      cifarnet train figure-3
      cifarnet train figure-3 --lambda 0.001 --hidden 100 --seeds 3
      cifarnet train --resume latest
    """

    resume: str | None = option("--resume", help="Go on with a run that was stopped.", **RUN)
    seeds: int | None = option("--seeds", help="Train with N seeds from --seed on.", **COUNT)
    dry_run: bool = flag("--dry-run", help="Show settings and plan; train and write nothing.")

    def run(self) -> None:
        from cifarnet import config, pages

        run = self.stopped()
        if run and run.status == "completed":
            with contextlib.suppress(RunError):  # of a folder that is not ours to write
                run.remove_parts()
                pages.write(run)  # which a kill may have left behind its run
            click.echo(f"{run.path} is completed: there is nothing to resume", err=True)
            self.report(run)
            return
        settings = run.settings if run else self.resolve().settings
        if self.dry_run:
            plan = f"# plan: {settings.updates:,} updates of {settings.training.batch_size} images"
            click.echo(config.dump(settings) + plan + (f", with {self.seeds} seeds" if self.seeds else ""))
            return
        warn_synthetic(settings.data.source)
        if self.seeds is None:
            self.report(self.train(settings, run))
            return
        seeds = range(settings.seed, settings.seed + self.seeds)
        every = [config.override(settings, {"seed": seed}, "--seeds") for seed in seeds]
        runs, failed = list[Run](), list[int]()
        for i, one in enumerate(every, 1):
            try:
                runs.append(self.train(one, later=seeds[i:]))
            except Diverged as error:
                warn(f"seed {one.seed} {error}")
                failed.append(one.seed)
        if runs:
            self.compare(runs)
        if failed:
            raise Diverged(f"diverged: seed {', '.join(map(str, failed))}; runs list shows each")

    def train(self, settings: Settings, run: Run | None = None, later: Sequence[int] = ()) -> Run:
        """Train, or go on with a run; where a signal stops it, say how to go on, and with which seeds later."""
        from cifarnet.experiments import train

        how: dict[str, Any] = {"data_dir": self.data_dir, "threads": self.threads, "formats": self.formats}
        with Stops() as stops:
            training = train.resume(run, **how) if run else train.start(settings, runs_dir=self.runs_dir, **how)
            if changed := "; ".join(training.changes):
                warn(f"the last bits may differ, as the machine or the libraries are others (then / now): {changed}")
            self.say(f"Training in {training.run.path}")
            follow(steps(stops.until(iter(training)), settings.updates), quiet=self.quiet)
        warn(*training.warnings)
        path, status = training.run.path, training.run.status
        if status != "completed" or (stops.code and later):
            left = f"; not begun, the same command with --seed {later[0]} --seeds {len(later)}" if later else ""
            again = "" if status == "completed" else f"; to go on: {self.command_line('train', '--resume', path)}"
            click.echo(f"{status} after {training.state.step:,} updates{left}{again}", err=True)
            sys.exit(stops.code)
        return training.run

    def stopped(self) -> Run | None:
        """Return the run to go on with, if one is named."""
        from cifarnet import config

        if self.resume is None:
            if not self.configured and "CIFARNET_SET" not in os.environ:
                raise click.UsageError(f"name a config, a file of yours or one of {', '.join(config.shipped())}")
            return None
        if self.configured or self.dry_run or self.seeds:
            raise click.UsageError(
                "--resume goes with no config, --set, --seed, other settings, --label, --seeds or --dry-run"
            )
        return self.find(self.resume, "training")

    def report(self, run: Run) -> None:
        """Show what a completed training reached, and what may come next."""
        found = reached(run)
        train, validation, test = (percent(found[f"{split}_accuracy"]) for split in SPLITS)
        text = f"{found['updates']:,} updates in {found['seconds']:.1f} s; accuracy: "
        text += f"training {train}, validation {validation}, test {test}"
        again = self.command_line("evaluate", run.path)
        self.answer(found, str(run.path), text, *self.next_steps(run, again))

    def compare(self, runs: Sequence[Run]) -> None:
        """Show the trainings of several seeds, and mean and standard deviation over them."""
        found = [reached(run) for run in runs]
        numbers = [key for key, value in found[0].items() if isinstance(value, float)]
        means = {key: mean_std([one[key] for one in found]) for key in numbers}
        columns = {split: Column(f"{split}_accuracy", percent) for split in SPLITS}
        columns["time"] = Column("seconds", duration)
        groups = [*([run] for run in runs), runs]
        cells = {heading: [column.summary(group) for group in groups] for heading, column in columns.items()}
        first = {"run": [*catalog.handles(runs).values(), "mean ± std"], "seed": [*(one["seed"] for one in found), ""]}
        mean, std = ({key: both[i] for key, both in means.items()} for i in (0, 1))
        again = self.command_line("runs", "list", "--by", "seed", data_dir=False)
        self.answer({"runs": found, "mean": mean, "std": std}, table(first | cells), *self.next_steps(runs[-1], again))


def steps(records: Iterable[Record], updates: int) -> Iterator[tuple[float, str]]:
    """Yield for each update which fraction of the training it ends, and what was measured last."""
    text = ""
    for r in records:
        if r.train and r.validation:
            accuracy = percent(r.validation.accuracy)
            text = f"cycle {r.cycle}, cost {r.train.cost:.4g}, validation accuracy {accuracy}"
        yield r.step / updates, text if r.step < updates else f"{text}; scoring, drawing"


def reached(run: Run) -> dict[str, Any]:
    return {"run": str(run.path), "status": run.status, "seconds": run.info["seconds"]} | run.results
