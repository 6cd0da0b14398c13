"""Jitter: mirrored, shifted, brighter and noisier images, made anew for every batch from normalised inputs."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cifarnet.config.extras import Jitter
from cifarnet.data.dataset import Dataset

Array = npt.NDArray[Any]
BANK = 1 << 20  # Gaussian values; a draw of 100 images' own takes 3 ms, a cut from so many .2 ms
SHAPE = (-1, 3, 32, 32)


def mirror(X: Array) -> Array:
    """The images X (n, 3072), left and right exchanged."""
    return np.ascontiguousarray(X.reshape(SHAPE)[..., ::-1]).reshape(X.shape)


def variants(X: Array, *, flips: bool, shifts: int) -> Iterator[Array]:
    """The images X (n, 3072), also mirrored with ``flips``, each moved in every way by up to ``shifts`` pixels."""
    for images in (X, mirror(X)) if flips else (X,):
        if not shifts:
            yield images
            continue
        wide = np.pad(images.reshape(SHAPE), [(0, 0), (0, 0), (shifts, shifts), (shifts, shifts)], "reflect")
        for down, right in itertools.product(range(2 * shifts + 1), repeat=2):
            yield wide[..., down : down + 32, right : right + 32].reshape(X.shape)


@dataclass(frozen=True)
class Jitterer:
    """Changes the images of a batch in place; ``mean`` and ``std`` (d,) are those of the inputs' normalisation.

    Flips and shifts move normalised inputs, each with its own mean and standard deviation, as if they were pixels.
    Brightness and contrast are in units of the pixels, 0 to 1, and nothing is cut off at the ends. ``bank`` is Gaussian
    values, and ``wide`` (n, 3, 32, 32 + 2 shift) is the memory to shift up to n images in: to allocate it for every
    batch takes four times as long as to shift.
    """

    settings: Jitter
    mean: Array
    std: Array
    bank: Array
    wide: Array

    def __call__(self, X: Array, rng: np.random.Generator) -> None:
        """Jitter X (n, d): mirrored with probability a half, moved by up to ``shift`` pixels, and so on."""
        s = self.settings
        if s.flip:
            flip(X.reshape(SHAPE), rng)
        if s.shift:
            shift(X.reshape(SHAPE), s.shift, rng, self.wide[: len(X)])
        if s.brightness or s.contrast:
            self.light(X, rng)
        if s.noise:
            starts = rng.integers(BANK - X.shape[1], size=len(X))
            windows = np.lib.stride_tricks.sliding_window_view(self.bank, X.shape[1])
            X += windows[starts]

    def light(self, X: Array, rng: np.random.Generator) -> None:
        """Pixels p become g + (1 + c) (p - g) + b: g the image's mean, b and c uniform to each side of 0.

        In normalised inputs, with p = X std + mean, that is (1 + c) X + c mean / std + (b - c g) / std.
        """
        b = rng.uniform(-self.settings.brightness, self.settings.brightness, len(X))
        c = rng.uniform(-self.settings.contrast, self.settings.contrast, len(X))
        g = (X @ self.std + self.mean.sum()) / len(self.mean)
        X *= (1 + c)[:, None].astype(X.dtype)
        terms = np.stack([c, b - c * g], axis=1).astype(X.dtype)  # (n, 2)
        X += terms @ np.stack([self.mean / self.std, 1 / self.std]).astype(X.dtype)


def jitterer(settings: Jitter, dataset: Dataset, n: int, rng: np.random.Generator) -> Jitterer | None:
    """What jitters up to n of a data set's images; None where the settings ask for nothing."""
    if settings == Jitter():
        return None
    dtype = dataset.train.X.dtype
    bank = settings.noise * rng.standard_normal(BANK if settings.noise else 0, np.float32)
    wide = np.empty((n if settings.shift else 0, 3, 32, 32 + 2 * settings.shift), dtype)
    return Jitterer(settings, dataset.mean.astype(dtype), dataset.std.astype(dtype), bank.astype(dtype), wide)


def flip(images: Array, rng: np.random.Generator) -> None:
    """Mirror each of images (n, 3, 32, 32) with probability a half."""
    chosen = rng.random(len(images)) < 0.5
    images[chosen] = images[chosen, :, :, ::-1]


def shift(images: Array, most: int, rng: np.random.Generator, wide: Array) -> None:
    """Move each of images (n, 3, 32, 32) by up to ``most`` pixels along both axes; what enters is reflected.

    ``wide`` (n, 3, 32, 32 + 2 most) is overwritten.
    """
    down, right = rng.integers(2 * most + 1, size=(2, len(images)))
    wide[..., most:-most] = images
    wide[..., :most] = images[..., most:0:-1]
    wide[..., -most:] = images[..., -2 : -2 - most : -1]
    rows = np.pad(np.arange(32), most, "reflect")[down[:, None] + np.arange(32)]  # (n, 32), of the rows now there
    first = np.arange(3 * len(images)).reshape(-1, 3, 1) * 32  # (n, 3, 1), the first row of a colour of an image
    windows = np.lib.stride_tricks.sliding_window_view(wide.reshape(-1), 32)
    images[:] = windows[(first + rows[:, None, :]) * wide.shape[3] + right[:, None, None]]
