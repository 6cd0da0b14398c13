"""Options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from cifarnet.cli import completion

Command = TypeVar("Command", bound=Callable[..., Any])


def tell_more(context: click.Context, parameter: click.Parameter, asked: bool) -> None:
    """Let what the package logs be seen on standard error."""
    if asked and not context.resilient_parsing:
        import logging

        log, handler = logging.getLogger("cifarnet"), logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(relativeCreated)6.0f ms  %(message)s"))
        log.handlers[:] = [handler]
        log.setLevel(logging.INFO)


config = click.option(
    "--config",
    "source",
    metavar="CONFIG",
    help="A YAML file or a shipped config's name.",
    shell_complete=completion.config_names,
)
overrides = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set one key; repeatable.",
    shell_complete=completion.setting_keys,
)
seed = click.option("--seed", type=int, help="Seed of every random stream.")
label = click.option("--label", help="Part of the run folder's name.")
data_dir = click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="Where CIFAR-10 is (CIFARNET_DATA_DIR).",
)
threads = click.option("--threads", type=click.IntRange(min=1), metavar="N", help="Threads that share the work.")
runs_dir = click.option(
    "--runs-dir",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    envvar="CIFARNET_RUNS_DIR",
    show_default=True,
    help="Where run folders are made.",
)
quiet = click.option("--quiet", "-q", is_flag=True, help="No progress on standard error.")
verbose = click.option(
    "--verbose",
    "-v",
    is_flag=True,
    expose_value=False,
    callback=tell_more,
    help="Tell which files and threads are used.",
)
figure_format = click.option(
    "--format",
    "figure_format",
    type=click.Choice(["png", "svg"]),
    default="png",
    show_default=True,
    help="Of the figure.",
)
figure_formats = click.option(
    "--format",
    "formats",
    type=click.Choice(["png", "svg"]),
    multiple=True,
    default=("png", "svg"),
    show_default=True,
    help="Of the figures; repeatable.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def together(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several options as one decorator, shown in the order given."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


config_options = together(config, overrides, seed, label)
common_options = together(data_dir, threads, runs_dir, quiet, verbose, as_json)


def echo_json(value: Any) -> None:
    """Print the one JSON object of a command."""
    import json

    click.echo(json.dumps(value))


def warn_synthetic(source: str) -> None:
    """Say loudly that no result is of CIFAR-10."""
    if source == "synthetic":
        click.echo("SYNTHETIC data: these are not CIFAR-10 images, and no figure below is about them.", err=True)
