"""``cifarnet config``: what the settings are, where each comes from, and what they may be."""

import json

import click

from cifarnet.cli.options import Answering, Command, WithConfig, command


@click.group()
def config() -> None:
    """Show settings and where they come from.

    \b
    Example:
      cifarnet config show figure-3
    """


@command("show", config)
class Show(WithConfig, Answering):
    """Print the settings, with the origin of each.

    An option such as --seed or --n-s wins over --set, that over the environment variable CIFARNET_SET (KEY=VALUE
    words, quoted as in a shell), that over the config file, and that over the default. Where a kind is changed, keys
    of the config file that the new kind does not have are dropped. A whole number may be written 1e3. Without a label
    the config's file name is the label.

    Example:
      cifarnet config show figure-3 --lambda 0.001 --n-s "2 epochs"
    """

    def run(self) -> None:
        from cifarnet.config import dump, plain

        settings, origins = self.resolve()
        lines, comments = dump(settings).splitlines(), iter(origins.values())
        width = max(map(len, lines))
        annotated = [line if line.endswith(":") else f"{line:{width}}  # {next(comments)}" for line in lines]
        self.answer({"settings": plain(settings), "origins": origins}, *annotated)


@command("schema", config)
class Schema(Command):
    """Print the JSON Schema of a config file, for editors.

    Example:
      cifarnet config schema > configs/schema.json
    """

    def run(self) -> None:
        from cifarnet.config import json_schema

        click.echo(json.dumps(json_schema(), indent=2))


@command("reference", config)
class Reference(Command):
    """Print what every key means, as Markdown.

    Example:
      cifarnet config reference > configs/README.md
    """

    def run(self) -> None:
        from cifarnet.config import reference

        click.echo(reference(), nl=False)
