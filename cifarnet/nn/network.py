"""The network: layers of ReLU nodes and a softmax on top, its parameters one flat vector theta.

Rows are images: X is (n, d) and a layer's W is (d_in, d_out), where the course writes both transposed. theta holds all
weight matrices first, then all biases, so the L2 term is one slice and an update is one line. sizes = (d, m, K) names
the layers; (d, K) is the network without a hidden one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

if TYPE_CHECKING:
    from cifarnet.nn.losses import Loss

Array = NDArray[Any]  # float32 where it trains, float64 or complex128 where gradients are checked


def weight_count(sizes: Sequence[int]) -> int:
    """Return how many of theta's values, the first ones, are weights."""
    return sum(d_in * d_out for d_in, d_out in pairwise(sizes))


def parameter_count(sizes: Sequence[int]) -> int:
    """Return the length of theta."""
    return weight_count(sizes) + sum(sizes[1:])


def views(theta: Array, sizes: Sequence[int]) -> tuple[list[Array], list[Array]]:
    """Return [W1, W2, ...] and [b1, b2, ...] as views of theta; ValueError if its length is not that of the sizes."""
    if theta.shape != (parameter_count(sizes),):
        need = parameter_count(sizes)
        raise ValueError(f"theta has shape {theta.shape}, but layers {tuple(sizes)} take {need} values")
    Ws, bs, start = [], [], 0
    for d_in, d_out in pairwise(sizes):
        Ws.append(theta[start : start + d_in * d_out].reshape(d_in, d_out))
        start += d_in * d_out
    for d_out in sizes[1:]:
        bs.append(theta[start : start + d_out])
        start += d_out
    return Ws, bs


def named_views(theta: Array, sizes: Sequence[int]) -> dict[str, Array]:
    """Return the views by the course's names, layer by layer: W1, b1, W2, b2, ..."""
    layers = enumerate(zip(*views(theta, sizes), strict=True), 1)
    return {f"{name}{layer}": v for layer, Wb in layers for name, v in zip("Wb", Wb, strict=True)}


def initialize(
    sizes: Sequence[int],
    init: str | float | Sequence[float],
    rng: np.random.Generator,
    dtype: DTypeLike = np.float32,
    *,
    biases: bool = False,
) -> Array:
    """Draw Gaussian weights; the biases start at 0, or with ``biases`` are drawn after all weights.

    ``init`` is ``"xavier"``: standard deviation 1/sqrt(d_in), as the course has it (after Glorot & Bengio 2010, section
    4.2.1); ``"he"``: sqrt(2/d_in) (He et al. 2015, eq. 10); or a number: that standard deviation, or one for each
    layer. theta is drawn in float64 and rounded to ``dtype``, so that both types start from the same point.
    """
    theta, stds = np.zeros(parameter_count(sizes)), stds_of(sizes, init)
    Ws, bs = views(theta, sizes)
    for parameter, std in zip((*Ws, *bs), (*stds, *stds), strict=True) if biases else zip(Ws, stds, strict=True):
        parameter[:] = std * rng.standard_normal(parameter.shape)
    return theta.astype(dtype)


def stds_of(sizes: Sequence[int], init: str | float | Sequence[float]) -> list[float]:
    """Return the standard deviation of the initial weights of each layer."""
    if isinstance(init, str):
        return [{"xavier": d_in**-0.5, "he": (2 / d_in) ** 0.5}[init] for d_in in sizes[:-1]]
    return [init] * (len(sizes) - 1) if isinstance(init, float | int) else list(init)


class Buffers:
    """Memory for the values and gradients of every layer, for batches of up to n images, used again by each update."""

    def __init__(self, sizes: Sequence[int], n: int, dtype: DTypeLike) -> None:
        self.values = [np.empty((n, size), dtype) for size in sizes[1:]]
        self.gradients = [np.empty((n, size), dtype) for size in sizes[1:-1]]
        self.active = [np.empty((n, size), bool) for size in sizes[1:-1]]
        self.theta = np.empty(parameter_count(sizes), dtype)  # the gradient of theta
        self.layers = views(self.theta, sizes)  # [W1's gradient, ...] and [b1's, ...]


def forward(theta: Array, sizes: Sequence[int], X: Array, masks: Sequence[Array] | None = None) -> list[Array]:
    """Return [X, H1, ..., Z], the values of every layer for images X (n, d); Z are logits, masks as in `activate`."""
    Ws, bs = views(theta, sizes)
    return [X, *activate(Ws, bs, X @ Ws[0], Buffers(sizes, len(X), theta.dtype), masks)]


def activate(
    Ws: Sequence[Array], bs: Sequence[Array], Z: Array, buffers: Buffers, masks: Sequence[Array] | None = None
) -> list[Array]:
    """Return [H1, ..., Z], the values of every layer but the input, from Z = X W1 (n, m), which becomes H1 in place.

    ``masks`` (n, m), one a hidden layer, are factors of its values: dropout's.
    """
    Z += bs[0]
    values = [Z]
    for layer in range(1, len(Ws)):
        H = np.maximum(values[-1], 0, out=values[-1])  # (n, d_in)
        if masks:
            H *= masks[layer - 1]
        Z = np.matmul(H, Ws[layer], out=buffers.values[layer][: len(H)])  # (n, d_out)
        Z += bs[layer]
        values.append(Z)
    return values


def softmax(Z: Array) -> Array:
    """Turn logits Z (n, K), the largest of each row 0, into probabilities in place; return each row's sum before."""
    total: Array = np.add.reduce(np.exp(Z, out=Z), axis=1)  # (n,), at least 1
    Z /= total[:, None]
    return total


def predict(theta: Array, sizes: Sequence[int], X: Array) -> Array:
    """Return the probabilities P (n, K) of images X (n, d)."""
    Z = forward(theta, sizes, X)[-1]
    Z -= np.maximum.reduce(Z, axis=1, keepdims=True)
    softmax(Z)
    return Z


def backward(
    theta: Array,
    sizes: Sequence[int],
    Z: Array,
    y: NDArray[np.integer],
    buffers: Buffers,
    loss: Loss,
    scale: float = 1.0,
    masks: Sequence[Array] | None = None,
    *,
    rectifies: bool = True,
) -> tuple[Any, Array]:
    """Pass forward and back through all but the first layer's products, which the caller makes.

    Returns the mean loss and G = dJ/dZ (n, m), J without its L2 term; the gradient of all parameters but W1, which is
    X' G, is then in ``buffers.theta``.

    Parameters
    ----------
    Z, y
        X W1 (n, m), which is overwritten, and labels (n,).
    scale
        Factor of the gradient, not of the loss. With eta here, an update has one pass over W1 less to make.
    masks
        As in `activate`.
    rectifies
        Whether the gradient is that of the ReLU, 0 where a node is off; False is a deviation.
    """
    Ws, bs = views(theta, sizes)
    gWs, gbs = buffers.layers
    values = activate(Ws, bs, Z, buffers, masks)  # H1 (n, m), ..., Z (n, K)
    G = values[-1]
    mean = np.add.reduce(loss.values(G, y)) / len(y)
    loss.gradient(G, y)
    G *= scale / len(y)  # (n, K): dJ/dZ
    for layer in reversed(range(1, len(Ws))):
        H = values[layer - 1]  # (n, d_in)
        np.matmul(H.T, G, out=gWs[layer])  # (d_in, d_out)
        np.add.reduce(G, axis=0, out=gbs[layer])
        G = np.matmul(G, Ws[layer].T, out=buffers.gradients[layer - 1][: len(y)])  # (n, d_in)
        if rectifies:
            G *= np.greater(H, 0, out=buffers.active[layer - 1][: len(y)])
        if masks:
            G *= masks[layer - 1]
    np.add.reduce(G, axis=0, out=gbs[0])
    return mean, G
