"""The problems on which a student's gradient is compared, and what it is compared with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cifarnet.config import Settings
from cifarnet.data import Split
from cifarnet.experiments.gradients import Problem
from cifarnet.nn.network import Array, forward, parameter_count, views
from cifarnet.nn.random import generator

IMAGES, LAMBDA = 20, 0.1
AWAY = 3e-4  # from a kink; a numerical derivative moves by 1e-5 times a value of the layer below


def point(sizes: Sequence[int], lam: float = LAMBDA, n: int = IMAGES) -> Problem:
    """Return a problem in which wrong things show, with two batches of random images.

    No weight matrix is symmetric, biases are random, a node of every hidden layer is dead, and none is near its kink.
    """
    settings = Settings.model_validate(
        {
            "data": {"source": "synthetic", "dims": sizes[0]},
            "network": {"hidden": sizes[1:-1]},
            "training": {"lambda": lam, "batch_size": n},
        }
    )
    for seed in range(1000):
        rng = generator(seed, "samples", *sizes)
        theta = rng.standard_normal(parameter_count(sizes))
        Ws, bs = views(theta, sizes)
        for W in Ws:
            W *= len(W) ** -0.5
        for b in bs[:-1]:
            b[-1] = -9.0
        images, before = (Split(rng.standard_normal((n, sizes[0])), rng.integers(sizes[-1], size=n)) for _ in range(2))
        if distance_to_kink(theta, sizes, images.X) > AWAY:
            break
    return Problem(settings, theta, images, before)


def distance_to_kink(theta: Array, sizes: Sequence[int], X: Array) -> float:
    """Return the smallest |value| of a node before its ReLU."""
    inputs = forward(theta, sizes, X)[:-2]
    values = [H @ W + b for H, W, b in zip(inputs, *views(theta, sizes), strict=False)]
    return min([float(np.abs(S).min()) for S in values], default=1.0)


def distance(a: Array, b: Array) -> float:
    """Return ||a - b|| / (||a|| + ||b||); 1 for shapes that differ, though a number may stand for all of a vector.

    Norms below 1e-6 count as that: what is 0 in theory is rounding.
    """
    if 1 in (a.size, b.size):
        a, b = np.broadcast_arrays(a.reshape(-1), b.reshape(-1))
    if a.shape != b.shape or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return 1.0
    norms = float(np.linalg.norm(a) + np.linalg.norm(b))
    return float(np.linalg.norm(a - b)) / max(norms, 1e-6)
