"""Warnings, and tables as wide as the terminal."""

import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import click


def warn(*messages: str) -> None:
    for message in messages:
        click.echo(f"Warning: {message}", err=True)


def warn_synthetic(source: str) -> None:
    """Say loudly that no result is of CIFAR-10."""
    if source == "synthetic":
        click.echo("SYNTHETIC data: these are not CIFAR-10 images, and no figure below is about them.", err=True)


def table(rows: Iterable[Sequence[Any]], headers: Sequence[str], *, keep: int | None = None, **look: Any) -> str:
    """Lay out a table; where the terminal is too narrow, a value a line beside its header.

    With ``keep``, columns are left out before, but for the first ones, and named below.
    """
    from tabulate import tabulate

    rows = list(rows)
    for count in range(len(headers), (keep or len(headers)) - 1, -1):
        cut = look | ({"colalign": look["colalign"][:count]} if "colalign" in look else {})
        text = tabulate([row[:count] for row in rows], headers[:count], **cut)
        if fits(text):
            left = ", ".join(" ".join(header.split()) for header in headers[count:])
            return text + "\n" + wrapped(f"Too narrow for {left}: --json has all") if left else text
    names = [" ".join(header.split()) for header in headers]
    cells = [line.split("\t") for line in tabulate(rows, tablefmt="tsv", **look).splitlines()]  # as in the table
    blocks = [[(name, cell.strip()) for name, cell in zip_longest(names, row, fillvalue="")] for row in cells]
    return "\n\n".join(tabulate(block, tablefmt="plain", disable_numparse=True) for block in blocks)


def aligned(facts: Mapping[str, str]) -> str:
    """Lay out the facts that are known, one a line."""
    from tabulate import tabulate

    return tabulate([fact for fact in facts.items() if fact[1]], tablefmt="plain", disable_numparse=True)


def wrapped(text: str) -> str:
    """Break a sentence where the terminal ends."""
    return textwrap.fill(text, shutil.get_terminal_size().columns, break_long_words=False, break_on_hyphens=False)


def fits(text: str, *, always: bool = False) -> bool:
    """Return whether no line is wider than the terminal; without one any text fits, or ``always`` what has 80 columns.

    The environment variable COLUMNS says otherwise.
    """
    width = shutil.get_terminal_size().columns
    return not (always or sys.stdout.isatty()) or all(len(click.unstyle(line)) <= width for line in text.splitlines())
