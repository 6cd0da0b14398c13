"""``cifarnet data``: CIFAR-10 itself."""

import sys
from collections.abc import Sequence
from functools import partial

import click

from cifarnet.cli.options import WithData, command, flag, option
from cifarnet.cli.output import aligned, table
from cifarnet.cli.progress import advance, bar

WORDS = {"official": "ok, official", "readable": "readable, but not the official bytes", "damaged": "damaged"}
NO_CHECKSUM = "readable; there is no official checksum for MATLAB files"


@click.group()
def data() -> None:
    """CIFAR-10: fetch it, check it, describe it.

    \b
    Example:
      cifarnet data info
    """


@command("download", data)
class Download(WithData):
    """Fetch the official archive of 170 MB.

    Its MD5 is checked before it is unpacked. An interrupted download goes on where it stopped.

    Example:
      cifarnet data download
    """

    mirrors: Sequence[str] = option("--mirror", multiple=True, metavar="URL", help="Fetch from here; repeatable.")
    force: bool = flag("--force", help="Fetch it anew and replace what is there.")

    def run(self) -> None:
        from cifarnet.data.download import MIRRORS, download

        def progress(done: int, total: int) -> None:
            advance(shown, done, total, f"{done / 1e6:.0f} of {total / 1e6:.0f} MB")

        with bar(None, "B", unit_scale=True, desc="cifar-10") as shown:
            say, mirrors = partial(click.echo, err=True), self.mirrors or MIRRORS
            release = download(self.data_dir, mirrors, force=self.force, progress=progress, say=say)
        self.answer({"folder": str(release.path), "format": release.format}, f"CIFAR-10 is in {release.path}")


@command("verify", data)
class Verify(WithData):
    """Read and check all six batches.

    Says of each whether it can be read and whether it is the official one. Exits with 1 where one is damaged.

    Example:
      cifarnet data verify
    """

    def run(self) -> None:
        from cifarnet import data

        release, findings = data.find(self.data_dir), []
        words = WORDS | ({"readable": NO_CHECKSUM} if release.format == "matlab" else {})
        for finding in data.verify(release):
            findings.append(finding)
            if not self.json:
                click.echo(f"{finding.file}: {words[finding.status]}{finding.why and ': ' + finding.why}")
        readable = all(finding.status != "damaged" for finding in findings)
        if self.json:
            where = {"folder": str(release.path), "format": release.format, "readable": readable}
            self.answer(where | {"files": [finding._asdict() for finding in findings]})
        sys.exit(not readable)


@command("info", data)
class Info(WithData):
    """Say where CIFAR-10 is, its format, fingerprint and counts.

    Example:
      cifarnet data info
    """

    def run(self) -> None:
        from cifarnet import data

        found = data.info(data.find(self.data_dir))
        facts = {name: getattr(found, name) for name in ("folder", "format", "official", "fingerprint")}
        facts["official"] = "yes" if found.official else "no"
        counts = {"class": found.classes, "training": found.training, "test": found.test}
        self.answer(found._asdict(), aligned(facts), "", table(counts))
