"""Where a data set is looked for, and what is found there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from cifarnet.data.cifar10 import FORMATS, Cifar10, fingerprint
from cifarnet.errors import DataError, shown

CACHE = "the user's cache"
OTHERS = {"labels.npy": "CIFAR-10-C", "cifar-100-python": "CIFAR-100", "fine_label_names.txt": "CIFAR-100"}


def place(data_dir: Path | None = None) -> tuple[str, Path]:
    """Return who names the place where CIFAR-10 is looked for, and the place; it starts with ~ if there is no home."""
    import platformdirs

    for who, named in (("--data-dir", data_dir), ("CIFARNET_DATA_DIR", os.environ.get("CIFARNET_DATA_DIR"))):
        if named:
            try:
                return who, Path(named).expanduser()
            except RuntimeError as error:
                raise DataError(f"{shown(named)}, which {who} names, cannot be found: {error}") from error
    try:
        return CACHE, platformdirs.user_cache_path("cifarnet", appauthor=False)
    except RuntimeError:
        return CACHE, Path("~/.cache/cifarnet")


def find(data_dir: Path | None = None) -> Cifar10:
    """Return the release in the place that is named; DataError says what is there instead, and the cures."""
    who, path = place(data_dir)
    if release := look(who, path):
        return release
    raise missing(who, path)


def available(data_dir: Path | None = None) -> bool:
    """Return whether `find` finds CIFAR-10; DataError where a place is named that holds something else."""
    who, path = place(data_dir)
    found = look(who, path)
    if not found and who != CACHE and names_in(path) != []:
        raise missing(who, path)
    return bool(found)


def look(who: str, path: Path) -> Cifar10 | None:
    """Return the release in a folder, or that is this folder or archive; an archive is unpacked beside itself."""
    try:
        for release in FORMATS:
            for folder in (path / release.folder, path):
                if release.is_in(folder):
                    return release(folder)
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        archives = [file for file in files if file.suffix in (".gz", ".tgz") and file.is_file()]
        for release in FORMATS:
            name = release.archive.removesuffix(".tar.gz")  # browsers make it cifar-10-python(1).tar.gz
            if found := [archive for archive in archives if archive.name.startswith(name)]:
                return release.from_archive(min(found, key=lambda archive: len(archive.name)))
        return None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        cure = "check its name and its permissions"
        raise DataError(f"{str(path)!r}, which {who} names, cannot be read: {why}; {cure}") from error


def names_in(path: Path) -> list[str] | None:
    """Return what a person sees in a folder, without a download that was broken off; None where it is no folder."""
    if not path.is_dir():
        return None
    return sorted(p.name for p in path.iterdir() if not p.name.startswith(".") and p.suffix != ".part")


def missing(who: str, path: Path) -> DataError:
    """Return the error that says what a place holds instead of the data set."""
    if names := names_in(path):
        guess = next((f" ({other}?)" for name, other in OTHERS.items() if name in names), "")
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        state = f"holds {', '.join(map(shown, names[:3]))}{more}{guess}"
    else:
        state = "is empty" if names == [] else "is another file" if path.is_file() else "does not exist"
    wanted = " or ".join(f"{release.folder}/" for release in FORMATS)
    return DataError(
        f"{Cifar10.name} was not found in {shown(path)} ({who}), which {state}. Looked for {wanted} or its archive. "
        "`cifarnet data download` fetches it (170 MB); `--set data.source=synthetic` does without"
    )


class Finding(NamedTuple):
    """What is wrong with one file, if anything."""

    file: str
    status: Literal["official", "readable", "damaged"]
    why: str = ""


def verify(release: Cifar10) -> Iterator[Finding]:
    """Read every batch and say whether its file is the official one, another one that can be read, or damaged."""
    for batch in release.batches:
        name = batch + release.suffix
        try:
            yield Finding(name, "official" if release.read(batch).official else "readable")
        except DataError as error:
            yield Finding(name, "damaged", str(error))


class Info(NamedTuple):
    """A release in numbers; the fingerprint is over all batches, the counts are images of each class."""

    folder: str
    format: str
    official: bool
    fingerprint: str
    classes: tuple[str, ...]
    training: tuple[int, ...]
    test: tuple[int, ...]


def info(release: Cifar10) -> Info:
    """Read all batches and count; DataError where one is damaged."""
    batches = [release.read(batch) for batch in release.batches]
    classes = release.class_names()
    counts = np.array([np.bincount(batch.y, minlength=len(classes)) for batch in batches])
    return Info(
        folder=str(release.path),
        format=release.format,
        official=all(batch.official for batch in batches),
        fingerprint=fingerprint(batch.digest for batch in batches),
        classes=classes,
        training=tuple(counts[:-1].sum(axis=0).tolist()),
        test=tuple(counts[-1].tolist()),
    )
