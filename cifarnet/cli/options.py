"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def config_options(command: Command) -> Command:
    """--config, --set, --seed and --label, as the parameters that cifarnet.config.load takes."""
    for option in reversed(
        [
            click.option("--config", "source", metavar="FILE", help="A YAML file, or the name of a shipped config."),
            click.option(
                "--set",
                "overrides",
                multiple=True,
                metavar="KEY=VALUE",
                help="Set one key, such as training.lambda=0.001; may be repeated, the later wins.",
            ),
            click.option("--seed", type=int, help="The seed, over what the config says."),
            click.option("--label", help="The label, over what the config says."),
        ]
    ):
        command = option(command)
    return command
