"""cifarnet config: what the settings are, where each comes from, and what they may be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from cifarnet.cli import options
from cifarnet.cli.options import config_options, echo_json

if TYPE_CHECKING:
    from cifarnet.config import Resolved


@click.group()
def config() -> None:
    """Show settings and where they come from.

    \b
    Example:
      cifarnet config show --config figure-3
    """


@config.command()
@config_options
@options.as_json
def show(source: str | None, overrides: tuple[str, ...], seed: int | None, label: str | None, as_json: bool) -> None:
    """Print the settings, with the origin of each.

    A flag such as --seed wins over --set, that over the environment variable CIFARNET_SET (KEY=VALUE words, quoted as
    in a shell), that over the config file, and that over the default. Where a kind is changed, keys of the config
    file that the new kind has no use for are dropped. A whole number may be written 1e3. Without a label the config's
    file name is the label.

    \b
    Example:
      cifarnet config show --config figure-3 --set training.lambda=0.001 --set "training.schedule.n_s=2 epochs"
    """
    from cifarnet.config import plain, resolve

    resolved = resolve(source, overrides, seed=seed, label=label)
    if as_json:
        echo_json({"settings": plain(resolved.settings), "origins": resolved.origins})
    else:
        click.echo("\n".join(annotated(resolved)))


def annotated(resolved: Resolved) -> Iterator[str]:
    """The lines of the settings' YAML, the origin of every value in a column of comments."""
    from cifarnet.config import dump

    lines = dump(resolved.settings).splitlines()
    width = max(map(len, lines))
    origins = iter(resolved.origins.values())
    for line in lines:
        yield line if line.endswith(":") else f"{line:{width}}  # {next(origins)}"


@config.command()
def schema() -> None:
    """Print the JSON Schema of a config file.

    Editors use it to complete and to check.

    \b
    Example:
      cifarnet config schema > configs/schema.json
    """
    from cifarnet.config import schema as json_schema

    click.echo(json.dumps(json_schema(), indent=2))
