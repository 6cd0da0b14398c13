"""Products of images with W1 in tiles so small that OpenBLAS multiplies them where they lie.

Of larger matrices it first makes copies, in the order in which its kernel reads them: for 100 images and 50 nodes a
fifth of the time. Its limit is in kernel/x86_64/sgemm_small_kernel_permit_skylakex.c and holds for processors with
AVX-512; with others, an update in tiles takes 3 % longer than one without.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike

from cifarnet.nn.network import Array

SMALL = 1_000_000  # multiplications
NARROW = 64  # inputs: the sum over tiles of fewer takes as long as they save
IMAGES = 50  # at a time: many nodes leave room for no more


def tile(n: int, sizes: Sequence[int]) -> int:
    """Return how many inputs to multiply at a time, for n images: all d of them where tiles would save nothing."""
    d, m = sizes[:2]
    return max((k for k in range(NARROW, d) if d % k == 0 and n * k * m <= SMALL), default=d)


class Product:
    """X W1 for any number of images, with the memory for its tiles."""

    def __init__(self, sizes: Sequence[int], dtype: DTypeLike) -> None:
        d, m = sizes[:2]
        self.k = tile(IMAGES, sizes)
        self.parts = np.empty((d // self.k, IMAGES, m), dtype)

    def __call__(self, X: Array, W: Array, out: Array) -> Array:
        """Return X W, of X (n, d) and W (d, m), in ``out`` (n, m)."""
        even = len(X) - len(X) % IMAGES if len(self.parts) > 1 else 0
        Ws = W.reshape(len(self.parts), self.k, -1)
        for start in range(0, even, IMAGES):
            chunk = slice(start, start + IMAGES)
            tiles = X[chunk].reshape(IMAGES, -1, self.k).transpose(1, 0, 2)  # (d / k, IMAGES, k)
            np.matmul(tiles, Ws, out=self.parts)
            np.add.reduce(self.parts, axis=0, out=out[chunk])
        np.matmul(X[even:], W, out=out[even:])
        return out
