"""From batches to what training sees: splits, and inputs normalised by the training images."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from cifarnet.config import IMAGE_VALUES, Data
from cifarnet.data import cifar10
from cifarnet.data.cifar10 import Batch, Bytes, Cifar10
from cifarnet.data.places import find
from cifarnet.data.synthetic import Synthetic
from cifarnet.errors import DataError

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

LOG = logging.getLogger(__name__)
BLOCK = 200  # images at a time: stays in the cache of a core
KEPT = 4  # datasets in memory: trainings with other statistics or splits alternate
THREADS = 2  # numpy and hashlib let go of the interpreter; more threads than memory channels gain nothing


@dataclass(frozen=True, eq=False)
class Pixels:
    """Inputs (n, d) that are kept as pixels (n, d), a quarter of the memory, and normalised where they are asked for.

    Each is (pixel - centre) / scale, of centre and scale (d,), in their dtype.
    """

    pixels: Bytes
    centre: npt.NDArray[Any]
    scale: npt.NDArray[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.pixels.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.centre.dtype

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, rows: slice | Rows) -> npt.NDArray[Any]:
        return self.read(rows, None)

    def read(self, rows: slice | Rows, out: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
        """Return the inputs of these images, in ``out`` where that is an array."""
        inputs: npt.NDArray[Any] = np.subtract(self.pixels[rows], self.centre, out=out)
        inputs /= self.scale
        return inputs

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return self[:].astype(dtype or self.centre.dtype, copy=False)


class Split(NamedTuple):
    """X (n, d) normalised inputs, or `Pixels` of them (`np.asarray` makes an array); rows are images. y (n,) labels."""

    X: npt.NDArray[Any]
    y: npt.NDArray[np.int64]


@dataclass(eq=False)
class Dataset:
    """Three splits, normalised by the training images: X = (pixels / 255 - mean) / std; test is read when asked for."""

    train: Split
    validation: Split
    mean: Floats  # (d,)
    std: Floats  # (d,)
    classes: tuple[str, ...] = Cifar10.classes
    fingerprint: str = ""  # of train's and validation's batches
    source: str = "synthetic"
    official: bool = False  # whether all the files read so far are, byte for byte, those of the official release
    release: Cifar10 | Synthetic = field(default_factory=Synthetic)
    settings: Data = field(default_factory=Data)

    def __repr__(self) -> str:
        counts = f"{len(self.train.y):,} training and {len(self.validation.y):,} validation images"
        return f"Dataset({self.source}: {counts} of {len(self.mean):,} inputs)"

    @classmethod
    def of(cls, train: Split, validation: Split, test: Split, **fields: Any) -> Self:
        """Return a dataset of splits that are in memory, by default not normalised."""
        d = train.X.shape[1]
        dataset = cls(train, validation, **{"mean": np.zeros(d), "std": np.ones(d)} | fields)
        dataset.__dict__["test"] = test
        return dataset

    @cached_property
    def test(self) -> Split:
        """The test images; DataError if their file is missing or damaged."""
        batch = read_test(self.release)
        self.official &= batch.official
        everything = np.arange(len(batch.y))
        return normalised(self.settings, [batch], everything, (self.mean, self.std), self.train.X.dtype)

    @property
    def provenance(self) -> dict[str, str | bool]:
        return {"source": self.source, "fingerprint": self.fingerprint, "official": self.official}

    def pixels(self, split: Split, indices: Sequence[int] | Rows) -> Bytes:
        """Return images (k, 32, 32, 3) uint8: the normalisation undone; inputs that `dims` left out are black."""
        flat, chosen = np.zeros((len(indices), IMAGE_VALUES), np.uint8), np.asarray(indices, np.int64)
        if isinstance(split.X, Pixels):
            flat[:, : len(self.mean)] = split.X.pixels[chosen]
        else:
            flat[:, : len(self.mean)] = np.clip(np.rint(255 * (split.X[chosen] * self.std + self.mean)), 0, 255)
        return flat.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def load(settings: Data, data_dir: Path | None = None, dtype: npt.DTypeLike = np.float32) -> Dataset:
    """Find, read, check, split and normalise what the settings ask for; nothing is downloaded.

    `data_dir` is looked at instead of CIFARNET_DATA_DIR and the user's cache; `dtype` is that of X. Raises DataError
    where there are no data, or a file is missing, cut short or altered.
    """
    release = open_source(settings.source, data_dir)
    names = batch_names(settings, release)
    with ThreadPoolExecutor(THREADS) as pool:
        batches = list(pool.map(release.read, names))
    train, validation = rows(settings, [len(batch.y) for batch in batches])
    LOG.info("images of %s: %s", release, ", ".join(names))
    LOG.info("%d images to train, %d to validate", len(train), len(validation))
    measured, chosen = batches, train
    if settings.practice.basis == "all images":
        measured = [*batches, read_test(release)]
        test = sum(len(batch.y) for batch in batches) + np.arange(len(measured[-1].y))
        chosen = np.concatenate([np.union1d(train, validation), test])
    known = statistics(settings, measured, chosen)
    return Dataset(
        train=normalised(settings, batches, train, known, dtype),
        validation=normalised(settings, batches, validation, known, dtype),
        mean=known[0],
        std=known[1],
        classes=release.class_names(),
        fingerprint=cifar10.fingerprint(batch.digest for batch in batches),
        source=settings.source,
        official=all(batch.official for batch in batches),
        release=release,
        settings=settings,
    )


class Datasets:
    """One copy in memory of each of the datasets that were asked for last, as ``load`` reads them."""

    def __init__(self, load: Callable[[Data], Dataset]) -> None:
        self.lock, self.read = threading.Lock(), lru_cache(KEPT)(load)

    def load(self, settings: Data, fingerprint: str = "", *, test: bool = False) -> Dataset:
        """Load images, the test images too where they are asked for; DataError if the fingerprint is another."""
        with self.lock:  # one thread reads for all
            dataset = self.read(settings)
            if test:
                _ = dataset.test
        if fingerprint not in ("", dataset.fingerprint):
            here = f"the images have the fingerprint {dataset.fingerprint[:12]}, those of the jobs {fingerprint[:12]}"
            raise DataError(f"{here}; give every machine the same CIFAR-10")
        return dataset


def fingerprints(data_dir: Path | None = None) -> Callable[[Data], str]:
    """Return a function that gives `Dataset.fingerprint` of settings without the dataset; it reads each batch once."""

    @cache
    def digest(source: str, name: str) -> bytes:
        return open_source(source, data_dir).read(name).digest

    def fingerprint(settings: Data) -> str:
        names = batch_names(settings, open_source(settings.source, data_dir))
        return cifar10.fingerprint(digest(settings.source, name) for name in names)

    return fingerprint


def open_source(source: str, data_dir: Path | None) -> Cifar10 | Synthetic:
    return Synthetic() if source == "synthetic" else find(data_dir)


def read_test(release: Cifar10 | Synthetic) -> Batch:
    return release.read(list(release.batches)[-1])


def batch_names(settings: Data, release: Cifar10 | Synthetic) -> list[str]:
    """Return the batches that train, then those that validate."""
    validation = () if isinstance(settings.validation, int) else settings.validation
    names = list(release.batches)
    return [names[number - 1] for number in (*settings.batches, *validation)]


def rows(settings: Data, sizes: Sequence[int]) -> tuple[Rows, Rows]:
    """Return which images train and which validate, in official order, counted through the batches of these sizes."""
    pool = np.arange(sum(sizes[: len(settings.batches)]))
    if isinstance(settings.validation, int):
        seed = settings.holdout_seed
        order = pool if seed is None else np.random.default_rng(seed).permutation(pool)
        train, validation = np.split(order, [len(pool) - settings.validation])
    else:
        train, validation = pool, np.arange(len(pool), sum(sizes))
    return np.sort(train)[: settings.limit], np.sort(validation)


def parts(batches: Sequence[Batch], chosen: Rows) -> Iterator[tuple[Batch, Rows]]:
    """Yield each batch and which of its images are among the chosen ones, which are counted through all batches."""
    start = 0
    for batch in batches:
        stop = start + len(batch.y)
        yield batch, chosen[(start <= chosen) & (chosen < stop)] - start
        start = stop


def statistics(settings: Data, batches: Sequence[Batch], train: Rows) -> tuple[Floats, Floats]:
    """Return mean and standard deviation (d,) of the training images' inputs, in units of 255 pixel values.

    Exact but for the last rounding, as all sums are whole numbers below 2^64. An input that is the same in all the
    images has a standard deviation of 0 and is divided by 1 instead, so that it becomes 0.
    """
    mean, std = np.zeros(settings.d), np.ones(settings.d)
    if settings.normalize == "scale":
        return mean, std
    total, squares = np.zeros((2, IMAGE_VALUES), np.uint64)

    def sums(block: tuple[Batch, Rows]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        batch, rows = block
        pixels = batch.pixels[rows]
        squared = np.multiply(pixels, pixels, dtype=np.uint16)
        return pixels.sum(axis=0, dtype=np.uint32), squared.sum(axis=0, dtype=np.uint32)

    blocks = [(b, rows[i : i + BLOCK]) for b, rows in parts(batches, train) for i in range(0, len(rows), BLOCK)]
    with ThreadPoolExecutor(THREADS) as pool:
        for part, part_squares in pool.map(sums, blocks):
            total += part
            squares += part_squares
    n = np.uint64(len(train))
    mean = (total / (255.0 * n))[: settings.d]
    std = (np.sqrt(n * squares - total * total) / (255.0 * n))[: settings.d]
    mean, std = settings.practice.statistics(mean, std)
    std[std == 0] = 1
    return mean, std if settings.normalize == "standardize" else np.ones(settings.d)


def normalised(
    settings: Data, batches: Sequence[Batch], chosen: Rows, known: tuple[Floats, Floats], dtype: npt.DTypeLike
) -> Split:
    """Return the chosen images as a split, normalised by what is known of the training images, or a deviation has."""
    if settings.practice.basis == "split":
        known = statistics(settings, batches, chosen)
    if settings.practice.basis == "image":
        split = pick(batches, chosen, np.zeros(settings.d), np.ones(settings.d), dtype)
        pixels = np.asarray(split.X, dtype)
        std = pixels.std(axis=1, keepdims=True) if settings.normalize == "standardize" else 1
        return Split((pixels - pixels.mean(axis=1, keepdims=True)) / np.where(std == 0, 1, std).astype(dtype), split.y)
    if settings.practice.basis == "file":
        own = [(b, rows) for b, rows in parts(batches, chosen) if len(rows)]
        splits = [pick([b], rows, *statistics(settings, [b], np.arange(len(b.y))), dtype) for b, rows in own]
        if len(splits) == 1:
            return splits[0]
        return Split(np.concatenate([part.X for part in splits]), np.concatenate([part.y for part in splits]))
    return pick(batches, chosen, *known, dtype)


def pick(batches: Sequence[Batch], chosen: Rows, mean: Floats, std: Floats, dtype: npt.DTypeLike) -> Split:
    """Return the chosen images, as `Pixels` of the first inputs, those that ``mean`` has."""
    pixels, y = np.empty((len(chosen), len(mean)), np.uint8), np.empty(len(chosen), np.int64)
    start = 0
    for batch, rows in parts(batches, chosen):
        place = slice(start, start + len(rows))
        pixels[place], y[place] = batch.pixels[rows, : len(mean)], batch.y[rows]
        start += len(rows)
    X: Any = Pixels(pixels, (255 * mean).astype(dtype), (255 * std).astype(dtype))
    return Split(X, y)
