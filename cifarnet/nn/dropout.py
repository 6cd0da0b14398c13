"""Dropout: values set to 0 at random for each image and update (Srivastava et al. 2014)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from cifarnet.nn.network import Array
from cifarnet.nn.random import generator
from cifarnet.setting import Setting, Share


class Dropout(Setting):
    """Values set to 0 at random for each image and update, the others scaled up so that their mean stays."""

    input: Share = Field(0.0, description="Fraction of the inputs dropped.")
    hidden: Share = Field(0.0, description="Fraction of the hidden nodes dropped, in every hidden layer.")

    def drop_inputs(self, X: Array, seed: int, step: int) -> None:
        """Drop inputs of the images X (n, d) of one update, in place."""
        if self.input:
            X *= mask(X.shape, self.input, generator(seed, "dropout", step, 0))

    def hidden_masks(self, sizes: Sequence[int], n: int, seed: int, step: int) -> list[Array] | None:
        """Return the factors (n, m) of every hidden layer in one update, or None."""
        if not self.hidden:
            return None
        rng = generator(seed, "dropout", step)
        return [mask((n, m), self.hidden, rng) for m in sizes[1:-1]]


def mask(shape: tuple[int, ...], drop: float, rng: np.random.Generator) -> Array:
    """Draw 0 with probability ``drop``, otherwise 1 / (1 - drop): inverted dropout (section 10)."""
    return np.multiply(rng.random(shape, np.float32) >= drop, 1 / (1 - drop), dtype=np.float32)
