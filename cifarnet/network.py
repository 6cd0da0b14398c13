"""The network: layers of ReLU nodes and a softmax on top, its parameters one flat vector theta.

Rows are images: X is (n, d) and a layer's W is (d_in, d_out), where the course writes both transposed. theta holds all
weight matrices first, then all biases, so the L2 term is one slice and an update is one line. sizes = (d, m, K) names
the layers; (d, K) is the network without a hidden one.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]  # float32 where it trains, float64 or complex128 where gradients are checked


def weight_count(sizes: Sequence[int]) -> int:
    """How many of theta's values, the first ones, are weights."""
    return sum(d_in * d_out for d_in, d_out in pairwise(sizes))


def parameter_count(sizes: Sequence[int]) -> int:
    """The length of theta."""
    return weight_count(sizes) + sum(sizes[1:])


def views(theta: Array, sizes: Sequence[int]) -> tuple[list[Array], list[Array]]:
    """Return [W1, W2, ...] and [b1, b2, ...] as views of theta, or of anything laid out like it.

    Raises
    ------
    ValueError
        If theta has not the length that sizes ask for.
    """
    if theta.shape != (parameter_count(sizes),):
        raise ValueError(
            f"theta has shape {theta.shape}, but layers {tuple(sizes)} take {parameter_count(sizes)} values"
        )
    Ws, bs, start = [], [], 0
    for d_in, d_out in pairwise(sizes):
        Ws.append(theta[start : start + d_in * d_out].reshape(d_in, d_out))
        start += d_in * d_out
    for d_out in sizes[1:]:
        bs.append(theta[start : start + d_out])
        start += d_out
    return Ws, bs


def named(theta: Array, sizes: Sequence[int]) -> dict[str, Array]:
    """The views by the course's names, layer by layer: W1, b1, W2, b2, ..."""
    Ws, bs = views(theta, sizes)
    return {
        f"{name}{layer}": v
        for layer, Wb in enumerate(zip(Ws, bs, strict=True), 1)
        for name, v in zip("Wb", Wb, strict=True)
    }


def initialise(
    sizes: Sequence[int], init: str | float, rng: np.random.Generator, dtype: DTypeLike = np.float32
) -> Array:
    """Draw Gaussian weights; the biases start at 0.

    Parameters
    ----------
    init
        ``"xavier"``: standard deviation 1/sqrt(d_in), as the course has it (after Glorot & Bengio 2010, section 4.2.1);
        ``"he"``: sqrt(2/d_in) (He et al. 2015, eq. 10); a number: that standard deviation.

    Returns
    -------
    theta, drawn in float64 and rounded to ``dtype``, so that both types start from the same point.
    """
    theta = np.zeros(parameter_count(sizes))
    for W in views(theta, sizes)[0]:
        std = {"xavier": len(W) ** -0.5, "he": (2 / len(W)) ** 0.5}[init] if isinstance(init, str) else init
        W[:] = std * rng.standard_normal(W.shape)
    return theta.astype(dtype)


class Buffers:
    """Memory for the values and gradients of every layer, for batches of up to n images, used again by each update."""

    def __init__(self, sizes: Sequence[int], n: int, dtype: DTypeLike) -> None:
        self.values = [np.empty((n, size), dtype) for size in sizes[1:]]
        self.gradients = [np.empty((n, size), dtype) for size in sizes[1:-1]]
        self.active = [np.empty((n, size), bool) for size in sizes[1:-1]]
        self.theta = np.empty(parameter_count(sizes), dtype)
        self.layers = views(self.theta, sizes)  # [W1's gradient, ...] and [b1's, ...]


def forward(
    theta: Array,
    sizes: Sequence[int],
    X: Array,
    buffers: Buffers | None = None,
    masks: Sequence[Array] | None = None,
) -> list[Array]:
    """Return [X, H1, ..., Z]: the values of every layer, the last one before the softmax.

    Parameters
    ----------
    X
        Images, (n, d).
    buffers
        Where the values are written; None allocates.
    masks
        As in `activate`.
    """
    buffers = buffers or Buffers(sizes, len(X), theta.dtype)
    Ws, bs = views(theta, sizes)
    Z = np.matmul(X, Ws[0], out=buffers.values[0][: len(X)])  # (n, m)
    return [X, *activate(Ws, bs, Z, buffers, masks)]


def activate(
    Ws: Sequence[Array], bs: Sequence[Array], Z: Array, buffers: Buffers, masks: Sequence[Array] | None = None
) -> list[Array]:
    """[H1, ..., Z]: the values of every layer but the input, from Z = X W1 (n, m), which becomes H1 in place.

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


def losses(Z: Array, y: NDArray[np.integer]) -> Array:
    """Cross-entropy of each image, -log softmax(z)_y (n,), with Z (n, K) turned into probabilities in place.

    The largest logit is taken off first and the logarithm is of a sum that is at least 1: finite for any finite logits.
    """
    Z -= np.maximum.reduce(Z, axis=1, keepdims=True)
    of_label: Array = Z[np.arange(len(y)), y]
    return np.log(softmax(Z)) - of_label


def slope(P: Array, y: NDArray[np.integer]) -> None:
    """Turn the probabilities P (n, K) that `losses` left into its derivative by the logits, in place."""
    P[np.arange(len(y)), y] -= 1  # (n, K): P - Y


class Objective(NamedTuple):
    """A loss of each image from Z (n, K), which it may change, and what turns that into the derivative by Z."""

    losses: Callable[[Array, NDArray[np.integer]], Array]
    slope: Callable[[Array, NDArray[np.integer]], None]


CROSS_ENTROPY = Objective(losses, slope)


def predict(theta: Array, sizes: Sequence[int], X: Array) -> Array:
    """Return the probabilities P (n, K) of images X (n, d)."""
    Z = forward(theta, sizes, X)[-1]
    Z -= np.maximum.reduce(Z, axis=1, keepdims=True)
    softmax(Z)
    return Z


def penalty(theta: Array, sizes: Sequence[int], lam: float) -> Any:
    """lambda * sum W^2 over all weights, not the biases."""
    w = theta[: weight_count(sizes)]
    return lam * (w @ w) if lam else 0.0


def loss_and_delta(
    theta: Array,
    sizes: Sequence[int],
    Z: Array,
    y: NDArray[np.integer],
    buffers: Buffers,
    scale: float = 1.0,
    objective: Objective = CROSS_ENTROPY,
    masks: Sequence[Array] | None = None,
) -> tuple[Any, Array]:
    """All of a gradient but its first and last product, for who does these by themselves.

    Parameters
    ----------
    Z
        X W1 (n, m); it is overwritten.
    scale
        Factor of the gradient, not of the loss. With eta here, an update has one pass over W1 less to make.
    objective
        The loss.
    masks
        As in `activate`.

    Returns
    -------
    The mean loss and delta = dJ/dZ (n, m), with the gradient of all parameters but W1, which is X' delta,
    in ``buffers.theta``.
    """
    Ws, bs = views(theta, sizes)
    gWs, gbs = buffers.layers
    values = activate(Ws, bs, Z, buffers, masks)  # H1 (n, m), ..., Z (n, K)
    G = values[-1]
    loss = np.add.reduce(objective.losses(G, y)) / len(y)
    objective.slope(G, y)
    G *= scale / len(y)  # (n, K): dJ/dZ
    for layer in reversed(range(1, len(Ws))):
        H = values[layer - 1]  # (n, d_in)
        np.matmul(H.T, G, out=gWs[layer])  # (d_in, d_out)
        np.add.reduce(G, axis=0, out=gbs[layer])
        G = np.matmul(G, Ws[layer].T, out=buffers.gradients[layer - 1][: len(y)])  # (n, d_in)
        G *= np.greater(H, 0, out=buffers.active[layer - 1][: len(y)])
        if masks:
            G *= masks[layer - 1]
    np.add.reduce(G, axis=0, out=gbs[0])
    return loss, G


def loss_and_gradient(
    theta: Array,
    sizes: Sequence[int],
    X: Array,
    y: NDArray[np.integer],
    buffers: Buffers | None = None,
    objective: Objective = CROSS_ENTROPY,
    masks: Sequence[Array] | None = None,
) -> tuple[Any, Array]:
    """Mean loss over the batch, by default the cross-entropy, and its gradient, without the L2 term.

    Parameters
    ----------
    X, y
        Images (n, d) and their labels (n,), 0 to K - 1.
    buffers
        Memory to work in; None allocates. The gradient returned lives there until the next call.
    objective, masks
        As in `loss_and_delta`.

    Returns
    -------
    The loss, and the gradient laid out like theta.
    """
    buffers = buffers or Buffers(sizes, len(X), theta.dtype)
    Z = np.matmul(X, views(theta, sizes)[0][0], out=buffers.values[0][: len(X)])  # (n, m)
    loss, G = loss_and_delta(theta, sizes, Z, y, buffers, objective=objective, masks=masks)
    np.matmul(X.T, G, out=buffers.layers[0][0])  # (d, m)
    return loss, buffers.theta


def cost_and_gradient(
    theta: Array,
    sizes: Sequence[int],
    X: Array,
    y: NDArray[np.integer],
    lam: float,
    objective: Objective = CROSS_ENTROPY,
    masks: Sequence[Array] | None = None,
) -> tuple[Any, Array]:
    """J = mean loss + lambda * sum W^2, and its gradient; arguments as in `loss_and_gradient`."""
    loss, gradient = loss_and_gradient(theta, sizes, X, y, None, objective, masks)
    w = slice(weight_count(sizes))
    gradient[w] += 2 * lam * theta[w]
    return loss + penalty(theta, sizes, lam), gradient
