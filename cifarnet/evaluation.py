"""How good a network is on a set of images: cost, loss, accuracy, and where it errs."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cifarnet import network
from cifarnet.network import Array

BLOCK = 500  # images at a time: their activations stay in the cache, and the sums do not depend on n


class Scores(NamedTuple):
    """J, the loss (J without its L2 term) and the share of images classified rightly."""

    cost: float
    loss: float
    accuracy: float


def blocks(n: int) -> Iterator[slice]:
    """Slices that cover n images."""
    return (slice(start, start + BLOCK) for start in range(0, n, BLOCK))


def score(theta: Array, sizes: Sequence[int], X: Array, y: NDArray[np.integer], lam: float) -> Scores:
    """Evaluate on images X (n, d) with labels y (n,); sums over blocks are in float64."""
    buffers = network.Buffers(sizes, BLOCK, theta.dtype)
    loss, right = 0.0, 0
    for block in blocks(len(X)):
        P = network.forward(theta, sizes, X[block], buffers)[-1]
        loss += float(network.losses(P, y[block]).sum(dtype=np.float64))
        right += int((P.argmax(axis=1) == y[block]).sum())
    loss /= len(X)
    return Scores(loss + float(network.penalty(theta, sizes, lam)), loss, right / len(X))


def outcomes(theta: Array, sizes: Sequence[int], X: Array, y: NDArray[np.integer]) -> tuple[Array, Array]:
    """Probabilities (n, K) and loss (n,) of each image."""
    P = np.empty((len(X), sizes[-1]), theta.dtype)
    loss = np.empty(len(X), theta.dtype)
    for block in blocks(len(X)):
        P[block] = network.forward(theta, sizes, X[block])[-1]
        loss[block] = network.losses(P[block], y[block])
    return P, loss


def confusion(predicted: NDArray[np.integer], y: NDArray[np.integer], K: int) -> NDArray[np.int64]:
    """Count images: (K, K), a row for each true class, a column for each predicted one."""
    return np.bincount(y * K + predicted, minlength=K * K).reshape(K, K)


def summary(matrix: NDArray[np.int64], losses: Array, classes: Sequence[str]) -> dict[str, Any]:
    """Accuracy, mean loss, and of each class precision (right among those predicted), recall (right among those true).

    Plain numbers, for JSON; None where there are no images to count.
    """
    right, predicted, true = np.diag(matrix).tolist(), matrix.sum(axis=0).tolist(), matrix.sum(axis=1).tolist()
    return {
        "accuracy": sum(right) / sum(true),
        "loss": float(losses.mean(dtype=np.float64)),
        "n": sum(true),
        "per_class": {
            name: {
                "precision": right[k] / predicted[k] if predicted[k] else None,
                "recall": right[k] / true[k] if true[k] else None,
                "n": true[k],
            }
            for k, name in enumerate(classes)
        },
        "confusion": matrix.tolist(),
    }


def worst_mistakes(P: Array, y: NDArray[np.integer], count: int) -> NDArray[np.intp]:
    """Indices of the wrongly classified images that the network was surest of, the surest first."""
    predicted = P.argmax(axis=1)
    wrong = np.flatnonzero(predicted != y)
    return wrong[np.argsort(-P[wrong, predicted[wrong]], kind="stable")[:count]]
