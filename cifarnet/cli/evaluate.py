"""``cifarnet evaluate``: a run's network on a set of images, from its folder and the data alone."""

from pathlib import Path
from typing import Any

import click

from cifarnet.cli import completion
from cifarnet.cli.options import blas_threads, common_options, cores, echo_json, warn_synthetic


@click.command()
@click.argument("run_name", metavar="[RUN]", default="latest", shell_complete=completion.run_names)
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test"]),
    default="test",
    show_default=True,
    help="Which images.",
)
@common_options
def evaluate(
    run_name: str, split: str, data_dir: Path | None, threads: int | None, runs_dir: Path, quiet: bool, as_json: bool
) -> None:
    """Evaluate a run's network on images.

    Prints accuracy, loss, precision and recall of each class and the confusions; adds the confusion matrix and the
    surest mistakes as figures to the run folder. RUN is a run folder, the beginning of its name, or latest.

    \b
    Examples:
      cifarnet evaluate latest
      cifarnet evaluate runs/20261121-083512-train-figure-3 --split validation
    """
    from cifarnet import experiment, runs

    path = runs.find(run_name, runs_dir)
    with blas_threads(1):
        found = experiment.evaluate(path, split, data_dir, threads or cores())
    warn_synthetic(found.source)
    if not found.same_data and not quiet:
        click.echo(f"Warning: these are not the images that {path.name} was trained with", err=True)
    if as_json:
        echo_json(found.summary)
    else:
        click.echo(text(path, split, found.summary))


def text(path: Path, split: str, summary: dict[str, Any]) -> str:
    """The summary as a page for a terminal."""
    from tabulate import tabulate

    classes = list(summary["per_class"])
    per_class = [[name, f["precision"], f["recall"], f["n"]] for name, f in summary["per_class"].items()]
    confusion = [[name, *row] for name, row in zip(classes, summary["confusion"], strict=True)]
    return "\n".join(
        [
            f"{path}, {summary['n']:,} {split} images: accuracy {summary['accuracy']:.2%}, loss {summary['loss']:.4f}",
            "",
            tabulate(per_class, ["class", "precision", "recall", "images"], floatfmt=".3f"),
            "",
            "Confusions: a row for each true class, a column for each predicted one",
            tabulate(confusion, ["", *(name[:5] for name in classes)]),
            "",
            f"Figures: {path}/figures/confusion-{split}.png, mistakes-{split}.png",
        ]
    )
