"""How work goes, on standard error, and how a signal ends it."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import click

from cifarnet.readable import percent

if TYPE_CHECKING:
    from tqdm import tqdm

    from cifarnet.training import Record

T = TypeVar("T")
FRACTION = "{desc}{percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"  # no counts, so that 80 columns suffice


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
    """Make a progress bar, shown on a terminal alone."""
    from tqdm import tqdm

    hidden = quiet or not sys.stderr.isatty()
    return tqdm(total=total, unit=unit, disable=hidden, dynamic_ncols=True, smoothing=0.05, **look)


def advance(shown: tqdm[Any], done: int, total: int, text: str, *, quiet: bool = False) -> None:
    """Bring a bar to ``done`` of ``total``; where there is none, print the text at every tenth."""
    if shown.disable and not quiet and 10 * done // total > 10 * shown.n // total:
        click.echo(text, err=True)
    shown.n, shown.total = done, total
    shown.refresh()


def show_steps(steps: Iterable[tuple[float, str]], *, quiet: bool) -> None:
    """Consume the steps of some work, the fraction that is done and what it is: under a bar, or by lines."""
    with bar(1000, "", quiet=quiet, bar_format=FRACTION) as shown:
        for fraction, text in steps:
            shown.set_description_str(text, refresh=False)
            advance(shown, round(1000 * fraction), 1000, text, quiet=quiet)


def follow(records: Iterable[Record], updates: int, *, quiet: bool, last: Callable[[], None]) -> None:
    """Consume the records of a training: under a bar on a terminal, by a line for each measurement elsewhere.

    After the last update, ``last`` says what is done beside the training.
    """
    with bar(updates, "update", quiet=quiet, bar_format=FRACTION) as shown:
        for r in records:
            shown.update(r.step - shown.n)
            if r.train and r.validation:
                accuracy = f"validation accuracy {percent(r.validation.accuracy)}"
                shown.set_postfix_str(f"{accuracy}, cost {r.train.cost:.4g}, cycle {r.cycle}")
                if shown.disable and not quiet:
                    line = f"step {r.step:6d}  cycle {r.cycle}  eta {r.eta:8.2e}  cost {r.train.cost:#.5g}  {accuracy}"
                    click.echo(line, err=True)
            if r.step == updates:
                shown.close()
                last()
