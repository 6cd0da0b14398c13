"""Synthetic data of the shapes of CIFAR-10, drawn from fixed seeds, where the real images are not to be had."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from cifarnet.config import BATCH_IMAGES, IMAGE_VALUES
from cifarnet.data.cifar10 import Batch, Cifar10, digest

WAVES = 5  # cosines in each direction; waves x waves x three colours make a picture
SIGNED = 13  # how strongly a class shows in a pattern that is as often inverted as not: no linear classifier sees it
PLAIN = 7  # how strongly in a pattern that is not
BLOCK = 1000  # images at a time; fewer would keep the threads of the matrix product waiting for each other
NOISE = 48  # standard deviation, about, of what is no class, falling with the frequency


@dataclass(frozen=True)
class Synthetic:
    """Read like a release; the same bytes everywhere."""

    batches: ClassVar = Cifar10.batches

    def class_names(self) -> tuple[str, ...]:
        return Cifar10.classes

    def read(self, batch: str) -> Batch:
        """Return one of `batches`: 1,000 images of each class."""
        return draw(list(self.batches).index(batch))


@cache  # drawing takes longer than most that is done with it
def draw(number: int) -> Batch:
    """Draw a batch.

    All numbers are whole and below 2^24: the float32 product is exact on every machine, with any number of threads.
    """
    n = 3 * WAVES * WAVES
    frequency = np.add.outer(np.arange(WAVES), np.arange(WAVES)).ravel()
    fall = np.tile(1 / (1 + frequency), 3)  # natural images: less amplitude at higher frequencies
    common = np.random.default_rng(10)
    signed, plain = common.integers(-SIGNED, SIGNED + 1, (10, n)), common.integers(-PLAIN, PLAIN + 1, (10, n))
    rng = np.random.default_rng([10, number])
    y = rng.permutation(np.arange(BATCH_IMAGES) % 10).astype(np.uint8)
    sign = rng.choice([-1, 1], (BATCH_IMAGES, 1))
    noise = rng.integers(-NOISE, NOISE + 1, (4, BATCH_IMAGES, n)).sum(axis=0) // 2  # nearly normal
    weights = np.rint((sign * signed[y] + plain[y] + noise) * fall).astype(np.float32)  # (images, patterns)
    pictures = patterns()
    pixels = np.empty((BATCH_IMAGES, IMAGE_VALUES), np.uint8)
    for i in range(0, BATCH_IMAGES, BLOCK):
        light = (weights[i : i + BLOCK] @ pictures).astype(np.int32) >> 6
        light += rng.integers(112, 144, light.shape, dtype=np.uint8)  # brightness, and grain
        pixels[i : i + BLOCK] = np.clip(light, 0, 255, out=light)
    return Batch(y, pixels, digest(y, pixels), official=False)


def patterns() -> npt.NDArray[np.float32]:
    """Return smooth pictures (75, 3072): cosines in brightness and two contrasts of colour, whole numbers to 64."""
    x = (np.arange(32) + 0.5) * np.pi / 32
    waves = np.cos(np.outer(np.arange(WAVES), x))  # (waves, 32)
    planes = np.einsum("ay,bx->abyx", waves, waves).reshape(WAVES * WAVES, 1, 1024)
    colours = np.array([[1, 1, 1], [0.5, 0, -0.5], [0.25, -0.5, 0.25]])[:, None, :, None]  # (3, 1, 3, 1)
    pictures: npt.NDArray[np.float32] = np.rint(64 * colours * planes).reshape(-1, IMAGE_VALUES).astype(np.float32)
    return pictures
