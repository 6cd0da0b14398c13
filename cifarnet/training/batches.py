"""Which images each update sees, and what jitter and dropout make of them."""

import itertools
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from cifarnet.data import Split
from cifarnet.network import Array
from cifarnet.parallel import Batch
from cifarnet.streams import stream
from cifarnet.training.plan import Plan


def batches(n: int, plan: Plan, step: int) -> Iterator[NDArray[np.intp]]:
    """Indices of the images of each batch, from the batch of update ``step`` on to the end of that epoch."""
    epoch, done = divmod(step, n // plan.batch_size)
    order = stream(plan.seed, "shuffle", epoch).permutation(n) if plan.shuffle else np.arange(n)
    for start in range(done * plan.batch_size, n - plan.batch_size + 1, plan.batch_size):
        yield order[start : start + plan.batch_size]


def endless(n: int, plan: Plan, step: int) -> Iterator[NDArray[np.intp]]:
    """The batches of epoch after epoch, from that of update ``step`` on."""
    for epoch in itertools.count(step // (n // plan.batch_size)):
        yield from batches(n, plan, max(step, epoch * (n // plan.batch_size)))


def altered(
    data: Split, chosen: Iterator[NDArray[np.intp]], plan: Plan, step: int, threads: int
) -> Generator[Batch, None, None]:
    """Batches with jitter and dropped inputs from update ``step`` on, each made while those before it are used.

    While one is made, the four before it are in the hands of a `Team`.
    """
    places = itertools.cycle(np.empty((5, plan.batch_size, plan.sizes[0]), data.X.dtype))

    def make(batch: NDArray[np.intp], X: Array, step: int) -> Batch:
        np.take(data.X, batch, axis=0, out=X, mode="clip")
        if plan.jitter:
            plan.jitter(X, stream(plan.seed, "jitter", step))
        drop_inputs(X, plan, step)
        return Batch(X, None, data.y[batch])

    with ThreadPoolExecutor(1) as pool:
        ahead: deque[Future[Batch]] = deque()
        for arguments in zip(chosen, places, itertools.count(step)):
            ahead.append(pool.submit(make, *arguments))
            if len(ahead) > 1 or threads == 1:
                yield ahead.popleft().result()
        yield from (made.result() for made in ahead)


def drop_inputs(X: Array, plan: Plan, step: int) -> None:
    """What an update drops of its images X (n, d), in place."""
    if plan.drop_input:
        X *= mask(X.shape, plan.drop_input, stream(plan.seed, "dropout", step, 0))


def hidden_masks(plan: Plan, step: int, n: int) -> list[Array] | None:
    """What an update drops of each hidden layer."""
    if not plan.drop_hidden:
        return None
    rng = stream(plan.seed, "dropout", step)
    return [mask((n, m), plan.drop_hidden, rng) for m in plan.sizes[1:-1]]


def mask(shape: tuple[int, ...], drop: float, rng: np.random.Generator) -> Array:
    """0 with probability ``drop``, otherwise 1 / (1 - drop): inverted dropout (Srivastava et al. 2014, section 10)."""
    return np.multiply(rng.random(shape, np.float32) >= drop, 1 / (1 - drop), dtype=np.float32)
