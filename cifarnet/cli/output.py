"""Warnings, and tables as wide as the terminal."""

import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import click


def warn(*messages: str) -> None:
    for message in messages:
        click.echo(f"Warning: {message}", err=True)


def warn_synthetic(source: str) -> None:
    """Say loudly that no result is of CIFAR-10."""
    if source == "synthetic":
        click.echo("SYNTHETIC data: these are not CIFAR-10 images, and no figure below is about them.", err=True)


def table(
    columns: Mapping[str, Sequence[Any]], *, left: int = 1, expendable: Sequence[str] = (), piped: bool = False,
    form: str = "",
) -> str:  # fmt: skip
    """Lay out columns by their header, the first ``left`` ones flush left and the others flush right.

    Where the terminal is too narrow, columns go in the order of ``expendable``, those whose values differ are named
    below; where that is not enough, each value has a line, beside its header. ``piped`` tables have 80 columns where
    there is no terminal; those of another ``form`` have all, as they are for a file.
    """
    from tabulate import tabulate

    sides = {name: "left" if i < left else "right" for i, name in enumerate(columns)}
    for count in range(len(expendable) + 1):
        shown = {name: column for name, column in columns.items() if name not in expendable[:count]}
        text = tabulate(
            shown, "keys", form or "simple", disable_numparse=True, colalign=[sides[name] for name in shown]
        )
        if form or fits(text, piped=piped):
            missing = [name for name in expendable[:count] if len(set(columns[name])) > 1]
            names = ", ".join(map(one_line, missing))
            return text + "\n" + wrapped(f"Too narrow for {names}: --json has all") if missing else text
    rows = zip(*columns.values(), strict=True)
    blocks = [zip(map(one_line, columns), row, strict=True) for row in rows]
    return "\n\n".join(tabulate(block, tablefmt="plain", disable_numparse=True) for block in blocks)


def one_line(text: str) -> str:
    return " ".join(text.split())


def aligned(facts: Mapping[str, str]) -> str:
    """Lay out the facts that are known, one a line."""
    from tabulate import tabulate

    return tabulate([fact for fact in facts.items() if fact[1]], tablefmt="plain", disable_numparse=True)


def wrapped(text: str) -> str:
    """Break a sentence where the terminal ends."""
    return textwrap.fill(text, shutil.get_terminal_size().columns, break_long_words=False, break_on_hyphens=False)


def fits(text: str, *, piped: bool) -> bool:
    """Return whether no line is wider than the terminal; without one any text fits, or if ``piped`` that of 80 columns.

    The environment variable COLUMNS says otherwise.
    """
    width = shutil.get_terminal_size().columns
    return not (piped or sys.stdout.isatty()) or all(len(click.unstyle(line)) <= width for line in text.splitlines())
