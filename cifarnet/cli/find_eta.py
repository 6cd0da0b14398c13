"""``cifarnet find-eta``: the learning rate range test."""

from collections.abc import Iterable
from pathlib import Path

import click

from cifarnet.cli.options import common_options, config_options, echo_json, figure_formats, warn_synthetic

LAMBDA = "training.lambda="


@click.command("find-eta")
@config_options
@common_options
@click.option(
    "--hidden", metavar="NODES", multiple=True, help="Of the hidden layers: 50 or 50,30; 0 for none; repeatable."
)
@click.option(
    "--epochs", metavar="N", type=click.IntRange(1, 1000), default=4, show_default=True, help="How long eta rises."
)
@click.option(
    "--from",
    "low",
    metavar="X",
    type=click.FloatRange(0, min_open=True),
    default=1e-5,
    show_default=True,
    help="The first eta.",
)
@click.option(
    "--to",
    "high",
    metavar="X",
    type=click.FloatRange(0, min_open=True),
    default=0.5,
    show_default=True,
    help="The last eta.",
)
@click.option(
    "--scale",
    type=click.Choice(["linear", "log"]),
    default="linear",
    show_default=True,
    help="In equal steps or factors.",
)
@figure_formats
def find_eta(
    source: str | None,
    overrides: tuple[str, ...],
    seed: int | None,
    label: str | None,
    data_dir: Path | None,
    threads: int | None,
    runs_dir: Path,
    quiet: bool,
    as_json: bool,
    hidden: tuple[str, ...],
    epochs: int,
    low: float,
    high: float,
    scale: str,
    formats: tuple[str, ...],
) -> None:
    """Find eta_min and eta_max by Smith's range test.

    A network of its own trains for a few epochs while eta rises, with the settings' optimiser, dropout and jitter.
    Several --hidden and several --set training.lambda=... are tested in all combinations. Prints the two --set flags to
    use for each, draws the curves, and writes a config with them into the run folder.

    \b
    Examples:
      cifarnet find-eta --config figure-3
      cifarnet find-eta --config figure-3 --hidden 50 --hidden 200 --set training.lambda=0 --set training.lambda=0.01
    """
    from cifarnet import config, data, experiment, range_test, runs
    from cifarnet.page import page_of
    from cifarnet.parallel import blas_threads, cores

    if low >= high:
        raise click.UsageError(f"--from {low:g} must be below --to {high:g}")
    lambdas = [word.removeprefix(LAMBDA) for word in overrides if word.startswith(LAMBDA)]
    settings = config.load(source, overrides, seed=seed, label=label)
    each = [config.load(source, (*overrides, LAMBDA + word)).training.lam for word in lambdas]
    tests = range_test.variants(settings, [layers(word) for word in hidden], list(dict.fromkeys(each)))
    ramp = range_test.Ramp(low, high, epochs, scale == "log")
    warn_synthetic(settings.data.source)
    dataset = data.load(settings.data, data_dir)
    environment = runs.environment() | {"data": experiment.provenance(dataset)}
    run = runs.create(runs_dir, "find-eta", settings.label, config.dump(settings), environment)
    run.formats = formats
    with page_of(run), blas_threads(1):
        show(range_test.execute(tests, dataset, ramp, run, threads or cores()), quiet=quiet)
    results = run.info["results"]
    if as_json:
        echo_json({"run": str(run.path)} | results)
        return
    for name, pair in results["found"].items():
        click.echo(f"{name}: " + " ".join(f"--set {key}={value:g}" for key, value in pair.items()))
    click.echo(
        f"{results['rule']}\nFigure: {run.path}/figures/range-test.{formats[0]}; configs: {run.path}/*-lambda-*.yaml"
    )


def layers(word: str) -> tuple[int, ...]:
    """The hidden layers that an option names."""
    try:
        sizes = tuple(int(part) for part in word.split(","))
    except ValueError as error:
        raise click.UsageError(f"--hidden {word}: must be numbers of nodes, such as 50 or 50,30") from error
    return () if sizes == (0,) else sizes


def show(steps: Iterable[tuple[str, int, int]], *, quiet: bool) -> None:
    """Follow the tests, with a bar on a terminal."""
    import sys

    from tqdm import tqdm

    with tqdm(unit="update", disable=quiet or not sys.stderr.isatty(), dynamic_ncols=True) as bar:
        for name, step, updates in steps:
            if step == 0:
                bar.reset(updates)
                bar.set_description(name)
            bar.update(step - bar.n)
