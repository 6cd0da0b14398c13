"""``cifarnet train``: one config becomes one run folder."""

import sys
from pathlib import Path
from typing import Any

import click

from cifarnet.cli import completion
from cifarnet.cli.options import blas_threads, common_options, config_options, cores, echo_json, warn_synthetic
from cifarnet.cli.pages import page_of
from cifarnet.cli.stops import Stops
from cifarnet.errors import RunError


@click.command()
@config_options
@common_options
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
    from cifarnet import config, data, experiment
    from cifarnet.cli.progress import follow

    if name is not None:
        if overrides or dry_run or any(value is not None for value in (source, seed, label)):
            raise click.UsageError("--resume goes with no --config, --set, --seed, --label or --dry-run")
        resume(name, data_dir, threads, runs_dir, quiet, as_json)
        return
    settings = config.load(source, overrides, seed=seed, label=label)
    plan = experiment.plan(settings)
    if dry_run:
        click.echo(config.dump(settings) + f"# plan: {plan.updates:,} updates of {plan.batch_size} images")
        return
    warn_synthetic(settings.data.source)
    threads = threads or cores()
    with blas_threads(1):
        dataset = data.load(settings.data, data_dir)
        with Stops() as stops:
            run = experiment.start(settings, dataset, runs_dir, threads=threads)
            with page_of(run):
                follow(stops.until(experiment.execute(settings, dataset, run, threads=threads)), plan, quiet=quiet)
    conclude(run.path, run.info, stops.code, as_json)


def resume(name: str, data_dir: Path | None, threads: int | None, runs_dir: Path, quiet: bool, as_json: bool) -> None:
    """Go on with a run, with as many threads as it began with unless told otherwise."""
    from cifarnet import experiment, resume, runs
    from cifarnet.cli.progress import follow

    path = runs.find(name, runs_dir)
    info = runs.read(path)
    if info["status"] == "completed":
        click.echo(f"{path} is completed: there is nothing to resume", err=True)
        report(path, info, as_json)
        return
    threads = threads or runs.threads(runs.read_environment(path)) or cores()
    with blas_threads(1):
        taken = resume.take(path, data_dir, threads)
        warn_synthetic(taken.settings.data.source)
        if taken.changes:
            changed = "; ".join(taken.changes)
            click.echo(
                f"Warning: the last bits may differ, as it began with other means (then / now): {changed}", err=True
            )
        with Stops() as stops, page_of(taken.run):
            records = stops.until(experiment.execute(taken.settings, taken.dataset, taken.run, threads=threads))
            follow(records, experiment.plan(taken.settings), quiet=quiet)
    conclude(path, taken.run.info, stops.code, as_json)


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
