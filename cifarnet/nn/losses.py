"""The losses of each image, forward and backward, and the L2 term that the cost adds to their mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifarnet.nn.network import Array, softmax

Labels = NDArray[np.integer]


@dataclass(frozen=True)
class CrossEntropy:
    """-log softmax(z)_y; with smoothing a, of 1 - a + a/K on the label and a/K on each other class.

    Smoothed labels are those of Szegedy et al. (2016, section 7).
    """

    smoothing: float = 0.0

    @property
    def measured(self) -> CrossEntropy:
        """The loss that is reported: of the labels themselves."""
        return CrossEntropy()

    def values(self, Z: Array, y: Labels) -> Array:
        """Return the loss of each image (n,) from logits Z (n, K), which become the probabilities in place.

        The largest logit is taken off first and the logarithm is of a sum that is at least 1: finite for any finite Z.
        """
        Z -= np.maximum.reduce(Z, axis=1, keepdims=True)
        target: Array = Z[np.arange(len(y)), y]
        if self.smoothing:
            target = (1 - self.smoothing) * target + self.smoothing * Z.mean(axis=1)
        return np.log(softmax(Z)) - target

    def gradient(self, P: Array, y: Labels) -> None:
        """Turn what `values` left in P (n, K) into the derivative of each loss by its logits, in place: P - Y."""
        P[np.arange(len(y)), y] -= 1 - self.smoothing
        if self.smoothing:
            P -= self.smoothing / P.shape[1]

    def kinks(self, Z: Array, y: Labels) -> NDArray[np.bool_]:
        """Return the sides of the loss's kinks, of which it has none."""
        return np.zeros(0, bool)


@dataclass(frozen=True)
class Hinge:
    """The multi-class SVM's sum of max(0, z_k - z_y + 1) over the wrong classes k (Weston & Watkins 1999)."""

    @property
    def measured(self) -> Hinge:
        """The loss that is reported."""
        return self

    def values(self, Z: Array, y: Labels) -> Array:
        """Return the loss of each image (n,) from logits Z (n, K); the label's own term, max(0, 1), is taken off."""
        terms = margins(Z, y)
        losses: Array = np.where(terms.real <= 0, 0, terms).sum(axis=1) - 1  # NaN stays NaN
        return losses

    def gradient(self, Z: Array, y: Labels) -> None:
        """Turn the logits Z (n, K) into the derivative of each loss by them, in place."""
        Z[:] = margins(Z, y) > 0
        Z[np.arange(len(y)), y] -= Z.sum(axis=1)

    def kinks(self, Z: Array, y: Labels) -> NDArray[np.bool_]:
        """Return on which side of its kink each term is."""
        sides: NDArray[np.bool_] = margins(Z, y).real.ravel() > 0
        return sides


def margins(Z: Array, y: Labels) -> Array:
    """Return z_k - z_y + 1 (n, K)."""
    differences: Array = Z - Z[np.arange(len(y)), y][:, None] + 1
    return differences


Loss = CrossEntropy | Hinge


@dataclass(frozen=True)
class L2:
    """The term lambda * sum W^2 of the cost: of all weights, not of the biases."""

    lam: float

    @property
    def decay(self) -> float:
        """The factor of W in the gradient: d/dW of lambda W^2 is 2 lambda W."""
        return 2 * self.lam

    def cost(self, w: Array) -> Any:
        """Return the term for weights w (any number of them, flat)."""
        return self.lam * (w @ w) if self.lam else 0.0
