"""Which images each update sees, and what augmentation and dropout make of them."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from cifarnet.config import Settings
from cifarnet.data import Split
from cifarnet.nn.augmentation import Augmenter
from cifarnet.nn.network import Array
from cifarnet.training.parallel import Batch

Rows = NDArray[np.intp]


def rows_of_batches(n: int, settings: Settings, step: int, updates: int) -> Iterator[Rows]:
    """Yield the rows of each batch from update ``step`` on: in a new order every epoch, or in that of the images."""
    size, practice = settings.training.batch_size, settings.deviations.practice
    epoch_length = practice.updates_of_epoch(n, size)
    for epoch in itertools.count(step // epoch_length):
        order = practice.order(n, settings.training.shuffle, settings.seed, epoch)
        for update in range(max(step, epoch * epoch_length), (epoch + 1) * epoch_length):
            if update == updates:
                return
            start = size * (update - epoch * epoch_length)
            yield order[start : start + size]


def batches(
    data: Split, settings: Settings, augmenter: Augmenter | None, step: int, updates: int, threads: int
) -> Generator[Batch, None, None]:
    """Yield the batches of updates ``step`` to ``updates``; one with fewer labels has some images twice.

    With augmentation or dropped inputs each is made while those before it are used: four may be in use by the workers
    of an update.
    """
    chosen, size = rows_of_batches(len(data.y), settings, step, updates), settings.training.batch_size

    def filled(rows: Rows) -> Rows:
        return rows if len(rows) == size else np.resize(rows, size)

    if not (augmenter or settings.training.dropout.input):
        yield from (Batch(data.X, filled(rows), data.y[rows]) for rows in chosen)
        return
    places = itertools.cycle(np.empty((5, size, data.X.shape[1]), data.X.dtype))

    def make(rows: Rows, X: Array, step: int) -> Batch:
        X[:] = data.X[filled(rows)]
        if augmenter:
            augmenter.apply(X, step)
        settings.training.dropout.drop_inputs(X, settings.seed, step)
        return Batch(X, np.arange(len(X)), data.y[rows])

    with ThreadPoolExecutor(1) as pool:
        ahead: deque[Future[Batch]] = deque()
        for arguments in zip(chosen, places, itertools.count(step)):
            ahead.append(pool.submit(make, *arguments))
            if len(ahead) > 1 or threads == 1:
                yield ahead.popleft().result()
        yield from (made.result() for made in ahead)
