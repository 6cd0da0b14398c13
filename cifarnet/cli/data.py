"""The commands about CIFAR-10 itself: download, verify, info."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

data_dir_option = click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Looked at before CIFARNET_DATA_DIR and the user's cache."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def echo_json(**values: Any) -> None:
    import json

    click.echo(json.dumps(values))


@click.group()
def data() -> None:
    """CIFAR-10: fetch it, check it, describe it."""


@data.command()
@data_dir_option
@click.option("--mirror", "mirrors", multiple=True, metavar="URL", help="Fetch from here instead; may be repeated.")
@click.option("--force", is_flag=True, help="Fetch it anew and replace what is there.")
@json_option
def download(data_dir: Path | None, mirrors: tuple[str, ...], force: bool, as_json: bool) -> None:
    """Fetch the official archive (170 MB), check its MD5 and unpack it.

    An interrupted download goes on where it stopped.

    Example: cifarnet data download
    """
    from cifarnet.data.download import MIRRORS, download

    def say(message: str) -> None:
        click.echo(message, err=True)

    release = download(data_dir, mirrors or MIRRORS, force=force, progress=meter(), say=say)
    if as_json:
        echo_json(folder=str(release.path), format=release.format.name)
    else:
        click.echo(f"CIFAR-10 is in {release.path}")


def meter() -> Callable[[int, int], None]:
    """Shows how far a download is: a bar on a terminal, a line every tenth elsewhere."""
    import sys

    from tqdm import tqdm

    bar = tqdm(unit="B", unit_scale=True, desc="cifar-10", disable=not sys.stderr.isatty())
    tenth = -1

    def progress(done: int, total: int) -> None:
        nonlocal tenth
        bar.total = total
        bar.update(done - bar.n)
        if bar.disable and 10 * done // total != tenth:
            tenth = 10 * done // total
            click.echo(f"{done / 1e6:.0f} of {total / 1e6:.0f} MB", err=True)
        if done == total:
            bar.close()

    return progress


@data.command()
@data_dir_option
@json_option
@click.pass_context
def verify(context: click.Context, data_dir: Path | None, as_json: bool) -> None:
    """Read all six batches: is each whole, and is it the official one?

    Exits with 1 where one is damaged.

    Example: cifarnet data verify
    """
    from cifarnet.data.inspection import verify
    from cifarnet.data.release import find

    words = {"official": "ok, official", "readable": "ok, not the official bytes", "damaged": "damaged"}
    release = find(data_dir)
    findings = []
    for finding in verify(release):
        findings.append(finding)
        if not as_json:
            click.echo(f"{finding.file}: {words[finding.status]}{finding.why and ': ' + finding.why}")
    readable = all(finding.status != "damaged" for finding in findings)
    if as_json:
        files = [finding._asdict() for finding in findings]
        echo_json(folder=str(release.path), format=release.format.name, readable=readable, files=files)
    context.exit(0 if readable else 1)


@data.command()
@data_dir_option
@json_option
def info(data_dir: Path | None, as_json: bool) -> None:
    """Where CIFAR-10 was found, whether it is official, images of each class.

    Example: cifarnet data info
    """
    from tabulate import tabulate

    from cifarnet.data.inspection import info
    from cifarnet.data.release import find

    found = info(find(data_dir))
    if as_json:
        echo_json(**found._asdict())
        return
    click.echo(f"folder       {found.folder}")
    click.echo(f"format       {found.format}")
    click.echo(f"official     {'yes' if found.official else 'no'}")
    click.echo(f"fingerprint  {found.fingerprint}\n")
    counts = zip(found.classes, found.training, found.test, strict=True)
    click.echo(tabulate(list(counts), ["class", "training", "test"]))
