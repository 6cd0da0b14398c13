"""``cifarnet train``: one config becomes one run folder."""

import os
import sys
from typing import Any

import click

from cifarnet.cli.options import RUN, Drawing, WithConfig, command, flag, option
from cifarnet.cli.output import warn, warn_synthetic
from cifarnet.cli.progress import Stops, follow
from cifarnet.errors import RunError
from cifarnet.runs import Run
from cifarnet.runs.catalog import percent


@command("train")
class Train(WithConfig, Drawing):
    """Train a network and write a run folder.

    The folder holds the settings, metrics.csv, the network, its curves and weights as figures, and the results.
    Stopped by Ctrl-C, a kill or a power loss, a run goes on with --resume and ends with the same bytes; of a completed
    run, --resume shows the results.

    Examples:
      cifarnet train figure-3
      cifarnet train figure-3 --set training.lambda=0.001 --seed 1
      cifarnet train --resume latest
    """

    resume: str | None = option("--resume", help="Go on with a run that was stopped.", **RUN)
    dry_run: bool = flag("--dry-run", help="Show the settings and the plan; train and write nothing.")

    def run(self) -> None:
        from cifarnet import config, pages
        from cifarnet.experiments import train

        run = self.stopped()
        if run and run.status == "completed":
            pages.write_missing(run)
            click.echo(f"{run.path} is completed: there is nothing to resume", err=True)
            self.report(run)
            return
        settings = run.settings if run else self.settings()
        if self.dry_run:
            plan = f"# plan: {settings.updates:,} updates of {settings.training.batch_size} images"
            click.echo(config.dump(settings) + plan)
            return
        warn_synthetic(settings.data.source)
        how: dict[str, Any] = {"data_dir": self.data_dir, "threads": self.threads, "formats": self.formats}
        with Stops() as stops:
            training = train.resume(run, **how) if run else train.start(settings, runs_dir=self.runs_dir, **how)
            if changed := "; ".join(training.changes):
                warn(f"the last bits may differ, as the machine or the libraries are others (then / now): {changed}")
            follow(stops.until(iter(training)), settings.updates, quiet=self.quiet)
        warn(*training.warnings)
        path, info = training.run.path, training.run.info
        if info["status"] != "completed":
            done = f"interrupted after {info['updates']:,} updates"
            click.echo(f"{done}; to go on: cifarnet train --resume {path}", err=True)
            sys.exit(stops.code)
        self.report(training.run)

    def stopped(self) -> Run | None:
        """Return the run to go on with, if one is named."""
        from cifarnet import config

        if self.resume is None:
            if not self.configured and "CIFARNET_SET" not in os.environ:
                raise click.UsageError(f"name a config, a file of yours or one of {', '.join(config.shipped())}")
            return None
        if self.configured or self.dry_run:
            raise click.UsageError("--resume goes with no config, --set, --seed, --label or --dry-run")
        return self.find(self.resume, "training")

    def report(self, run: Run) -> None:
        """Show what a completed training reached."""
        try:
            results = {"run": str(run.path), "status": run.status, "seconds": run.info["seconds"]} | run.results
            accuracies = [percent(results[f"{split}_accuracy"]) for split in ("train", "validation", "test")]
            text = "training {}, validation {}, test {}".format(*accuracies)
            text = f"{results['updates']:,} updates in {results['seconds']:.1f} s; accuracy: {text}"
        except (KeyError, TypeError, ValueError) as error:
            where = run.path / "run.json"
            raise RunError(f"{where}: not the results of a training ({error!r}); train again") from error
        self.answer(results, str(run.path), text)
