"""What a shell completes beyond commands and options: runs, configs, setting keys. And the script that asks for it."""

from collections.abc import Iterable
from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class


def items(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def run_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer runs in the runs folder, the newest first; or folders."""
    from cifarnet.runs import folders

    paths = folders(context.params.get("runs_dir") or Path("runs"))
    found = items(["latest", *(path.name for path in reversed(paths))], incomplete)
    return found or [CompletionItem(incomplete, type="dir")]


def config_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer shipped configs, and files."""
    from cifarnet import config

    return [CompletionItem(incomplete, type="file"), *items(config.shipped(), incomplete)]


def setting_keys(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from cifarnet import config

    return items((f"{key}=" for key in config.keys()), incomplete)  # noqa: SIM118 - a function


def value_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer what runs are filtered and sorted by."""
    from cifarnet import config
    from cifarnet.runs.catalog import COLUMNS

    return items(dict.fromkeys([*(column.key for column in COLUMNS.values()), *config.keys()]), incomplete)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script for completion in a shell.

    bash and zsh: source it in ~/.bashrc or ~/.zshrc; fish finds it in its folder of completions.

    \b
    Examples:
      cifarnet completion bash > ~/.cifarnet.bash
      cifarnet completion fish > ~/.config/fish/completions/cifarnet.fish
    """
    from cifarnet.cli import cli

    kind = get_completion_class(shell)
    assert kind
    click.echo(kind(cli, {}, "cifarnet", "_CIFARNET_COMPLETE").source())
