"""The losses that can be trained beside the cross-entropy: with smoothed labels, and the hinge loss of an SVM."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from cifarnet import network
from cifarnet.network import Array, Objective


def smoothed_losses(Z: Array, y: NDArray[np.integer], *, smoothing: float) -> Array:
    """Cross-entropy (n,) with 1 - a + a/K of the probability on the label and a/K on each other class.

    Szegedy et al. (2016, section 7). Z (n, K) becomes the probabilities in place.
    """
    Z -= Z.max(axis=1, keepdims=True)
    target: Array = (1 - smoothing) * Z[np.arange(len(y)), y] + smoothing * Z.mean(axis=1)
    losses: Array = np.log(network.softmax(Z)) - target
    return losses


def smoothed_slope(P: Array, y: NDArray[np.integer], *, smoothing: float) -> None:
    P[np.arange(len(y)), y] -= 1 - smoothing
    P -= smoothing / P.shape[1]


def hinge_losses(Z: Array, y: NDArray[np.integer]) -> Array:
    """The sum of max(0, z_k - z_y + 1) over the wrong classes k, (n,) (Weston & Watkins 1999); Z (n, K) stays.

    The right class would add max(0, 1) = 1, which is taken off.
    """
    margins = Z - Z[np.arange(len(y)), y][:, None] + 1
    losses: Array = np.where(margins.real > 0, margins, 0).sum(axis=1) - 1
    return losses


def hinge_slope(Z: Array, y: NDArray[np.integer]) -> None:
    rows = np.arange(len(y))
    Z[:] = Z - Z[rows, y][:, None] + 1 > 0
    Z[rows, y] -= Z.sum(axis=1)


HINGE = Objective(hinge_losses, hinge_slope)


def smoothed(smoothing: float) -> Objective:
    """The cross-entropy with smoothed labels; without smoothing the plain one, byte for byte."""
    if not smoothing:
        return network.CROSS_ENTROPY
    return Objective(partial(smoothed_losses, smoothing=smoothing), partial(smoothed_slope, smoothing=smoothing))
