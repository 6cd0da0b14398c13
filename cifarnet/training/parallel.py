"""The first layer, nearly all of an update's arithmetic, on several threads of one BLAS thread each.

Each thread has a shard: some of the inputs and the rows of W1 that they meet. It gathers the inputs, multiplies them,
and updates its rows, a slice of theta that stays in the cache of its core. Threads of BLAS would hand every slice back
and forth; `make bench` measures what an update takes.
"""

from __future__ import annotations

import atexit
import itertools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import OpenBLASController, threadpool_limits

from cifarnet.data import Pixels
from cifarnet.nn.network import Array
from cifarnet.training.tiles import tile

Update = Callable[[slice, Array], None]  # of a slice of theta from that slice of the gradient, which it may use up
PIECE = 600_000  # values of a gradient at a time, which stay in the cache; momentum at m = 1000: 10.3 -> 9.4 ms
HANDOVER = 1.5e6  # multiplications in the time that one more thread costs the caller, with something to spare


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class BlasLimit:
    """The limit of the BLAS's threads, which is the whole process's: set by the first holder, restored by the last."""

    def __init__(self) -> None:
        self.lock, self.holders = threading.Lock(), 0
        self.limits: Any = None

    @contextmanager
    def hold(self, threads: int) -> Iterator[None]:
        with self.lock:
            if self.holders == 0:
                self.claim()
                self.limits = threadpool_limits(threads, user_api="blas")
            self.holders += 1
        try:
            yield
        finally:
            with self.lock:
                self.holders -= 1
                if self.holders == 0:
                    self.claim()
                    self.limits.restore_original_limits()

    def claim(self) -> None:
        """Let this thread set the limit: from threadpoolctl 3.8 on, only the first one that did so can."""
        getattr(OpenBLASController, "clear_controlling_thread", lambda force: None)(force=True)


blas_threads = BlasLimit().hold


class Batch(NamedTuple):
    """Rows of X (N, d), which is not overwritten before four more batches were asked for; labels (n,)."""

    X: Array
    rows: NDArray[np.intp]
    y: NDArray[np.integer]


def shards(threads: int, sizes: Sequence[int], n: int) -> list[range]:
    """Return the tiles of each of at most ``threads`` threads, the caller's last; no more threads than save time.

    With work W and a cost of c for each thread, W / T + c T is least for T = sqrt(W / c). Where `tile` finds none,
    there are as many tiles as threads.
    """
    d, m = sizes[:2]
    most, count = min(threads, int((n * d * m / HANDOVER) ** 0.5)), d // tile(n, sizes)
    if count == 1:
        count = max([parts for parts in range(1, most + 1) if d % parts == 0], default=1)
    most = max(1, min(most, count))
    return [range(count * i // most, count * (i + 1) // most) for i in range(most)]


class Shard:
    """The tiles of one thread, each of the same number of inputs, and the slice of each theta that they meet.

    The last shard has the rest of theta, too. With several threads there are two places for inputs: those of the next
    batch are gathered while one is worked on. G networks alternate: step t is of batch t // G and network t % G.
    """

    def __init__(
        self, thetas: Sequence[Array], gradient: Array, Z: Array, tiles: range, sizes: Sequence[int], count: int
    ) -> None:
        _, n, m = Z.shape
        h = sizes[0] // count  # inputs of a tile
        start, stop = tiles.start * h * m, tiles.stop * h * m  # of the slice of theta
        self.tiles, self.count, self.h, self.Z = tiles, count, h, Z[tiles.start : tiles.stop]
        self.Ws = [theta[start:stop].reshape(-1, h, m) for theta in thetas]
        self.rest = slice(stop, stop if tiles.stop < count else len(gradient))
        self.gradient_of_rest = gradient[self.rest]
        pieces = 1
        if len(tiles) == 1:
            pieces = next(p for p in range(1, h + 1) if h % p == 0 and h * m <= p * PIECE)
        self.gradient = np.empty((len(tiles), h // pieces, m), Z.dtype)
        self.parts = [slice(at, at + self.gradient.size) for at in range(start, stop, self.gradient.size)]
        self.memory = np.empty((1 if len(tiles) == count else 2, len(tiles), n, h), Z.dtype)
        self.pixels = np.empty(self.memory.shape[1:], np.uint8)

    def gather(self, k: int, batch: Batch) -> None:
        """Fetch the inputs of batch k: tile i of row r of X is row r * count + i where each tile is a row."""
        X, out, tiles = batch.X, self.memory[k % len(self.memory)], np.array(self.tiles)
        values, copy = (X.pixels, self.pixels) if isinstance(X, Pixels) else (X, out)
        rows = batch.rows * self.count + tiles[:, None]
        np.take(values.reshape(-1, self.h), rows, axis=0, out=copy, mode="clip")  # "raise" would copy once more
        if isinstance(X, Pixels):
            centre, scale = (basis.reshape(self.count, 1, self.h)[tiles] for basis in (X.centre, X.scale))
            np.divide(np.subtract(copy, centre, out=out), scale, out=out)

    def inputs(self, turn: int) -> Array:
        """Return the inputs of a turn's batch, of each tile (n, h)."""
        X: Array = self.memory[turn // len(self.Ws) % len(self.memory)]
        return X

    def multiply(self, turn: int) -> None:
        """Multiply X W1 of each tile, (n, m)."""
        np.matmul(self.inputs(turn), self.Ws[turn % len(self.Ws)], out=self.Z)

    def backward(self, turn: int, G: Array, update: Update) -> None:
        """From G = dJ/dZ (n, m), make the gradient of the rows of W1 and update them, some at a time."""
        X, h = self.inputs(turn), self.gradient.shape[1]
        for i, part in enumerate(self.parts):
            np.matmul(X[..., i * h : (i + 1) * h].transpose(0, 2, 1), G, out=self.gradient)  # (tiles, h, m)
            update(part, self.gradient.reshape(-1))
        update(self.rest, self.gradient_of_rest)


class Worker(threading.Thread):
    """A thread that works on a shard, turn after turn, each time as far as it can get without the caller."""

    def __init__(self, shard: Shard, batches: list[Batch | None]) -> None:
        super().__init__(daemon=True)  # never in the way of the end of the process
        self.shard, self.batches = shard, batches
        self.orders: SimpleQueue[tuple[Array, Update] | None] = SimpleQueue()
        self.done: SimpleQueue[None] = SimpleQueue()  # an entry for each product, and for each update
        self.error: BaseException | None = None
        self.start()

    @np.errstate(over="ignore", invalid="ignore")
    def run(self) -> None:
        """Work until there is no batch or no order any more."""
        try:
            self.gather(0)
            for turn in itertools.count():
                k, i = divmod(turn, len(self.shard.Ws))
                if not self.batches[k % 3]:
                    return
                self.shard.multiply(turn)
                self.done.put(None)
                if i + 1 == len(self.shard.Ws):
                    self.gather(k + 1)
                if not (order := self.orders.get()):
                    return
                self.shard.backward(turn, *order)
                self.done.put(None)
        except BaseException as error:
            self.error = error
            self.done.put(None)

    def gather(self, k: int) -> None:
        if batch := self.batches[k % 3]:
            self.shard.gather(k, batch)

    def wait(self, count: int) -> None:
        """Wait until as many more products and updates are done; raise what failed on the way."""
        for _ in range(count):
            self.done.get()
            if self.error:
                raise self.error


class FirstLayer:
    """The first layer of one network, or of several on the same batches that take turns; the caller works, too.

    Sums are in a fixed order: the same bytes every time. Between `backward` and `wait`, or the end, workers may still
    be updating a theta.
    """

    def __init__(
        self,
        batches: Iterator[Batch],
        thetas: Sequence[Array],
        gradient: Array,
        sizes: Sequence[int],
        n: int,
        shards: Sequence[range],
    ) -> None:
        count = shards[-1].stop
        self.Zs = np.empty((count, n, sizes[1]), gradient.dtype)
        self.Z: Array = np.empty_like(self.Zs[0])
        self.coming, self.networks = batches, len(thetas)
        self.batches = [next(batches, None), next(batches, None), None]  # batch k in place k modulo 3
        self.turn = self.pending = 0  # pending: products and updates of each worker, not waited for yet
        *others, self.mine = [Shard(thetas, gradient, self.Zs, tiles, sizes, count) for tiles in shards]
        self.workers = [Worker(shard, self.batches) for shard in others]

    def __enter__(self) -> Self:
        atexit.register(self.stop)  # where the interpreter ends first, no thread may be in a BLAS that is unloaded
        return self

    def __exit__(self, *_: object) -> None:
        atexit.unregister(self.stop)
        self.stop()
        for worker in self.workers:
            if worker.error:
                raise worker.error

    def stop(self) -> None:
        """Let the workers end, and wait for that."""
        for worker in self.workers:
            worker.orders.put(None)
        for worker in self.workers:
            worker.join()

    def forward(self) -> tuple[Array, NDArray[np.integer]]:
        """Return Z = X W1 (n, m) of the next turn, and the labels (n,) of its batch."""
        k, i = divmod(self.turn, self.networks)
        batch = self.batches[k % 3]
        assert batch
        if i == 0:
            self.mine.gather(k, batch)
        self.mine.multiply(self.turn)
        self.pending += 1
        self.wait()
        if i == 0:
            self.batches[(k + 2) % 3] = next(self.coming, None)  # made while workers wait, where it is made
        np.add.reduce(self.Zs, axis=0, out=self.Z)
        return self.Z, batch.y

    def backward(self, G: Array, update: Update) -> None:
        """Update a theta: each thread its slice. G (n, m) is to stay as it is until `forward` returns."""
        for worker in self.workers:
            worker.orders.put((G, update))
        self.mine.backward(self.turn, G, update)
        self.turn += 1
        self.pending += 1

    def wait(self) -> None:
        """Wait until every product and update that was asked for is there."""
        for worker in self.workers:
            worker.wait(self.pending)
        self.pending = 0
