"""The progress of a training on standard error: a bar on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cifarnet.training import Plan, Record


def follow(records: "Iterable[Record]", plan: "Plan", *, quiet: bool) -> None:
    """Consume the records of a training and show how it goes."""
    if quiet:
        for _ in records:
            pass
    elif sys.stderr.isatty():
        bar(records, plan)
    else:
        for record in records:
            if record.validation:
                click.echo(line(record), err=True)


def bar(records: "Iterable[Record]", plan: "Plan") -> None:
    from tqdm import tqdm

    with tqdm(total=plan.updates, unit="update", dynamic_ncols=True, smoothing=0.05) as progress:
        for record in records:
            progress.update(record.step - progress.n)
            if record.train and record.validation:
                progress.set_postfix_str(
                    f"cycle {record.cycle}, eta {record.eta:.2g}, cost {record.train.cost:.3f}, "
                    f"validation {record.validation.accuracy:.2%}"
                )


def line(record: "Record") -> str:
    assert record.train and record.validation
    return (
        f"step {record.step:6d}  cycle {record.cycle}  eta {record.eta:8.2e}  cost {record.train.cost:.4f}  "
        f"validation accuracy {record.validation.accuracy:.2%}"
    )
