"""The command line. Commands import what they need in their bodies, so that help imports click alone."""

import importlib
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

import click

from cifarnet.errors import CifarnetError

COMMANDS = (
    "train",
    "gradcheck",
    "search-lambda",
    "search",
    "find-eta",
    "evaluate",
    "predict",
    "reproduce-report",
    "export",
    "runs",
    "data",
    "config",
    "completion",
)


class Commands(click.Group):
    """A group whose commands are found by name in the modules of this package."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(importlib.import_module(f"cifarnet.cli.{name}"), name)
        return command


def tell_version(context: click.Context, parameter: click.Parameter, asked: bool) -> None:
    """Print the version where it is asked for, and end."""
    if asked:
        from cifarnet.version import told

        click.echo(f"cifarnet {told()}")
        context.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option("--no-color", is_flag=True, help="No colours; so does the environment variable NO_COLOR.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=tell_version, help="Show release and commit."
)
@click.pass_context
def cli(context: click.Context, no_color: bool, debug: bool) -> None:
    """Reproducible experiments with small NumPy networks on CIFAR-10.

    \b
    Examples:
      cifarnet train --config figure-3
      cifarnet gradcheck --method centred
      cifarnet search-lambda coarse --config search
      cifarnet evaluate latest
    """
    if no_color or os.environ.get("NO_COLOR"):
        context.color = False


def main() -> NoReturn:
    """Run the command line and turn every error into a line and an exit code, at this one place."""
    signal.signal(signal.SIGTERM, terminated)
    os.environ["MPLBACKEND"] = "agg"  # figures are files; whatever is set for other programs need not be there
    try:
        code = cli.main(prog_name="cifarnet", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except CifarnetError as error:
        fail(str(error), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        fail("stopped", 130)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output went away; Python would complain at exit
        sys.exit(1)
    except Exception as error:
        fail(f"unexpected {type(error).__name__}: {error}; run again as `cifarnet --debug ...` to see where", 1)


def fail(message: str, code: int) -> NoReturn:
    if "--debug" in sys.argv:
        raise
    click.echo(f"Error: {message}", err=True)
    sys.exit(code)


def terminated(signum: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + signum)
