"""Reads the pickles that CIFAR-10 ships as. A pickle is code: this reader knows numpy's arrays and runs nothing.

Python's own unpickler is not safe for this, however strict its `find_class`: one LONG_BINPUT makes it allocate
gigabytes, nested tuples as keys make it hash for ever, BUILD changes the classes it meets. Here an instruction costs
the bytes it reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

CONSTRUCTORS = {  # what batches name, by its name in numpy 1, numpy 2 and pickle protocol 5
    "numpy.core.multiarray _reconstruct": "array",
    "numpy._core.multiarray _reconstruct": "array",
    "numpy.core.numeric _frombuffer": "frombuffer",
    "numpy._core.numeric _frombuffer": "frombuffer",
    "numpy ndarray": "ndarray",
    "numpy dtype": "dtype",
}
OPERATIONS = 300_000  # ten times what a batch needs; a tenth of a second
SHOWN = 60  # characters of a hostile name that a message repeats


class BadPickle(ValueError):
    """Not a pickle of plain values and arrays of bytes."""


@dataclass(eq=False)
class Array:
    """A numpy array as its pickle describes it, not yet believed."""

    state: tuple[Any, ...] = ()

    def build(self) -> npt.NDArray[np.uint8]:
        """The array of bytes that the state describes, as a view of them."""
        match self.state:
            case (int(), (int(rows), int(columns)), Dtype("u1"), bool(fortran), bytes() | memoryview() as content):
                flat = np.frombuffer(content, np.uint8)
                if min(rows, columns) < 0 or rows * columns != flat.size:
                    raise BadPickle(f"an array of {rows} x {columns} bytes has {flat.size}")
                return flat.reshape((rows, columns), order="F" if fortran else "C")
        raise BadPickle("an array is not a table of bytes (uint8)")


@dataclass(eq=False)
class Dtype:
    name: str


@dataclass(eq=False)
class Constructor:
    kind: str


class Mark:
    """Where the items of a list, tuple or dictionary start on the stack."""


MARK = Mark()


@dataclass
class Reader:
    """The stack machine: content, how far it is read, stack and memo."""

    content: bytes
    position: int = 0
    stack: list[Any] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def take(self, n: int) -> bytes:
        taken = self.content[self.position : self.position + n]
        if len(taken) != n:
            raise BadPickle(f"it is cut short at byte {self.position:,}: {n:,} more expected, {len(taken):,} are there")
        self.position += n
        return taken

    def number(self, n: int) -> int:
        return int.from_bytes(self.take(n), "little")

    def view(self, n: int) -> memoryview:
        """The next n bytes, not copied."""
        if n > len(self.content) - self.position:
            self.take(n)
        self.position += n
        return memoryview(self.content)[self.position - n : self.position]

    def line(self) -> str:
        end = self.content.find(b"\n", self.position, self.position + 1000)
        if end < 0:
            raise BadPickle(f"it has a name without an end at byte {self.position:,}")
        return (self.take(end - self.position) + self.take(1))[:-1].decode()

    def items(self) -> list[Any]:
        """What is on the stack above the last mark."""
        last = next(i for i in range(len(self.stack) - 1, -1, -1) if self.stack[i] is MARK)
        found = self.stack[last + 1 :]
        del self.stack[last:]
        return found

    def top(self, n: int) -> tuple[Any, ...]:
        if len(self.stack) < n:
            raise BadPickle(f"it takes from an empty stack at byte {self.position:,}")
        found = tuple(self.stack[len(self.stack) - n :])
        del self.stack[len(self.stack) - n :]
        return found

    def constructor(self, module: Any, name: Any) -> Constructor:
        wanted = f"{text(module)} {text(name)}"
        if wanted not in CONSTRUCTORS:
            shown = wanted.replace(" ", ".")[:SHOWN]
            raise BadPickle(f"it asks for {shown!r}, which no batch needs: it may be hostile")
        return Constructor(CONSTRUCTORS[wanted])

    def reduce(self, function: Any, arguments: Any) -> Array | Dtype:
        match function, arguments:
            case Constructor("array"), (Constructor("ndarray"), *_):
                return Array()
            case Constructor("dtype"), (bytes() | str() as name, *_):
                return Dtype(text(name))
            case Constructor("frombuffer"), (content, Dtype() as dtype, shape, "C" | "F" as order):
                return Array((1, shape, dtype, order == "F", content))
        raise BadPickle("it calls something other than numpy's array constructors")

    def append(self, values: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise BadPickle("it appends to something other than a list")
        self.stack[-1].extend(values)

    def set(self, values: list[Any]) -> None:
        if not isinstance(self.stack[-1], dict):
            raise BadPickle("it sets keys of something other than a dictionary")
        self.stack[-1].update((text(key), value) for key, value in zip(values[::2], values[1::2], strict=True))

    def build(self, state: Any) -> None:
        """State for the array on the stack; the byte order and alignment of a dtype of bytes mean nothing."""
        match self.stack[-1], state:
            case Array(()) as array, tuple():
                array.state = state
            case Dtype(), tuple():
                pass
            case _:
                raise BadPickle("it gives state to something other than an array")


def text(value: Any) -> str:
    """A name or key: Python 2 wrote bytes, Python 3 writes text."""
    if isinstance(value, bytes):
        return value.decode("latin1")
    if not isinstance(value, str):
        raise BadPickle(f"it uses a {type(value).__name__} as a name")
    return value


def signed(content: bytes) -> int:
    return int.from_bytes(content, "little", signed=True)


PUSH: dict[int, Callable[[Reader], Any]] = {  # opcodes that put one value on the stack
    ord("K"): lambda r: r.number(1),
    ord("U"): lambda r: r.take(r.number(1)),
    ord("h"): lambda r: r.memo[r.number(1)],
    ord("j"): lambda r: r.memo[r.number(4)],
    ord("\x8c"): lambda r: r.take(r.number(1)).decode(),
    ord("("): lambda r: MARK,
    ord("M"): lambda r: r.number(2),
    ord("J"): lambda r: signed(r.take(4)),
    ord("\x8a"): lambda r: signed(r.take(r.number(1))),
    ord("N"): lambda r: None,
    ord("\x88"): lambda r: True,
    ord("\x89"): lambda r: False,
    ord("]"): lambda r: [],
    ord("}"): lambda r: {},
    ord(")"): lambda r: (),
    ord("T"): lambda r: r.view(r.number(4)),
    ord("B"): lambda r: r.view(r.number(4)),
    ord("C"): lambda r: r.take(r.number(1)),
    ord("\x8e"): lambda r: r.view(r.number(8)),
    ord("\x96"): lambda r: r.view(r.number(8)),
    ord("X"): lambda r: r.take(r.number(4)).decode(),
    ord("\x85"): lambda r: r.top(1),
    ord("\x86"): lambda r: r.top(2),
    ord("\x87"): lambda r: r.top(3),
    ord("t"): lambda r: tuple(r.items()),
    ord("c"): lambda r: r.constructor(r.line(), r.line()),
    ord("\x93"): lambda r: r.constructor(*r.top(2)),
    ord("R"): lambda r: r.reduce(*r.top(2)),
}
ACT: dict[int, Callable[[Reader], Any]] = {  # opcodes that change something and put nothing there
    ord("q"): lambda r: r.memo.__setitem__(r.number(1), r.stack[-1]),
    ord("r"): lambda r: r.memo.__setitem__(r.number(4), r.stack[-1]),
    ord("\x94"): lambda r: r.memo.__setitem__(len(r.memo), r.stack[-1]),
    ord("a"): lambda r: r.append(list(r.top(1))),
    ord("e"): lambda r: r.append(r.items()),
    ord("s"): lambda r: r.set(list(r.top(2))),
    ord("u"): lambda r: r.set(r.items()),
    ord("b"): lambda r: r.build(*r.top(1)),
    ord("\x80"): lambda r: r.number(1),
    ord("\x95"): lambda r: r.number(8),
}
STOP = ord(".")


def read(content: bytes) -> Any:
    """Read one pickle (protocol 2 as the official release has it, or 3 to 5 as Python 3 saves the same values).

    Parameters
    ----------
    content : the whole file.

    Returns
    -------
    Numbers, bytes, text, lists, tuples, dictionaries with text as keys, and `Array` (call `build` for the numpy array).

    Raises
    ------
    BadPickle : for anything else; the message says what and completes "damaged: ...".
    """
    reader = Reader(content)
    try:
        for _ in range(OPERATIONS):
            opcode = reader.take(1)[0]
            if opcode in PUSH:
                reader.stack.append(PUSH[opcode](reader))
            elif opcode in ACT:
                ACT[opcode](reader)
            elif opcode == STOP:
                return reader.stack[-1]
            else:
                raise BadPickle(f"it has an instruction that no batch needs at byte {reader.position - 1:,}")
        raise BadPickle(f"it has more than {OPERATIONS:,} instructions")
    except (IndexError, KeyError, StopIteration, ValueError) as error:
        if isinstance(error, BadPickle):
            raise
        raise BadPickle(f"it makes no sense at byte {reader.position:,}") from error
