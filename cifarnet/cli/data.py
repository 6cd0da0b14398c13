"""The commands about CIFAR-10 itself: download, verify, info."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from cifarnet.cli import options
from cifarnet.cli.options import echo_json


@click.group()
def data() -> None:
    """CIFAR-10: fetch it, check it, describe it.

    \b
    Example:
      cifarnet data info
    """


@data.command()
@options.data_dir
@click.option("--mirror", "mirrors", multiple=True, metavar="URL", help="Fetch from here instead; may be repeated.")
@click.option("--force", is_flag=True, help="Fetch it anew and replace what is there.")
@options.as_json
def download(data_dir: Path | None, mirrors: tuple[str, ...], force: bool, as_json: bool) -> None:
    """Fetch the official archive of 170 MB.

    Its MD5 is checked before it is unpacked. An interrupted download goes on where it stopped.

    \b
    Example:
      cifarnet data download
    """
    from cifarnet.data.download import MIRRORS, download

    def say(message: str) -> None:
        click.echo(message, err=True)

    release = download(data_dir, mirrors or MIRRORS, force=force, progress=meter(), say=say)
    if as_json:
        echo_json({"folder": str(release.path), "format": release.format.name})
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
@options.data_dir
@options.as_json
@click.pass_context
def verify(context: click.Context, data_dir: Path | None, as_json: bool) -> None:
    """Read and check all six batches.

    Says of each whether it is whole and whether it is the official one. Exits with 1 where one is damaged.

    \b
    Example:
      cifarnet data verify
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
        where = {"folder": str(release.path), "format": release.format.name}
        echo_json(where | {"readable": readable, "files": files})
    context.exit(0 if readable else 1)


@data.command()
@options.data_dir
@options.as_json
def info(data_dir: Path | None, as_json: bool) -> None:
    """Tell where CIFAR-10 was found.

    And its format, whether it is official, its fingerprint, and how many images of each class there are.

    \b
    Example:
      cifarnet data info
    """
    from cifarnet.cli.tables import table
    from cifarnet.data.inspection import info
    from cifarnet.data.release import find

    found = info(find(data_dir))
    if as_json:
        echo_json(found._asdict())
        return
    click.echo(f"folder       {found.folder}")
    click.echo(f"format       {found.format}")
    click.echo(f"official     {'yes' if found.official else 'no'}")
    click.echo(f"fingerprint  {found.fingerprint}\n")
    counts = zip(found.classes, found.training, found.test, strict=True)
    click.echo(table(counts, ["class", "training", "test"]))
