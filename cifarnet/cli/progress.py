"""How work goes, on standard error, and how a signal ends it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Generator, Iterable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import click

if TYPE_CHECKING:
    from tqdm import tqdm

T = TypeVar("T")
FRACTION = "{desc}{percentage:3.0f}%|{bar}| {elapsed}<{remaining}"  # no counts, so that 80 columns suffice


class Stops:
    """While entered, a first SIGINT or SIGTERM ends the work at its next good place, a second one the process.

    ``code`` is then the exit code, 130 or 143, and 0 before.
    """

    code = 0

    def __enter__(self) -> Self:
        self.before = {number: signal.signal(number, self.note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def note(self, number: int, frame: FrameType | None) -> None:
        """Remember a first signal; on a second one end the process as a kill would, with no file half written."""
        if self.code:
            os._exit(128 + number)
        self.code = 128 + number
        with contextlib.suppress(OSError):  # not click.echo: standard error may be in the middle of a line
            os.write(2, b"\nstopping; once more to stop at once\n")

    def until(self, items: Generator[T, Any, Any]) -> Iterator[T]:
        """Yield the items up to the signal, then close their generator."""
        with contextlib.closing(items):
            for item in items:
                yield item
                if self.code:
                    return


def bar(total: int | None, unit: str, *, quiet: bool = False, **look: Any) -> tqdm[Any]:
    """Make a progress bar, shown on a terminal alone; each update brings its time up to date."""
    from tqdm import tqdm

    hidden = quiet or not sys.stderr.isatty()
    return tqdm(total=total, unit=unit, disable=hidden, dynamic_ncols=True, smoothing=0.05, miniters=0, **look)


def advance(shown: tqdm[Any], done: int, total: int, text: str, *, quiet: bool = False) -> None:
    """Bring a bar to ``done`` of ``total``; where there is none, print the text at every tenth."""
    if shown.disable:
        if not quiet and 10 * done // total > 10 * shown.n // total:
            click.echo(text, err=True)
        shown.n = done
    else:
        shown.total = total
        shown.update(done - shown.n)
        if done == total:
            shown.refresh()  # at once: what comes after the last step may take a while


def follow(steps: Iterable[tuple[float, str]], *, quiet: bool) -> None:
    """Consume the steps of some work, the fraction that is done and what it is: under a bar, or by lines."""
    with bar(1000, "", quiet=quiet, bar_format=FRACTION) as shown:
        for fraction, text in steps:
            shown.set_description_str(f"{text} ", refresh=False)
            advance(shown, round(1000 * fraction), 1000, f"{fraction:4.0%}  {text}", quiet=quiet)
