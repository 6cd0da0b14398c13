"""From batches to what training sees: splits, and inputs normalised by the training images."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cifarnet.config.settings import IMAGE_VALUES, Data
from cifarnet.data import twin
from cifarnet.data.formats import CLASSES, TEST, TRAINING
from cifarnet.data.release import Batch, Bytes, find

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

LOG = logging.getLogger(__name__)
BLOCK = 200  # images at a time: stays in the cache of a core
THREADS = 2  # numpy and hashlib let go of the interpreter; more threads than memory channels gain nothing


class Split(NamedTuple):
    """X (n, d) normalised inputs, rows are images; y (n,) int64 labels from 0 to 9."""

    X: npt.NDArray[Any]
    y: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Dataset:
    """What `load` returns.

    Attributes
    ----------
    train, validation, test : the three splits; test is read when it is first asked for.
    mean, std : (d,) float64 with X = (pixels / 255 - mean) / std, from the training images alone.
    classes : the ten names.
    fingerprint : SHA-256, in hex, over labels and pixels of the batches of train and validation; the same for the
        Python and the binary release, whatever the normalisation.
    official : whether all the files read so far are, byte for byte, those of the official release.
    source : "cifar10" or "synthetic".
    """

    train: Split
    validation: Split
    mean: Floats
    std: Floats
    classes: tuple[str, ...]
    fingerprint: str
    source: str
    _batches: dict[str, bool]  # read so far, and whether official
    _read: Callable[[str], Batch]

    @cached_property
    def test(self) -> Split:
        """The 10,000 test images; raises DataError if their file is missing or damaged."""
        batch = self._read(TEST)
        self._batches[TEST] = batch.official
        return gather([batch], np.arange(len(batch.y)), self.mean, self.std, self.train.X.dtype)

    @property
    def official(self) -> bool:
        return all(self._batches.values())

    def pixels(self, split: Split, indices: Sequence[int] | Rows) -> Bytes:
        """Images (k, 32, 32, 3) uint8, to look at: the normalisation undone; inputs that `dims` left out are black."""
        d = len(self.mean)
        flat = np.zeros((len(indices), IMAGE_VALUES), np.uint8)
        values = 255 * (split.X[np.asarray(indices, np.int64)] * self.std + self.mean)
        flat[:, :d] = np.clip(np.rint(values), 0, 255)
        return flat.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def load(settings: Data, data_dir: Path | None = None, dtype: npt.DTypeLike = np.float32) -> Dataset:
    """Find, read, check, split and normalise what the settings ask for; nothing is fetched from the network.

    Parameters
    ----------
    settings : the `data` part of the settings.
    data_dir : looked at before CIFARNET_DATA_DIR and the user's cache.
    dtype : of X, float32 to train and float64 to check gradients.

    Raises
    ------
    DataError : no data, or a file that is missing, cut short, altered or hostile; the message names it and the cure.
    """
    release = None if settings.source == "synthetic" else find(data_dir)
    read = release.read if release else twin.batch
    stems = [TRAINING[i - 1] for i in (*settings.batches, *validation_batches(settings))]
    with ThreadPoolExecutor(THREADS) as pool:
        batches = list(pool.map(read, stems))
    train, validation = rows(settings, [len(batch.y) for batch in batches])
    LOG.info("images %s: %s", release.path if release else "made up", ", ".join(stems))
    LOG.info("%d images to train, %d to validate", len(train), len(validation))
    mean, std = statistics(settings, batches, train)
    return Dataset(
        train=gather(batches, train, mean, std, dtype),
        validation=gather(batches, validation, mean, std, dtype),
        mean=mean,
        std=std,
        classes=release.classes() if release else CLASSES,
        fingerprint=hashlib.sha256(b"".join(batch.digest for batch in batches)).hexdigest(),
        source=settings.source,
        _batches={stem: batch.official for stem, batch in zip(stems, batches, strict=True)},
        _read=read,
    )


def fingerprints(data_dir: Path | None = None) -> Callable[[Data], str]:
    """`Dataset.fingerprint` of any settings, without the dataset: each batch is read once and let go.

    Raises
    ------
    DataError : as `load`, also when the function that is returned is called.
    """

    @cache
    def digest(source: str, stem: str) -> bytes:
        return (twin.batch(stem) if source == "synthetic" else find(data_dir).read(stem)).digest

    def fingerprint(settings: Data) -> str:
        stems = [TRAINING[i - 1] for i in (*settings.batches, *validation_batches(settings))]
        return hashlib.sha256(b"".join(digest(settings.source, stem) for stem in stems)).hexdigest()

    return fingerprint


def validation_batches(settings: Data) -> tuple[int, ...]:
    return () if isinstance(settings.validation, int) else settings.validation


def rows(settings: Data, sizes: Sequence[int]) -> tuple[Rows, Rows]:
    """Which images train and which validate, in official order, counted through the batches that were read."""
    pool = np.arange(sum(sizes[: len(settings.batches)]))
    if isinstance(settings.validation, int):
        seed = settings.holdout_seed
        order = pool if seed is None else np.random.default_rng(seed).permutation(pool)
        train, validation = np.split(order, [len(pool) - settings.validation])
    else:
        train, validation = pool, np.arange(len(pool), sum(sizes))
    return np.sort(train)[: settings.limit], np.sort(validation)


class Block(NamedTuple):
    """Some images of one split: their place in the split, the batch they are in, and where in it."""

    place: slice
    batch: Batch
    rows: Rows


def blocks(batches: Sequence[Batch], chosen: Rows) -> Iterator[Block]:
    """The chosen images, `BLOCK` at a time and never from two batches."""
    ends = np.cumsum([len(batch.y) for batch in batches])
    stops = np.searchsorted(chosen, ends)
    for batch, end, start, stop in zip(batches, ends, (0, *stops), stops, strict=False):
        for i in range(start, stop, BLOCK):
            place = slice(i, min(i + BLOCK, stop))
            yield Block(place, batch, chosen[place] - (end - len(batch.y)))


def sums(block: Block) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Sum and sum of squares of each input over a block, in whole numbers (200 * 255^2 is far below 2^32)."""
    pixels = block.batch.pixels[block.rows]
    squares = np.multiply(pixels, pixels, dtype=np.uint16)
    return pixels.sum(axis=0, dtype=np.uint32), squares.sum(axis=0, dtype=np.uint32)


def statistics(settings: Data, batches: Sequence[Batch], train: Rows) -> tuple[Floats, Floats]:
    """Mean and standard deviation (d,) of the training images' inputs, in units of 255 pixel values.

    Exact but for the last rounding, as all sums are whole numbers below 2^64. An input that is the same in all the
    images has a standard deviation of 0 and is divided by 1 instead, so that it becomes 0.
    """
    mean, std = np.zeros(settings.d), np.ones(settings.d)
    if settings.normalize == "scale":
        return mean, std
    total, squares = np.zeros((2, IMAGE_VALUES), np.uint64)
    with ThreadPoolExecutor(THREADS) as pool:
        for part, part_squares in pool.map(sums, blocks(batches, train)):
            total += part
            squares += part_squares
    n = np.uint64(len(train))
    mean = (total / (255.0 * n))[: settings.d]
    if settings.normalize == "standardize":
        std = (np.sqrt(n * squares - total * total) / (255.0 * n))[: settings.d]
        std[std == 0] = 1
    return mean, std


def gather(batches: Sequence[Batch], chosen: Rows, mean: Floats, std: Floats, dtype: npt.DTypeLike) -> Split:
    """The chosen images as a normalised split, written once, block by block, with no copy of all the pixels."""
    X = np.empty((len(chosen), len(mean)), dtype)
    y = np.empty(len(chosen), np.int64)
    centre, scale = (255 * mean).astype(dtype), (255 * std).astype(dtype)

    def fill(block: Block) -> None:
        y[block.place] = block.batch.y[block.rows]
        out = X[block.place]
        out[:] = block.batch.pixels[block.rows, : len(mean)]
        out -= centre
        out /= scale

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(fill, blocks(batches, chosen)))
    return Split(X, y)
