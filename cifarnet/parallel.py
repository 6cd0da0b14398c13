"""The first layer, nearly all of an update's arithmetic, on several threads of one BLAS thread each.

Each thread has some of the inputs: it gathers them, multiplies them by the rows of W1 that they meet, and updates these
rows, a slice of theta that stays in the cache of its core.
Threads of BLAS would hand every slice back and forth; `make bench` measures what an update takes.
"""

import atexit
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from types import TracebackType
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray
from threadpoolctl import threadpool_info, threadpool_limits

from cifarnet import network
from cifarnet.network import Array
from cifarnet.products import tile

LOG = logging.getLogger(__name__)
Rule = Callable[[slice, Array], None]  # updates a slice of theta from that slice of the gradient, which it may use up
PIECE = 600_000  # values of a gradient at a time, which stay in the cache; momentum at m = 1000: 10.3 -> 9.4 ms
HANDOVER = 1.5e6  # multiplications in the time that one more thread costs the caller, with something to spare


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def blas_threads(threads: int) -> Iterator[None]:
    """Limit the threads of the matrix products, those of the whole process, as the BLAS knows no other limit."""
    with threadpool_limits(threads, user_api="blas"):
        for pool in threadpool_info():
            LOG.info("%(internal_api)s %(version)s, threads: %(num_threads)d", pool)
        yield


def shared(threads: int, sizes: Sequence[int], n: int) -> list[range]:
    """The tiles of each of at most so many threads, the caller's last. No more threads than save time.

    With work W and a cost of c for each thread, W / T + c T is least for T = sqrt(W / c). Where `tile` finds none,
    there are as many as threads.
    """
    d, m = sizes[:2]
    most, count = min(threads, int((n * d * m / HANDOVER) ** 0.5)), d // tile(n, sizes)
    if count == 1:
        count = max([parts for parts in range(1, most + 1) if d % parts == 0], default=1)
    most = max(1, min(most, count))
    return [range(count * i // most, count * (i + 1) // most) for i in range(most)]


class Batch(NamedTuple):
    """Images: which rows of X (N, d) they are, and their labels (n,).

    None stands for all rows. These are not copied, and are to stay as they are until the fourth batch after this one is
    asked for.
    """

    X: Array
    rows: NDArray[np.intp] | None
    y: NDArray[np.integer]

    def same(self, other: "Batch | None") -> bool:
        """Whether its images are those of another one, both rows of X."""
        return other is not None and self.X is other.X and np.array_equal(self.rows, other.rows)  # type: ignore[arg-type]


class Inputs:
    """The inputs of one thread, those of its tiles: of one batch, or of two, where one is fetched ahead.

    Trainings that take turns have the same images in their batches where they have the same seed: the first fetches
    them, and the others find them here. Two trainings on one thread, m = 50, batch 100: 880 -> 780 us an update.
    """

    def __init__(self, tiles: range, count: int, n: int, h: int, batches: int, dtype: DTypeLike) -> None:
        self.tiles, self.count = tiles, count
        self.memory = np.empty((batches, len(tiles), n, h), dtype)
        self.X = list(self.memory)
        self.held: list[Batch | None] = [None] * batches

    def fetch(self, k: int, batch: Batch) -> None:
        """Those of batch k: tile i of row r of X is row r * count + i where each tile is a row."""
        place, tiles, h = k % len(self.X), self.tiles, self.memory.shape[-1]
        if batch.rows is None:
            whole = batch.X.reshape(len(batch.X), self.count, h).transpose(1, 0, 2)  # (count, n, h)
            self.X[place] = whole[tiles.start : tiles.stop]
            return
        self.X[place] = self.memory[place]
        if not batch.same(self.held[place]):
            rows, inputs = batch.X.reshape(-1, h), batch.rows * self.count + np.array(tiles)[:, None]
            np.take(rows, inputs, axis=0, out=self.X[place], mode="clip")  # "raise" would write through a copy
            self.held[place] = batch

    def of(self, k: int) -> Array:
        """Those of batch k, (tiles, n, h)."""
        return self.X[k % len(self.X)]


class Workspace:
    """All that an update writes to but theta: of one training, or of several of the same sizes that take turns."""

    def __init__(self, sizes: Sequence[int], n: int, threads: int, dtype: DTypeLike) -> None:
        self.sizes, self.buffers = sizes, network.Buffers(sizes, n, dtype)
        self.tiles = shared(threads, sizes, n)
        d, m = sizes[:2]
        count = self.tiles[-1].stop
        batches = min(len(self.tiles), 2)
        self.Zs = np.empty((count, n, m), dtype)
        self.Z: Array = np.empty_like(self.Zs[0])
        self.inputs = [Inputs(tiles, count, n, d // count, batches, dtype) for tiles in self.tiles]
        self.gradients = [gradient(len(tiles), d // count, m, dtype) for tiles in self.tiles]


def gradient(tiles: int, h: int, m: int, dtype: DTypeLike) -> Array:
    """Memory for the gradient of tiles of W1, or of a piece of the only one."""
    pieces = 1 if tiles > 1 else next(p for p in range(1, h + 1) if h % p == 0 and h * m <= p * PIECE)
    return np.empty((tiles, h // pieces, m), dtype)


class Share:
    """One thread's part in a training: its tiles and the slice of theta that they meet; the last has all the rest."""

    def __init__(self, theta: Array, workspace: Workspace, thread: int) -> None:
        self.tiles, sizes = workspace.tiles[thread], workspace.sizes
        self.inputs, self.gradient = workspace.inputs[thread], workspace.gradients[thread]
        self.Z = workspace.Zs[self.tiles.start : self.tiles.stop]
        h, m = sizes[0] // len(workspace.Zs), sizes[1]
        start, stop = self.tiles.start * h * m, self.tiles.stop * h * m
        self.W = theta[start:stop].reshape(-1, h, m)
        self.rest = slice(stop, stop if self.tiles.stop < len(workspace.Zs) else len(theta))
        self.gradient_of_rest = workspace.buffers.theta[self.rest]
        self.parts = [slice(at, at + self.gradient.size) for at in range(start, stop, self.gradient.size)]

    def multiply(self, k: int) -> None:
        """X W1 of each tile (n, m)."""
        np.matmul(self.inputs.of(k), self.W, out=self.Z)

    def backward(self, k: int, G: Array, rule: Rule) -> None:
        """From G = dJ/dZ (n, m), the gradient of the rows of W1, and their update, some at a time."""
        X, h = self.inputs.of(k), self.gradient.shape[1]
        for i, part in enumerate(self.parts):
            np.matmul(X[..., i * h : (i + 1) * h].transpose(0, 2, 1), G, out=self.gradient)  # (tiles, h, m)
            rule(part, self.gradient.reshape(-1))
        rule(self.rest, self.gradient_of_rest)


class Helper(threading.Thread):
    """A thread that sees to a share, batch after batch, each time as far as it can get without the caller."""

    def __init__(self, share: Share, batches: list[Batch | None]) -> None:
        super().__init__(daemon=True)  # never in the way of the end of the process
        self.share, self.batches = share, batches
        self.orders: SimpleQueue[tuple[Array, Rule] | None] = SimpleQueue()
        self.multiplied: SimpleQueue[None] = SimpleQueue()
        self.updated: SimpleQueue[None] = SimpleQueue()
        self.error: BaseException | None = None
        self.start()

    @np.errstate(over="ignore", invalid="ignore")
    def run(self) -> None:
        try:
            self.work()
        except BaseException as error:
            self.error = error
            for news in (self.multiplied, self.updated):
                news.put(None)

    def work(self) -> None:
        """Until there is no batch or no order any more."""
        k = 0
        self.fetch(k)
        while self.batches[k % 3]:
            self.share.multiply(k)
            self.multiplied.put(None)
            self.fetch(k + 1)
            if not (order := self.orders.get()):
                return
            self.share.backward(k, *order)
            self.updated.put(None)
            k += 1

    def fetch(self, k: int) -> None:
        if batch := self.batches[k % 3]:
            self.share.inputs.fetch(k, batch)

    def wait(self, news: "SimpleQueue[None]") -> None:
        """Until it is done with the next batch; raises what failed on the way."""
        news.get()
        if self.error:
            raise self.error


class Team:
    """The threads of one training, the caller the last of them. Sums are in a fixed order: the same bytes every time.

    Between `backward` and `settle`, or the end, the others may still be updating theta.
    """

    def __init__(self, batches: Iterator[Batch], theta: Array, workspace: Workspace) -> None:
        self.Zs, self.Z = workspace.Zs, workspace.Z
        self.coming = batches
        self.batches = [next(batches, None), next(batches, None), None]  # batch k in place k modulo 3
        self.k = self.settled = 0
        *others, self.mine = [Share(theta, workspace, thread) for thread in range(len(workspace.tiles))]
        self.helpers = [Helper(share, self.batches) for share in others]

    def __enter__(self) -> "Team":
        atexit.register(self.dismiss)  # of an interpreter that ends first: no thread may be in a BLAS that is unloaded
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        atexit.unregister(self.dismiss)
        self.dismiss()
        for helper in self.helpers:
            if helper.error:
                raise helper.error

    def dismiss(self) -> None:
        """Let the helpers end, and wait for that."""
        for helper in self.helpers:
            helper.orders.put(None)
        for helper in self.helpers:
            helper.join()

    def forward(self) -> tuple[Array, NDArray[np.integer]]:
        """Z = X W1 (n, m) of the next batch, and its labels (n,)."""
        batch = self.batches[self.k % 3]
        assert batch
        self.mine.inputs.fetch(self.k, batch)
        self.mine.multiply(self.k)
        for helper in self.helpers:
            helper.wait(helper.multiplied)
        self.batches[(self.k + 2) % 3] = next(self.coming, None)  # what others prepare, they do while helpers wait
        np.add.reduce(self.Zs, axis=0, out=self.Z)
        return self.Z, batch.y

    def backward(self, G: Array, rule: Rule) -> None:
        """Update all of theta by a rule: its slice of each thread. G is to stay as it is until `forward` returns."""
        for helper in self.helpers:
            helper.orders.put((G, rule))
        self.mine.backward(self.k, G, rule)
        self.k += 1

    def settle(self) -> None:
        """Wait until theta is updated."""
        for helper in self.helpers:
            for _ in range(self.k - self.settled):
                helper.wait(helper.updated)
        self.settled = self.k
