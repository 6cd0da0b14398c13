"""Options that several commands share."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def config_options(command: Command) -> Command:
    """--config, --set, --seed and --label."""
    for option in (
        click.option("--label", help="Part of the run folder's name."),
        click.option("--seed", type=int, help="Seed of every random stream."),
        click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a setting; repeatable."),
        click.option("--config", "source", metavar="FILE", help="A YAML file, or the name of a shipped config."),
    ):
        command = option(command)
    return command


def data_options(command: Command) -> Command:
    """--data-dir and --threads."""
    for option in (
        click.option("--threads", type=click.IntRange(min=1), help="BLAS threads; by default one a core."),
        click.option("--data-dir", type=click.Path(path_type=Path), help="Where CIFAR-10 is."),
    ):
        command = option(command)
    return command


def output_options(command: Command) -> Command:
    """--runs-dir, --quiet and --json."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output."),
        click.option("--quiet", "-q", is_flag=True, help="No progress on standard error."),
        click.option(
            "--runs-dir",
            type=click.Path(path_type=Path),
            default=Path("runs"),
            envvar="CIFARNET_RUNS_DIR",
            show_default=True,
            help="Where run folders are made.",
        ),
    ):
        command = option(command)
    return command


def echo_json(value: Any) -> None:
    """Print the one JSON object of a command."""
    import json

    click.echo(json.dumps(value))


def warn_synthetic(source: str) -> None:
    """Say loudly that no result is of CIFAR-10."""
    if source == "synthetic":
        click.echo("SYNTHETIC data: these are not CIFAR-10 images, and no figure below is about them.", err=True)


@contextmanager
def blas_threads(threads: int | None) -> Iterator[None]:
    """Limit the threads of the matrix products."""
    import numpy as np  # noqa: F401 - its BLAS has to be loaded to be limited
    from threadpoolctl import threadpool_limits

    with threadpool_limits(threads, user_api="blas"):
        yield
