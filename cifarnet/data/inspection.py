"""Looks at the files of a release, for `data verify` and `data info`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np

from cifarnet.data.formats import TEST, TRAINING
from cifarnet.data.release import Release
from cifarnet.errors import DataError


class Finding(NamedTuple):
    """What is the matter with one file."""

    file: str
    status: Literal["official", "readable", "damaged"]
    why: str = ""


def verify(release: Release) -> Iterator[Finding]:
    """Read every file of a release and tell whether it is the official one, another one that will do, or damaged."""
    for stem in (*TRAINING, TEST):
        name = stem + release.format.suffix
        try:
            yield Finding(name, "official" if release.read(stem).official else "readable")
        except DataError as error:
            yield Finding(name, "damaged", str(error))


class Info(NamedTuple):
    """A release in numbers; the fingerprint is over all six batches."""

    folder: str
    format: str
    official: bool
    fingerprint: str
    classes: tuple[str, ...]
    training: tuple[int, ...]  # images of each class
    test: tuple[int, ...]


def info(release: Release) -> Info:
    """Read all six batches and count; raises DataError where one is damaged."""
    batches = [release.read(stem) for stem in (*TRAINING, TEST)]
    classes = release.classes()
    counts = np.array([np.bincount(batch.y, minlength=len(classes)) for batch in batches])
    return Info(
        folder=str(release.path),
        format=release.format.name,
        official=all(batch.official for batch in batches),
        fingerprint=hashlib.sha256(b"".join(batch.digest for batch in batches)).hexdigest(),
        classes=classes,
        training=tuple(counts[:-1].sum(axis=0).tolist()),
        test=tuple(counts[-1].tolist()),
    )
