"""``cifarnet train``: one config becomes one run folder."""

from pathlib import Path
from typing import Any

import click

from cifarnet.cli.options import blas_threads, common_options, config_options, echo_json, warn_synthetic


@click.command()
@config_options
@common_options
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
    dry_run: bool,
) -> None:
    """Train a network and write a run folder.

    The folder holds the settings, metrics.csv, the network, its curves and weights as figures, and the results.

    \b
    Examples:
      cifarnet train --config configs/figure-3.yaml
      cifarnet train --config configs/figure-3.yaml --set training.lambda=0.001 --seed 1
    """
    from cifarnet import config, data, experiment
    from cifarnet.cli.progress import follow

    settings = config.load(source, overrides, seed=seed, label=label)
    plan = experiment.plan(settings)
    if dry_run:
        click.echo(config.dump(settings) + f"# plan: {plan.updates:,} updates of {plan.batch_size} images")
        return
    warn_synthetic(settings.data.source)
    with blas_threads(threads):
        dataset = data.load(settings.data, data_dir)
        run = experiment.start(settings, dataset, runs_dir)
        follow(experiment.execute(settings, dataset, run), plan, quiet=quiet)
    report(run.path, run.info, as_json)


def report(path: Path, info: dict[str, Any], as_json: bool) -> None:
    results = {"run": str(path), "status": info["status"], "seconds": info["seconds"]} | info["results"]
    if as_json:
        echo_json(results)
        return
    click.echo(
        f"{path}\n{results['updates']:,} updates in {results['seconds']:.1f} s; accuracy: "
        f"training {results['train_accuracy']:.2%}, validation {results['validation_accuracy']:.2%}, "
        f"test {results['test_accuracy']:.2%}"
    )
