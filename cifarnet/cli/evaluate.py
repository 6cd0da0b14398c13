"""``cifarnet evaluate``: a run's network on a set of images, from its folder and the data alone."""

from pathlib import Path
from typing import Any

import click

from cifarnet.cli import completion
from cifarnet.cli.options import common_options, echo_json, figure_formats, warn_synthetic


@click.command()
@click.argument("names", metavar="[RUN]...", nargs=-1, shell_complete=completion.run_names)
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test"]),
    default="test",
    show_default=True,
    help="Which images.",
)
@click.option("--ensemble", type=click.Choice(["cycles"]), help="Take the networks at the ends of the cycles as one.")
@click.option("--flips", is_flag=True, help="Average over each image and its mirror image.")
@click.option(
    "--shifts",
    type=click.IntRange(0, 8),
    default=0,
    metavar="PIXELS",
    help="Average over each image moved in every way by up to so many pixels (8 at most).",
)
@figure_formats
@common_options
def evaluate(
    names: tuple[str, ...],
    split: str,
    ensemble: str | None,
    flips: bool,
    shifts: int,
    formats: tuple[str, ...],
    data_dir: Path | None,
    threads: int | None,
    runs_dir: Path,
    quiet: bool,
    as_json: bool,
) -> None:
    """Evaluate a run's network on images.

    Prints accuracy, loss, precision and recall of each class and the confusions; adds the confusion matrix and the
    surest mistakes as figures to the run folder. RUN is a run folder, the beginning of its name, or latest. Several
    networks, of runs or of cycles, are taken as one: by mean probability, and beside it by majority vote.

    \b
    Examples:
      cifarnet evaluate latest
      cifarnet evaluate runs/20261121-083512-train-figure-3 --split validation
      cifarnet evaluate latest --ensemble cycles --flips --shifts 2
      cifarnet evaluate 20261121-0835 20261121-0840 20261121-0845
    """
    from cifarnet import ensembles, experiment, runs
    from cifarnet.parallel import blas_threads, cores

    paths = [runs.find(name, runs_dir) for name in names or ("latest",)]
    with blas_threads(1):
        found: experiment.Evaluated = (
            ensembles.evaluate(
                paths,
                split,
                data_dir,
                threads or cores(),
                cycles=ensemble == "cycles",
                flips=flips,
                shifts=shifts,
                formats=formats,
            )
            if len(paths) > 1 or ensemble or flips or shifts
            else experiment.evaluate(paths[0], split, data_dir, threads or cores(), formats)
        )
    warn_synthetic(found.source)
    if not found.same_data and not quiet:
        which = " and ".join(path.name for path in paths)
        click.echo(f"Warning: these are not the images that {which} was trained with", err=True)
    if as_json:
        echo_json(found.summary)
    else:
        click.echo(text(paths[0], split, found.summary, f"{found.name}.{formats[0]}"))


def text(path: Path, split: str, summary: dict[str, Any], name: str) -> str:
    """The summary as a page for a terminal; the names of the figures end in ``name``."""
    from cifarnet.cli.tables import table

    classes = list(summary["per_class"])
    per_class = [[name, f["precision"], f["recall"], f["n"]] for name, f in summary["per_class"].items()]
    confusion = [[name, *row] for name, row in zip(classes, summary["confusion"], strict=True)]
    several = "members" in summary
    return "\n".join(
        [
            f"{path}, {summary['n']:,} {split} images: accuracy {summary['accuracy']:.2%}, loss {summary['loss']:.4f}",
            *(of_members(summary) if several else []),
            "",
            table(per_class, ["class", "precision", "recall", "images"], floatfmt=".3f"),
            "",
            "Confusions: a row for each true class, a column for each predicted one",
            table(confusion, ["", *(name[:5] for name in classes)]),
            "",
            f"Figures: {path}/figures/confusion-{name}, mistakes-{name}" + (f", members-{name}" if several else ""),
        ]
    )


def of_members(summary: dict[str, Any]) -> list[str]:
    """Each network's accuracy, and that of those so far taken as one."""
    from cifarnet.cli.tables import table

    rows = [
        [member["name"], *(f"{value:.2%}" for value in (member["accuracy"], *list(so_far.values())[1:]))]
        for member, so_far in zip(summary["members"], summary["by_members"], strict=True)
    ]
    headers = ["network", "alone", "mean probability\nwith those above", "majority vote\nwith those above"]
    return ["", table(rows, headers, colalign=("left", "right", "right", "right"))]
