"""Being stopped: a first SIGINT or SIGTERM ends the work at its next good place, a second one ends the process."""

import contextlib
import os
import signal
from collections.abc import Generator, Iterator
from types import FrameType, TracebackType
from typing import Any, TypeVar

T = TypeVar("T")

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stops:
    """While entered, whether a signal has come: ``code`` is then the exit code, 130 or 143, and 0 before."""

    def __init__(self) -> None:
        self.code = 0

    def __enter__(self) -> "Stops":
        self.before = {number: signal.signal(number, self.note) for number in SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def note(self, number: int, frame: FrameType | None) -> None:
        """Remember a first signal; on a second one end the process as a kill would, with no file half written."""
        if self.code:
            os._exit(128 + number)
        self.code = 128 + number
        with contextlib.suppress(OSError):  # not click.echo: standard error may be in the middle of a line
            os.write(2, b"\nstopping; once more to stop at once\n")

    def until(self, records: Generator[T, Any, Any]) -> Iterator[T]:
        """The records up to the signal; then their generator is closed."""
        for record in records:
            yield record
            if self.code:
                records.close()
                return
