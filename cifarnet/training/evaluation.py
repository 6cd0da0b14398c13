"""How good a network is on a set of images: cost, loss, accuracy, and where it errs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cifarnet.data import Pixels, Split
from cifarnet.nn.losses import L2, CrossEntropy, Loss
from cifarnet.nn.network import Array, Buffers, activate, views, weight_count
from cifarnet.training.tiles import Product

MEASURES = ("precision", "recall", "f1")
BLOCK = 500  # images at a time: their activations stay in the cache, and the sums do not depend on n


class Scores(NamedTuple):
    """J, the loss (J without its L2 term) and the fraction of images classified rightly."""

    cost: float
    loss: float
    accuracy: float


def blocks(n: int) -> Iterator[slice]:
    """Yield slices that cover n images."""
    return (slice(start, min(start + BLOCK, n)) for start in range(0, n, BLOCK))


def score(theta: Array, sizes: Sequence[int], split: Split, loss: Loss, l2: L2, threads: int = 1) -> Scores:
    """Evaluate on images X (n, d) with labels y (n,), on this many threads of one BLAS thread each."""
    return score_all([theta], sizes, split, loss, [l2], threads)[0]


def score_all(
    thetas: Sequence[Array], sizes: Sequence[int], split: Split, loss: Loss, l2s: Sequence[L2], threads: int = 1
) -> list[Scores]:
    """Evaluate several networks of the same sizes, each with its L2 term, in one pass over the images.

    Sums over blocks are in float64 and in order, so that they do not depend on the threads.
    """
    slices = list(blocks(len(split.y)))
    sums, right = np.empty((len(thetas), len(slices))), np.empty((len(thetas), len(slices)), int)

    def measure(network: int, block: int, Z: Array) -> None:
        y = split.y[slices[block]]
        right[network, block] = np.count_nonzero(Z.argmax(axis=1) == y)
        sums[network, block] = loss.values(Z, y).sum(dtype=np.float64)

    each_block(thetas, sizes, split.X, measure, threads)
    found = zip(thetas, l2s, sums, right.sum(axis=1).tolist(), strict=True)
    return [total(theta, sizes, l2, losses, count, len(split.y)) for theta, l2, losses, count in found]


def total(theta: Array, sizes: Sequence[int], l2: L2, sums: Array, right: int, n: int) -> Scores:
    """Return the scores of n images, ``right`` of them classified rightly, from the sum of losses of each block."""
    mean = float(sums.sum()) / n
    return Scores(mean + float(l2.cost(theta[: weight_count(sizes)])), mean, right / n)


def outcomes(theta: Array, sizes: Sequence[int], split: Split, loss: Loss, threads: int = 1) -> tuple[Array, Array]:
    """Return probabilities (n, K), the softmax of the logits whatever the loss, and the loss (n,) of each image."""
    slices = list(blocks(len(split.y)))
    P, losses = np.empty((len(split.y), sizes[-1]), theta.dtype), np.empty(len(split.y), theta.dtype)

    def keep(_: int, block: int, Z: Array) -> None:
        y = split.y[slices[block]]
        losses[slices[block]] = loss.values(Z.copy(), y)
        CrossEntropy().values(Z, y)
        P[slices[block]] = Z

    each_block([theta], sizes, split.X, keep, threads)
    return P, losses


def scores_of(theta: Array, sizes: Sequence[int], l2: L2, P: Array, losses: Array, y: NDArray[np.integer]) -> Scores:
    """Return what `score` returns, from the P (n, K) and losses (n,) of `outcomes`; where P rounds, it may tie."""
    sums = np.array([losses[block].sum(dtype=np.float64) for block in blocks(len(y))])
    return total(theta, sizes, l2, sums, int(np.count_nonzero(P.argmax(axis=1) == y)), len(y))


def each_block(
    thetas: Sequence[Array], sizes: Sequence[int], X: Array, use: Callable[[int, int, Array], None], threads: int
) -> None:
    """Call use(j, i, Z) with the logits of network j and block i, for all of them.

    Each thread takes the next block that is left; the second network finds it in the cache.
    """
    left = iter(list(enumerate(blocks(len(X)))))

    @np.errstate(over="ignore", invalid="ignore")  # a network may have diverged
    def work() -> None:
        dtype = thetas[0].dtype
        buffers, product = Buffers(sizes, BLOCK, dtype), Product(sizes, dtype)
        layers, memory = [views(theta, sizes) for theta in thetas], np.empty((BLOCK, sizes[0]), dtype)
        for i, block in left:
            n = block.stop - block.start
            inputs = X.read(block, memory[:n]) if isinstance(X, Pixels) else X[block]
            for j, (Ws, bs) in enumerate(layers):
                Z = product(inputs, Ws[0], buffers.values[0][:n])
                use(j, i, activate(Ws, bs, Z, buffers)[-1])

    with ThreadPoolExecutor(threads) as pool:
        others = [pool.submit(work) for _ in range(threads - 1)]
        work()  # a new thread in place of this one may find no core of its own for a while
        for other in others:
            other.result()


def confusion(predicted: NDArray[np.integer], y: NDArray[np.integer], K: int) -> NDArray[np.int64]:
    """Count images: (K, K), a row for each true class, a column for each predicted one."""
    return np.bincount(y * K + predicted, minlength=K * K).reshape(K, K)


def summary(matrix: NDArray[np.int64], losses: Array, classes: Sequence[str]) -> dict[str, Any]:
    """Return accuracy, mean loss, and each class's precision (right among those predicted), recall (among the true).

    With both, their harmonic mean, F1, and the means of the three over the classes that have images: ``macro`` counts
    each class once, ``weighted`` each image. There a class that is never predicted has precision 0. Plain numbers, for
    JSON; None where there are no images to count.
    """
    right, predicted, true = np.diag(matrix).tolist(), matrix.sum(axis=0).tolist(), matrix.sum(axis=1).tolist()
    per_class = {
        name: {
            "precision": right[k] / predicted[k] if predicted[k] else None,
            "recall": right[k] / true[k] if true[k] else None,
            "f1": 2 * right[k] / (predicted[k] + true[k]) if predicted[k] + true[k] else None,
            "n": true[k],
        }
        for k, name in enumerate(classes)
    }
    present = [found for found in per_class.values() if found["n"]]
    weights = {"macro": [1] * len(present), "weighted": [found["n"] for found in present]}
    return {
        "accuracy": sum(right) / sum(true),
        "loss": float(losses.mean(dtype=np.float64)),
        "n": sum(true),
        "per_class": per_class,
        "averages": {
            name: {key: float(np.average([found[key] or 0.0 for found in present], weights=w)) for key in MEASURES}
            for name, w in weights.items()
        },
        "confusion": matrix.tolist(),
    }


def worst_mistakes(P: Array, y: NDArray[np.integer], count: int) -> NDArray[np.intp]:
    """Return the indices of the wrongly classified images that the network was surest of, the surest first."""
    predicted = P.argmax(axis=1)
    wrong = np.flatnonzero(predicted != y)
    return wrong[np.argsort(-P[wrong, predicted[wrong]], kind="stable")[:count]]


def growth(Ps: Array, y: NDArray[np.integer]) -> list[dict[str, Any]]:
    """Return the accuracies of ensembles of the first 1, 2, ... networks, from their probabilities Ps (members, n, K).

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
