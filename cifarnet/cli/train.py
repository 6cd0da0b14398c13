"""``cifarnet train``: one config becomes one run folder."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from cifarnet.cli import completion
from cifarnet.cli.options import common_options, config_options, echo_json, figure_formats, warn_synthetic
from cifarnet.cli.stops import Stops
from cifarnet.errors import RunError


@click.command()
@config_options
@common_options
@figure_formats
@click.option(
    "--resume", "name", metavar="RUN", shell_complete=completion.run_names, help="Go on with a run that was stopped."
)
@click.option("--dry-run", is_flag=True, help="Show the settings and the plan; train and write nothing.")
def train(
    source: str | None,
    overrides: tuple[str, ...],
    seed: int | None,
    label: str | None,
    data_dir: Path | None,
    threads: int | None,
    runs_dir: Path,
    quiet: bool,
    as_json: bool,
    name: str | None,
    dry_run: bool,
    formats: tuple[str, ...],
) -> None:
    """Train a network and write a run folder.

    The folder holds the settings, metrics.csv, the network, its curves and weights as figures, and the results.
    Stopped by Ctrl-C, a kill or a power loss, a run goes on with --resume and ends with the same bytes; of a completed
    run, --resume shows the results.

    \b
    Examples:
      cifarnet train --config figure-3
      cifarnet train --config figure-3 --set training.lambda=0.001 --seed 1
      cifarnet train --resume latest
    """
    from cifarnet import config, library, page, planning, resume
    from cifarnet.cli.progress import follow

    if name is not None:
        if overrides or dry_run or any(value is not None for value in (source, seed, label)):
            raise click.UsageError("--resume goes with no --config, --set, --seed, --label or --dry-run")
        found = library.load(name, runs_dir)
        resume.check_kind(found.path, found.info)
        if found.status == "completed":
            page.mend(found.path)
            click.echo(f"{found.path} is completed: there is nothing to resume", err=True)
            report(found.path, found.info, as_json)
            return
        settings, begin = found.settings, partial(found.resume, data_dir, threads, formats)
    else:
        settings = config.load(source, overrides, seed=seed, label=label)
        if dry_run:
            plan = planning.plan(settings)
            click.echo(config.dump(settings) + f"# plan: {plan.updates:,} updates of {plan.batch_size} images")
            return
        begin = partial(library.start, settings, runs_dir=runs_dir, data_dir=data_dir, threads=threads, formats=formats)
    warn_synthetic(settings.data.source)
    with Stops() as stops:
        training = begin()
        if training.changes:
            changed = "; ".join(training.changes)
            click.echo(
                f"Warning: the last bits may differ, as it began with other means (then / now): {changed}", err=True
            )
        follow(stops.until(iter(training)), training.plan, quiet=quiet)
    conclude(training.folder.path, training.folder.info, stops.code, as_json)


def conclude(path: Path, info: dict[str, Any], code: int, as_json: bool) -> None:
    """Show the results, or where a signal came first, how to go on."""
    if info["status"] == "completed":
        report(path, info, as_json)
        return
    click.echo(f"interrupted after {info['updates']:,} updates; to go on: cifarnet train --resume {path}", err=True)
    sys.exit(code)


def report(path: Path, info: dict[str, Any], as_json: bool) -> None:
    """Show what a completed training reached."""
    try:
        results = {"run": str(path), "status": info["status"], "seconds": info["seconds"]} | info["results"]
        text = (
            f"{path}\n{results['updates']:,} updates in {results['seconds']:.1f} s; accuracy: "
            f"training {results['train_accuracy']:.2%}, validation {results['validation_accuracy']:.2%}, "
            f"test {results['test_accuracy']:.2%}"
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path / 'run.json'}: not the results of a training ({error!r}); train again") from error
    if as_json:
        echo_json(results)
    else:
        click.echo(text)
