"""Data augmentation: mirrored, shifted, brighter and noisier images, made anew for every batch of normalised inputs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from pydantic import Field

from cifarnet.nn.network import Array
from cifarnet.nn.random import generator
from cifarnet.setting import WHOLE, Amount, Setting

SHAPE = (-1, 3, 32, 32)
BANK = 1 << 20  # Gaussian values to cut noise from; drawing 100 images' own takes 3 ms, a cut .2 ms


class Augmentation(Setting):
    """Training images changed at random for every update; validation and test images are left alone."""

    flip: bool = Field(False, description="Mirror an image, left and right, with probability 1/2.")
    shift: Annotated[int, Field(ge=0, le=16), WHOLE] = Field(
        0, description="Move an image by up to this many pixels along both axes; what enters is reflected."
    )
    brightness: Amount = Field(0.0, description="Add up to this much to all pixels (0 to 1), or take it off.")
    contrast: Amount = Field(0.0, description="Scale pixels about their image's mean by a factor in 1 - c to 1 + c.")
    noise: Amount = Field(0.0, description="Standard deviation of Gaussian noise on the normalised inputs.")

    @property
    def active(self) -> bool:
        """Whether anything is changed."""
        return self != Augmentation()

    def prepare(self, mean: Array, std: Array, n: int, seed: int) -> Augmenter:
        """Return what changes batches of up to n images; mean and std (d,) are those of the inputs' normalisation."""
        bank = self.noise * generator(seed, "augmentation").standard_normal(BANK if self.noise else 0, np.float32)
        wide = np.empty((n if self.shift else 0, 3, 32, 32 + 2 * self.shift), np.float32)
        return Augmenter(self, mean.astype(np.float32), std.astype(np.float32), bank.astype(np.float32), wide, seed)


@dataclass(frozen=True)
class Augmenter:
    """Changes the images of a batch in place.

    Flips and shifts move normalised inputs, each with its own mean and standard deviation, as if they were pixels.
    Brightness and contrast are in units of the pixels, 0 to 1, and nothing is cut off at the ends. ``wide`` is memory
    to shift in: allocating it for every batch takes four times as long as the shift.
    """

    settings: Augmentation
    mean: Array
    std: Array
    bank: Array
    wide: Array
    seed: int

    def apply(self, X: Array, step: int) -> None:
        """Change the images X (n, d) of one update."""
        s, rng = self.settings, generator(self.seed, "augmentation", step)
        if s.flip:
            flip(X.reshape(SHAPE), rng)
        if s.shift:
            shift(X.reshape(SHAPE), s.shift, rng, self.wide[: len(X)])
        if s.brightness or s.contrast:
            self.relight(X, rng)
        if s.noise:
            starts = rng.integers(BANK - X.shape[1], size=len(X))
            X += sliding_window_view(self.bank, X.shape[1])[starts]

    def relight(self, X: Array, rng: np.random.Generator) -> None:
        """Turn pixels p into g + (1 + c) (p - g) + b: g the image's mean, b and c uniform to each side of 0.

        In normalised inputs, with p = X std + mean, that is (1 + c) X + c mean / std + (b - c g) / std.
        """
        b = rng.uniform(-self.settings.brightness, self.settings.brightness, len(X))
        c = rng.uniform(-self.settings.contrast, self.settings.contrast, len(X))
        g = (X @ self.std + self.mean.sum()) / len(self.mean)
        X *= (1 + c)[:, None].astype(X.dtype)
        terms = np.stack([c, b - c * g], axis=1).astype(X.dtype)  # (n, 2)
        X += terms @ np.stack([self.mean / self.std, 1 / self.std]).astype(X.dtype)


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
    windows = sliding_window_view(wide.reshape(-1), 32)
    images[:] = windows[(first + rows[:, None, :]) * wide.shape[3] + right[:, None, None]]


def variants(X: Array, *, flips: bool, shifts: int) -> Iterator[Array]:
    """Yield the images X (n, 3072), with ``flips`` mirrored, too, moved in every way by up to ``shifts`` pixels."""
    for images in (X, X.reshape(SHAPE)[..., ::-1].reshape(X.shape)) if flips else (X,):
        if not shifts:
            yield images
            continue
        wide = np.pad(images.reshape(SHAPE), [(0, 0), (0, 0), (shifts, shifts), (shifts, shifts)], "reflect")
        for down, right in itertools.product(range(2 * shifts + 1), repeat=2):
            yield wide[..., down : down + 32, right : right + 32].reshape(X.shape)
