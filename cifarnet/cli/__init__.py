"""The command line. Commands import what they need when they run, so that help imports click and little else."""

import importlib
import io
import os
import signal
import sys
from typing import NoReturn

import click

from cifarnet.errors import CifarnetError, shown

COMMANDS = (
    "train", "gradcheck", "search-lambda", "search", "find-eta", "evaluate", "predict", "reproduce-report", "export",
    "diagnose", "report", "runs", "data", "config", "completion",
)  # fmt: skip
SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 120, "show_default": True}


class Commands(click.Group):
    """Commands that are imported when they are asked for, each from the module that is called like it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"cifarnet.cli.{cmd_name.replace('-', '_').removesuffix('_lambda')}")
        return next(c for c in vars(module).values() if isinstance(c, click.Command) and c.name == cmd_name)


def show_version(context: click.Context, parameter: click.Parameter, asked: bool) -> None:
    if asked:
        from cifarnet.version import describe

        click.echo(f"cifarnet {describe()}")
        context.exit()


@click.group(cls=Commands, commands=dict.fromkeys(COMMANDS), context_settings=SETTINGS)
@click.option("--no-color", is_flag=True, help="No colours; so does the environment variable NO_COLOR.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option("--version", is_flag=True, is_eager=True, callback=show_version, help="Show release and commit.")
@click.pass_context
def cli(context: click.Context, /, no_color: bool, **_: bool) -> None:
    """Reproducible experiments with small NumPy networks on CIFAR-10.

    \b
    Examples:
      cifarnet train figure-3
      cifarnet gradcheck --method centred
      cifarnet search-lambda coarse search
      cifarnet evaluate latest
    """
    if no_color or os.environ.get("NO_COLOR"):
        context.color = False


class Terminated(BaseException):
    """SIGTERM: nothing that catches what a student's code raises, SystemExit among it, catches this."""


def terminate(number: int, frame: object) -> NoReturn:
    raise Terminated


def main() -> NoReturn:
    """Run the command line and turn every error into a line and an exit code, at this one place."""
    signal.signal(signal.SIGTERM, terminate)
    os.environ["MPLBACKEND"] = "agg"  # figures are files; what is set for other programs may not be installed
    sys.stdout, sys.stderr = (stream or io.StringIO() for stream in (sys.stdout, sys.stderr))  # None where it is closed
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # λ in cp1252; file names that are not UTF-8
    try:
        code = cli.main(prog_name="cifarnet", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        fail("stopped", 130)
    except Terminated:
        sys.exit(128 + signal.SIGTERM)
    except BrokenPipeError:
        sys.stderr.close()  # who read our output went away; Python would complain at exit
        sys.exit(1)
    except OSError as error:  # such as a full disk below standard output: files have errors of their own
        fail(f"{shown(error.filename or 'standard output')}: {error.strerror or error}", 1)
    except CifarnetError as error:
        fail(str(error), error.exit_code)
    except MemoryError as error:
        fail(f"it does not fit into memory: {error or 'take a smaller network, or fewer images'}", 1)
    except Exception as error:
        fail(f"unexpected {type(error).__name__}: {error}; run again as `cifarnet --debug ...` to see where", 1)


def fail(message: str, code: int) -> NoReturn:
    if "--debug" in sys.argv:
        raise
    click.echo(f"Error: {message}", err=True)
    sys.exit(code)
