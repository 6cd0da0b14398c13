"""What a shell completes beyond commands and options: runs, configs, setting keys. And the script that asks for it."""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class


def run_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Runs in the runs folder that begin like this, the newest first; and folders."""
    from cifarnet import runs

    folder = context.params.get("runs_dir") or Path("runs")
    names = ["latest", *(path.name for path in reversed(runs.folders(folder)))]
    return [CompletionItem(name) for name in names if name.startswith(incomplete)] or [
        CompletionItem(incomplete, type="dir")
    ]


def config_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Shipped configs, and files."""
    from cifarnet import config

    names = [name for name in config.shipped() if name.startswith(incomplete)]
    return [CompletionItem(incomplete, type="file"), *map(CompletionItem, names)]


def setting_keys(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Keys of a config with what they mean, up to the equals sign."""
    from cifarnet import config

    return [
        CompletionItem(f"{key}=", help=meaning) for key, meaning in config.keys().items() if key.startswith(incomplete)
    ]


def value_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What runs are filtered and sorted by."""
    from cifarnet import catalogue, config

    keys = (*catalogue.FACTS, *catalogue.ACCURACIES, *config.keys())
    return [CompletionItem(key) for key in keys if key.startswith(incomplete)]


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that lets a shell complete commands, options, runs, configs and setting keys.

    bash and zsh: source it in ~/.bashrc or ~/.zshrc; fish finds it in its folder of completions.

    \b
    Examples:
      cifarnet completion bash > ~/.cifarnet.bash; echo "source ~/.cifarnet.bash" >> ~/.bashrc
      cifarnet completion zsh > ~/.cifarnet.zsh; echo "source ~/.cifarnet.zsh" >> ~/.zshrc
      cifarnet completion fish > ~/.config/fish/completions/cifarnet.fish
    """
    from cifarnet.cli import cli

    kind = get_completion_class(shell)
    assert kind, shell
    click.echo(kind(cli, {}, "cifarnet", "_CIFARNET_COMPLETE").source())
