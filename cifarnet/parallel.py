"""The first layer, nearly all of an update's arithmetic, on several threads of one BLAS thread each.

Each thread has some of the inputs: it gathers them, multiplies them by the rows of W1 that they meet, and updates these
rows, a slice of theta that stays in the cache of its core.
Threads of BLAS would hand every slice back and forth; `make bench` measures what an update takes.
"""

import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifarnet.network import Array

Rule = Callable[[slice], None]  # updates a slice of theta from that slice of the gradient
HANDOVER = 1.5e6  # multiplications in the time that one more thread costs the caller, with something to spare


def useful(threads: int, sizes: Sequence[int], batch_size: int) -> int:
    """How many of so many threads to use: a number that divides the inputs, and fewer than cost more than they save.

    With work W and a cost of c for each thread, W / T + c T is least for T = sqrt(W / c).
    """
    d, m = sizes[:2]
    most = min(threads, int((batch_size * d * m / HANDOVER) ** 0.5))
    return max([count for count in range(1, most + 1) if d % count == 0], default=1)


class Share:
    """The inputs of one thread and the slice of theta that it updates: rows of W1, and for the last all the rest."""

    def __init__(self, X: Array, theta: Array, gradient: Array, Z: Array, i: int, count: int) -> None:
        (n, d), (batch_size, m) = X.shape, Z.shape
        h, self.i, self.count = d // count, i, count
        self.X = X.reshape(n * count, h)  # image k's inputs of this share are row k * count + i
        rows = slice(i * h * m, (i + 1) * h * m)
        self.owned = slice(rows.start, rows.stop if i < count - 1 else len(theta))
        self.W, self.gradient = theta[rows].reshape(h, m), gradient[rows].reshape(h, m)
        self.now, self.ahead = np.empty((2, batch_size, h), X.dtype)
        self.Z = Z

    def gather(self, batch: NDArray[np.intp]) -> None:
        """Fetch the inputs of the images to come; "clip" writes to ``out`` directly, "raise" would through a copy."""
        np.take(self.X, batch * self.count + self.i, axis=0, out=self.ahead, mode="clip")

    def turn(self) -> None:
        """Take the images fetched last as those to work on."""
        self.now, self.ahead = self.ahead, self.now

    def multiply(self) -> None:
        np.matmul(self.now, self.W, out=self.Z)  # (n, m)

    def backward(self, G: Array, rule: Rule) -> None:
        """From G = dJ/dZ (n, m), the gradient of the rows of W1, and their update."""
        np.matmul(self.now.T, G, out=self.gradient)  # (h, m)
        rule(self.owned)


class Helper(threading.Thread):
    """A thread that makes the calls it is given, in their order, until one fails."""

    def __init__(self, share: Share) -> None:
        super().__init__(daemon=True)  # never in the way of the end of the process
        self.share = share
        self.calls: SimpleQueue[Any] = SimpleQueue()
        self.marks: SimpleQueue[None] = SimpleQueue()
        self.marked = self.passed = 0
        self.error: BaseException | None = None
        self.start()

    @np.errstate(over="ignore", invalid="ignore")
    def run(self) -> None:
        try:
            for function, *arguments in iter(self.calls.get, None):
                function(*arguments)
        except BaseException as error:
            self.error = error
            self.marks.put(None)

    def call(self, function: Callable[..., None], *arguments: Any) -> None:
        self.calls.put((function, *arguments))

    def mark(self) -> int:
        """A mark behind the calls so far."""
        self.call(self.marks.put, None)
        self.marked += 1
        return self.marked

    def wait(self, mark: int) -> None:
        """Until the calls before a mark are done; raises what failed among them."""
        while self.passed < mark:
            self.marks.get()
            self.check()
            self.passed += 1

    def check(self) -> None:
        if self.error:
            raise self.error


class Team:
    """The threads of one training, the caller the last of them. Sums are in a fixed order: the same bytes every time.

    Between `backward` and `settle`, or the end, the others may still be updating theta.
    """

    def __init__(
        self, X: Array, theta: Array, gradient: Array, sizes: Sequence[int], batch_size: int, threads: int
    ) -> None:
        count = useful(threads, sizes, batch_size)
        self.Zs = np.empty((count, batch_size, sizes[1]), theta.dtype)
        self.Z: Array = np.empty_like(self.Zs[0])
        *others, self.mine = [Share(X, theta, gradient, self.Zs[i], i, count) for i in range(count)]
        self.helpers = [Helper(share) for share in others]
        self.ahead: NDArray[np.intp] | None = None  # the batch that is being fetched
        self.fetched = 0

    def __enter__(self) -> "Team":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for helper in self.helpers:
            helper.calls.put(None)
        for helper in self.helpers:
            helper.join()
        for helper in self.helpers:
            helper.check()

    @np.errstate(over="ignore", invalid="ignore")  # as in training: what overflows shows in the loss
    def forward(self, batch: NDArray[np.intp], following: NDArray[np.intp] | None) -> Array:
        """Z = X W1 (n, m) of a batch, while the one that follows is fetched."""
        if batch is not self.ahead:
            self.fetch(batch)
        for helper in self.helpers:
            helper.call(helper.share.turn)
            helper.call(helper.share.multiply)
        marks = [helper.mark() for helper in self.helpers]
        for helper in self.helpers[:1]:
            helper.wait(self.fetched)
        self.mine.turn()
        if self.helpers and following is not None:
            self.fetch(following)
        self.mine.multiply()
        for helper, mark in zip(self.helpers, marks, strict=True):
            helper.wait(mark)
        np.add.reduce(self.Zs, axis=0, out=self.Z)
        return self.Z

    def fetch(self, batch: NDArray[np.intp]) -> None:
        """Gather a batch. A helper does it for the caller, too, who has the other layers to see to (m = 50: 8 %)."""
        for helper in self.helpers:
            helper.call(helper.share.gather, batch)
        if self.helpers:
            self.helpers[0].call(self.mine.gather, batch)
            self.fetched = self.helpers[0].mark()
        else:
            self.mine.gather(batch)
        self.ahead = batch

    def backward(self, G: Array, rule: Rule) -> None:
        """Update all of theta by a rule: its slice of each thread. G is to stay as it is until `forward` returns."""
        for helper in self.helpers:
            helper.call(helper.share.backward, G, rule)
        self.mine.backward(G, rule)

    def settle(self) -> None:
        """Wait until theta is updated."""
        for helper in self.helpers:
            helper.wait(helper.mark())
