"""The first layer, nearly all of an update's arithmetic, on several threads of one BLAS thread each.

Each thread has some of the inputs: it gathers them, multiplies them by the rows of W1 that they meet, and updates these
rows, a slice of theta that stays in the cache of its core.
Threads of BLAS would hand every slice back and forth; `make bench` measures what an update takes.
"""

import atexit
import itertools
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from types import TracebackType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_info, threadpool_limits

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


class Share:
    """The tiles of one thread, so many inputs each, and the slice of each theta that they meet; the last has the rest.

    Where other threads have tiles too, batch k has place k modulo 2 for its inputs: the next ones are fetched while one
    is worked on. G networks take turns: turn t is that of batch t // G and network t % G.
    """

    def __init__(
        self, thetas: Sequence[Array], gradient: Array, Z: Array, tiles: range, sizes: Sequence[int], count: int
    ) -> None:
        _, n, m = Z.shape
        h = sizes[0] // count  # inputs of a tile
        start, stop = tiles.start * h * m, tiles.stop * h * m
        self.tiles, self.count, self.h, self.Z = tiles, count, h, Z[tiles.start : tiles.stop]
        self.Ws = [theta[start:stop].reshape(-1, h, m) for theta in thetas]
        self.rest = slice(stop, stop if tiles.stop < count else len(gradient))
        self.gradient_of_rest = gradient[self.rest]
        pieces = 1 if len(tiles) > 1 else next(p for p in range(1, h + 1) if h % p == 0 and h * m <= p * PIECE)
        self.gradient = np.empty((len(tiles), h // pieces, m), Z.dtype)
        self.parts = [slice(at, at + self.gradient.size) for at in range(start, stop, self.gradient.size)]
        self.memory = np.empty((1 if len(tiles) == count else 2, len(tiles), n, h), Z.dtype)
        self.X = list(self.memory)

    def gather(self, k: int, batch: Batch) -> None:
        """Fetch the inputs of batch k: tile i of row r of X is row r * count + i where each tile is a row."""
        place, tiles = k % len(self.X), self.tiles
        if batch.rows is None:
            whole = batch.X.reshape(len(batch.X), self.count, self.h).transpose(1, 0, 2)  # (count, n, h)
            self.X[place] = whole[tiles.start : tiles.stop]
        else:
            rows, inputs = batch.X.reshape(-1, self.h), batch.rows * self.count + np.array(tiles)[:, None]
            np.take(rows, inputs, axis=0, out=self.memory[place], mode="clip")  # "raise" would write through a copy

    def inputs(self, turn: int) -> Array:
        """The inputs of a turn's batch, of each tile (n, h)."""
        return self.X[turn // len(self.Ws) % len(self.X)]

    def multiply(self, turn: int) -> None:
        """X W1 of each tile (n, m)."""
        np.matmul(self.inputs(turn), self.Ws[turn % len(self.Ws)], out=self.Z)

    def backward(self, turn: int, G: Array, rule: Rule) -> None:
        """From G = dJ/dZ (n, m), the gradient of the rows of W1, and their update, some at a time."""
        X, h = self.inputs(turn), self.gradient.shape[1]
        for i, part in enumerate(self.parts):
            np.matmul(X[..., i * h : (i + 1) * h].transpose(0, 2, 1), G, out=self.gradient)  # (tiles, h, m)
            rule(part, self.gradient.reshape(-1))
        rule(self.rest, self.gradient_of_rest)


class Helper(threading.Thread):
    """A thread that sees to a share, turn after turn, each time as far as it can get without the caller."""

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
        self.fetch(0)
        for turn in itertools.count():
            k, i = divmod(turn, len(self.share.Ws))
            if not self.batches[k % 3]:
                return
            self.share.multiply(turn)
            self.multiplied.put(None)
            if i + 1 == len(self.share.Ws):
                self.fetch(k + 1)
            if not (order := self.orders.get()):
                return
            self.share.backward(turn, *order)
            self.updated.put(None)

    def fetch(self, k: int) -> None:
        if batch := self.batches[k % 3]:
            self.share.gather(k, batch)

    def wait(self, news: "SimpleQueue[None]") -> None:
        """Until it is done with the next turn; raises what failed on the way."""
        news.get()
        if self.error:
            raise self.error


class Team:
    """The threads of one training, or of several on the same batches that take turns; the caller is the last of them.

    Sums are in a fixed order: the same bytes every time. Between `backward` and `settle`, or the end, the others may
    still be updating a theta.
    """

    def __init__(
        self,
        batches: Iterator[Batch],
        thetas: Sequence[Array],
        gradient: Array,
        sizes: Sequence[int],
        n: int,
        threads: int,
    ) -> None:
        shares = shared(threads, sizes, n)
        count = shares[-1].stop
        self.Zs = np.empty((count, n, sizes[1]), gradient.dtype)
        self.Z: Array = np.empty_like(self.Zs[0])
        self.coming, self.networks = batches, len(thetas)
        self.batches = [next(batches, None), next(batches, None), None]  # batch k in place k modulo 3
        self.turn = self.settled = 0
        *others, self.mine = [Share(thetas, gradient, self.Zs, tiles, sizes, count) for tiles in shares]
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
        """Z = X W1 (n, m) of the next turn, and the labels (n,) of its batch."""
        k, i = divmod(self.turn, self.networks)
        batch = self.batches[k % 3]
        assert batch
        if i == 0:
            self.mine.gather(k, batch)
        self.mine.multiply(self.turn)
        for helper in self.helpers:
            helper.wait(helper.multiplied)
        if i == 0:
            self.batches[(k + 2) % 3] = next(self.coming, None)  # what others prepare, they do while helpers wait
        np.add.reduce(self.Zs, axis=0, out=self.Z)
        return self.Z, batch.y

    def backward(self, G: Array, rule: Rule) -> None:
        """Update a theta by a rule: its slice of each thread. G is to stay as it is until `forward` returns."""
        for helper in self.helpers:
            helper.orders.put((G, rule))
        self.mine.backward(self.turn, G, rule)
        self.turn += 1

    def settle(self) -> None:
        """Wait until every theta is updated."""
        for helper in self.helpers:
            for _ in range(self.turn - self.settled):
                helper.wait(helper.updated)
        self.settled = self.turn
