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
    """Evaluate on images X (n, d) with labels y (n,), on so many threads of one BLAS thread each."""
    return score_all([theta], sizes, X, y, [lam], threads, losses)[0]


def score_all(
    thetas: Sequence[Array],
    sizes: Sequence[int],
    X: Array,
    y: NDArray[np.integer],
    lams: Sequence[float],
    threads: int = 1,
    losses: Losses = network.losses,
) -> list[Scores]:
    """Evaluate several networks of the same sizes, each with its lambda, in one pass over the images.

    Sums over blocks are in float64 and in order, so that they do not depend on the threads.
    """
    todo = list(blocks(len(X)))
    loss, right = np.empty((len(thetas), len(todo))), np.empty((len(thetas), len(todo)), int)

    def measure(j: int, i: int, Z: Array) -> None:
        right[j, i] = np.count_nonzero(Z.argmax(axis=1) == y[todo[i]])
        loss[j, i] = losses(Z, y[todo[i]]).sum(dtype=np.float64)

    each_block(thetas, sizes, X, measure, threads)
    found = zip(thetas, lams, loss, right.sum(axis=1).tolist(), strict=True)
    return [total(theta, sizes, lam, sums, count, len(X)) for theta, lam, sums, count in found]


def total(theta: Array, sizes: Sequence[int], lam: float, loss: Array, right: int, n: int) -> Scores:
    """The scores of n images, so many of them classified rightly, from the sums of the losses of each block."""
    mean = float(loss.sum()) / n
    return Scores(mean + float(network.penalty(theta, sizes, lam)), mean, right / n)


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

    def keep(_: int, i: int, Z: Array) -> None:
        loss[todo[i]] = losses(Z.copy(), y[todo[i]])
        network.losses(Z, y[todo[i]])
        P[todo[i]] = Z

    each_block([theta], sizes, X, keep, threads)
    return P, loss


def scores(theta: Array, sizes: Sequence[int], lam: float, P: Array, losses: Array, y: NDArray[np.integer]) -> Scores:
    """What `score` returns, from the P (n, K) and losses (n,) of `outcomes`; where P rounds, logits may be a tie."""
    loss = np.array([losses[block].sum(dtype=np.float64) for block in blocks(len(y))])
    return total(theta, sizes, lam, loss, int(np.count_nonzero(P.argmax(axis=1) == y)), len(y))


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
        buffers, product = network.Buffers(sizes, BLOCK, dtype), Product(sizes, dtype)
        layers = [network.views(theta, sizes) for theta in thetas]
        for i, block in left:
            for j, (Ws, bs) in enumerate(layers):
                Z = product(X[block], Ws[0], buffers.values[0][: block.stop - block.start])
                use(j, i, network.activate(Ws, bs, Z, buffers)[-1])

    with ThreadPoolExecutor(threads) as pool:
        others = [pool.submit(work) for _ in range(threads - 1)]
        work()  # a new thread in place of this one may find no core of its own for a while
        for other in others:
            other.result()


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
