"""``cifarnet runs``: what is in the runs folder."""

from pathlib import Path

import click

from cifarnet.cli import options
from cifarnet.cli.options import echo_json


@click.group()
def runs() -> None:
    """Look at runs.

    \b
    Example:
      cifarnet runs show latest
    """


@runs.command()
@click.argument("run_name", metavar="[RUN]", default="latest")
@options.runs_dir
@options.as_json
def show(run_name: str, runs_dir: Path, as_json: bool) -> None:
    """Show a run: status, results, settings.

    The status is running, completed, interrupted, diverged, failed, or stale: said to run, but its process is gone.

    \b
    Example:
      cifarnet runs show latest
    """
    from cifarnet import config
    from cifarnet.runs import find, read

    path = find(run_name, runs_dir)
    info = read(path)
    if as_json:
        echo_json({"run": str(path)} | info)
        return
    rows = {key: value for key, value in info.items() if not isinstance(value, dict)}
    for title, values in (("", rows), ("results", info.get("results")), ("settings", info.get("settings"))):
        if values:
            click.echo(f"\n{title}" if title else path)
            for key, value in config.flat(values).items():
                click.echo(f"  {key:28} {value}")
    if info["status"] in ("stale", "interrupted") and info["kind"] == "train":
        click.echo(f"\nto go on: cifarnet train --resume {path}")
