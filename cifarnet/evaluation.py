"""How good a network is on a set of images: cost, loss, accuracy, and where it errs."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cifarnet import network
from cifarnet.network import Array
from cifarnet.products import Product

Losses = Callable[[Array, NDArray[np.integer]], Array]  # of each image (n,), from logits (n, K) that it may change
BLOCK = 500  # images at a time: their activations stay in the cache, and the sums do not depend on n


class Scores(NamedTuple):
    """J, the loss (J without its L2 term) and the share of images classified rightly."""

    cost: float
    loss: float
    accuracy: float


def blocks(n: int) -> Iterator[slice]:
    """Slices that cover n images."""
    return (slice(start, min(start + BLOCK, n)) for start in range(0, n, BLOCK))


def score(
    theta: Array,
    sizes: Sequence[int],
    X: Array,
    y: NDArray[np.integer],
    lam: float,
    threads: int = 1,
    losses: Losses = network.losses,
) -> Scores:
    """Evaluate on images X (n, d) with labels y (n,), on so many threads of one BLAS thread each.

    Sums over blocks are in float64 and in order, so that they do not depend on the threads.
    """
    todo = list(blocks(len(X)))
    loss, right = np.empty(len(todo)), np.empty(len(todo), int)

    def measure(i: int, Z: Array) -> None:
        right[i] = np.count_nonzero(Z.argmax(axis=1) == y[todo[i]])
        loss[i] = losses(Z, y[todo[i]]).sum(dtype=np.float64)

    each_block(theta, sizes, X, measure, threads)
    mean = float(loss.sum()) / len(X)
    return Scores(mean + float(network.penalty(theta, sizes, lam)), mean, int(right.sum()) / len(X))


def outcomes(
    theta: Array,
    sizes: Sequence[int],
    X: Array,
    y: NDArray[np.integer],
    threads: int = 1,
    losses: Losses = network.losses,
) -> tuple[Array, Array]:
    """Probabilities (n, K), the softmax of the logits whatever the loss, and loss (n,) of each image."""
    todo = list(blocks(len(X)))
    P, loss = np.empty((len(X), sizes[-1]), theta.dtype), np.empty(len(X), theta.dtype)

    def keep(i: int, Z: Array) -> None:
        loss[todo[i]] = losses(Z.copy(), y[todo[i]])
        network.losses(Z, y[todo[i]])
        P[todo[i]] = Z

    each_block(theta, sizes, X, keep, threads)
    return P, loss


def each_block(theta: Array, sizes: Sequence[int], X: Array, use: Callable[[int, Array], None], threads: int) -> None:
    """Call use(i, Z) with the logits of block i, for all blocks; each thread takes the next one that is left."""
    left = iter(list(enumerate(blocks(len(X)))))

    @np.errstate(over="ignore", invalid="ignore")  # a network may have diverged
    def work() -> None:
        buffers, product = network.Buffers(sizes, BLOCK, theta.dtype), Product(sizes, theta.dtype)
        Ws, bs = network.views(theta, sizes)
        for i, block in left:
            Z = product(X[block], Ws[0], buffers.values[0][: block.stop - block.start])
            use(i, network.activate(Ws, bs, Z, buffers)[-1])

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work) for _ in range(threads)]:
            done.result()


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


def growth(Ps: Array, y: NDArray[np.integer]) -> list[dict[str, Any]]:
    """Accuracy of ensembles of the first 1, 2, ... networks, from their probabilities Ps (members, n, K).

    By mean probability: the class of the largest mean. By majority vote: the class that most of them name, of several
    such the one of the larger mean probability.
    """
    total, votes, rows = np.zeros(Ps.shape[1:]), np.zeros(Ps.shape[1:]), []
    for count, P in enumerate(Ps, 1):
        total += P
        votes[np.arange(len(y)), P.argmax(axis=1)] += 1
        vote = votes + total / (2 * count)  # less than one vote in all: it decides ties alone
        named = {"mean_probability": total, "majority_vote": vote}
        rows.append({"members": count} | {k: float((v.argmax(axis=1) == y).mean()) for k, v in named.items()})
    return rows
