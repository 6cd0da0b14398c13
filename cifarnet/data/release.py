"""The official releases on disk: where they are looked for, and how a file becomes a checked batch."""

from __future__ import annotations

import gzip
import hashlib
import os
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from cifarnet.config.settings import BATCH_IMAGES, IMAGE_VALUES
from cifarnet.data import pickles
from cifarnet.data.formats import CLASSES, FORMATS, PYTHON, Format
from cifarnet.errors import DataError

Bytes = npt.NDArray[np.uint8]

FILE_LIMIT = 40_000_000  # bytes; the largest official file has 31,035,999
ARCHIVE_LIMIT = 200_000_000  # bytes unpacked; the official archives have 186 million
CURE = "`cifarnet data verify` looks at every file, `cifarnet data download --force` fetches them anew"


class Batch(NamedTuple):
    """10,000 images: labels y (n,), pixels (n, 3072), the SHA-256 of both, and whether the file is the official one."""

    y: Bytes
    pixels: Bytes
    digest: bytes
    official: bool


def damaged(path: Path, why: str) -> DataError:
    return DataError(f"{path} is damaged or not CIFAR-10: {why}; {CURE}")


@dataclass(frozen=True)
class Release:
    """One release that was found: a folder, or an archive that could not be unpacked beside itself."""

    path: Path
    format: Format
    contents: dict[str, bytes] | None = None

    def content(self, name: str) -> bytes:
        """A file's bytes, read whole."""
        if self.contents is not None:
            return self.contents[name]
        path = self.path / name
        try:
            if not path.is_file():
                raise damaged(path, "it is missing, or no ordinary file")
            if (size := path.stat().st_size) > FILE_LIMIT:
                raise damaged(path, f"{size:,} bytes are more than any batch has")
            return path.read_bytes()
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}; check its permissions and its disk") from error

    def read(self, stem: str) -> Batch:
        """The batch `data_batch_1` to `data_batch_5` or `test_batch`; DataError where it is not whole and plausible."""
        name = stem + self.format.suffix
        content = self.content(name)
        try:
            y, pixels = unpickled(content) if self.format is PYTHON else records(content)
        except ValueError as error:
            raise damaged(self.path / name, str(error)) from error
        return Batch(y, pixels, digest(y, pixels), self.is_official(name, content))

    def is_official(self, name: str, content: bytes) -> bool:
        return hashlib.md5(content, usedforsecurity=False).hexdigest() == self.format.md5.get(name)

    def classes(self) -> tuple[str, ...]:
        """The names of the classes as the release gives them, or the well-known ones where it does not."""
        if self.contents is None and not (self.path / self.format.meta).exists():
            return CLASSES
        try:
            content = self.content(self.format.meta)
            names = pickled_names(content) if self.format is PYTHON else content.decode().split()
        except ValueError as error:
            raise damaged(self.path / self.format.meta, str(error)) from error
        if len(names) != len(CLASSES) or not all(name.isprintable() and 0 < len(name) <= 40 for name in names):
            raise damaged(self.path / self.format.meta, "it does not name ten classes")
        return tuple(names)


def digest(y: Bytes, pixels: Bytes) -> bytes:
    """SHA-256 over labels and pixels."""
    state = hashlib.sha256(y.data)
    state.update(pixels.data)
    return state.digest()


def unpickled(content: bytes) -> tuple[Bytes, Bytes]:
    """Labels and pixels of a batch of the Python release."""
    batch = pickles.read(content)
    if not isinstance(batch, dict) or not {"labels", "data"} <= batch.keys():
        raise ValueError("it holds no labels and data")
    labels, array = batch["labels"], batch["data"]
    if not isinstance(labels, list) or len(labels) != BATCH_IMAGES:
        raise ValueError(f"it does not have a list of {BATCH_IMAGES:,} labels")
    if not all(type(label) is int and 0 <= label < len(CLASSES) for label in labels):
        raise ValueError("a label is not a number from 0 to 9")
    if not isinstance(array, pickles.Array) or (pixels := array.build()).shape != (BATCH_IMAGES, IMAGE_VALUES):
        raise ValueError(f"its pixels are not a table of {BATCH_IMAGES:,} x {IMAGE_VALUES:,} bytes")
    return np.array(labels, np.uint8), np.ascontiguousarray(pixels)


def records(content: bytes) -> tuple[Bytes, Bytes]:
    """Labels and pixels of a batch of the binary release: one byte of label and 3072 of pixels an image."""
    if len(content) != BATCH_IMAGES * (1 + IMAGE_VALUES):
        raise ValueError(f"it has {len(content):,} bytes instead of {BATCH_IMAGES * (1 + IMAGE_VALUES):,}")
    table = np.frombuffer(content, np.uint8).reshape(BATCH_IMAGES, 1 + IMAGE_VALUES)
    if table[:, 0].max() >= len(CLASSES):
        raise ValueError("a label is not a number from 0 to 9")
    return table[:, 0].copy(), table[:, 1:].copy()


def pickled_names(content: bytes) -> list[str]:
    meta = pickles.read(content)
    names = meta.get("label_names") if isinstance(meta, dict) else None
    if not isinstance(names, list):
        raise ValueError("it does not name ten classes")
    return [pickles.text(name) for name in names]


def cache() -> Path:
    """The user's cache folder, where downloads go unless another place is named."""
    import platformdirs

    return platformdirs.user_cache_path("cifarnet", appauthor=False)


def places(data_dir: Path | None) -> list[tuple[str, Path]]:
    """Where CIFAR-10 is looked for, each with who named it, first one first."""
    named = [("--data-dir", data_dir), ("CIFARNET_DATA_DIR", os.environ.get("CIFARNET_DATA_DIR"))]
    return [(who, Path(place)) for who, place in named if place] + [("the user's cache", cache())]


def find(data_dir: Path | None = None) -> Release:
    """The first release among the places; an archive is unpacked beside itself, once.

    Raises
    ------
    DataError : nothing is there (all places and the cures are listed), a named place is no folder, a damaged archive.
    """
    looked = places(data_dir)
    for who, place in looked:
        if release := look(who, place):
            return release
    listed = "; ".join(f"{shown(place)} ({who})" for who, place in looked)
    raise DataError(
        f"CIFAR-10 was not found. Looked for {', '.join(f'{f.folder}/ or {f.archive}' for f in FORMATS)} in: {listed}. "
        "`cifarnet data download` fetches it (170 MB); `--set data.source=synthetic` does without"
    )


def available(data_dir: Path | None = None) -> bool:
    """Whether a release is among the places; raises DataError where a named place is wrong."""
    return any(look(who, place) for who, place in places(data_dir))


def shown(place: Path) -> str:
    """A path on one line, whatever its name is made of."""
    return str(place) if str(place).isprintable() else ascii(str(place))


def look(who: str, place: Path) -> Release | None:
    """The release in one place, which may also be a release's own folder or archive."""
    try:
        if who != "the user's cache" and not place.exists():
            cure = "name a folder with CIFAR-10, or let `cifarnet data download` make it"
            raise DataError(f"{shown(place)}, which {who} names, does not exist; {cure}")
        if place.is_file():
            named = [f for f in FORMATS if f.archive == place.name]
            if not named:
                raise DataError(f"{shown(place)}, which {who} names, is neither a folder nor an archive of CIFAR-10")
            return unpacked(place, named[0])
        for format in FORMATS:
            for folder in (place / format.folder, place):
                if any((folder / name).exists() for name in format.files):
                    return Release(folder, format)
        for format in FORMATS:
            if (place / format.archive).is_file():
                return unpacked(place / format.archive, format)
        if place.is_dir():
            next(place.iterdir(), None)  # a folder that cannot be listed is not an empty one
        return None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        cure = "check its name and its permissions"
        raise DataError(f"{str(place)!r}, which {who} names, cannot be read: {why}; {cure}") from error


def unpacked(archive: Path, format: Format) -> Release:
    """The archive unpacked beside itself, or held in memory where nothing can be written."""
    folder = archive.with_name(format.folder)
    try:
        return Release(folder if folder.is_dir() else unpack(archive, format), format)
    except OSError:  # a read-only or full disk; another process that was first
        return Release(archive, format, dict(members(archive, format)))


def unpack(archive: Path, format: Format) -> Path:
    """Write the archive's batches into a folder beside it: under a temporary name, then renamed; older ones go."""
    folder = archive.with_name(format.folder)
    with tempfile.TemporaryDirectory(prefix=f".{format.folder}-", dir=archive.parent) as temporary:
        whole = Path(temporary, format.folder)
        whole.mkdir()
        for name, content in members(archive, format):
            (whole / name).write_bytes(content)
        if folder.exists():
            for path in whole.iterdir():
                path.replace(folder / path.name)
        else:
            whole.rename(folder)
    return folder


def members(archive: Path, format: Format) -> Iterator[tuple[str, bytes]]:
    """The batches inside an archive, each by the one name it may have; nothing is written where a member's name says.

    The headers are read one by one, as `tarfile` would read a long name or an extended header whole, whatever its size.
    """
    wanted = {f"{format.folder}/{name}": name for name in format.files}
    unpacked_bytes = 0
    try:
        with gzip.open(archive) as stream:
            while wanted and (header := stream.read(tarfile.BLOCKSIZE)).strip(b"\0"):
                member = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
                size = -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                unpacked_bytes += size
                if not 0 <= size <= FILE_LIMIT or unpacked_bytes > ARCHIVE_LIMIT:
                    raise damaged(archive, "it unpacks to more than CIFAR-10 has")
                content = stream.read(size)
                if len(content) < size:
                    raise damaged(archive, "it is cut short")
                if name := wanted.pop(member.name.removeprefix("./"), None):
                    if not member.isreg():
                        raise damaged(archive, f"{name} in it is no ordinary file")
                    yield name, content[: member.size]
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise damaged(archive, f"it cannot be unpacked ({error})") from error
    if wanted:
        raise damaged(archive, f"{', '.join(sorted(wanted))} is not in it")
