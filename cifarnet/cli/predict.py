"""``cifarnet predict``: what a run's network makes of pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from cifarnet.cli import completion, options
from cifarnet.cli.options import echo_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cifarnet.library import LoadedRun

BLOCK = 200  # pictures at a time
DRAWN = 50  # at most so many in one figure


class Seen(NamedTuple):
    """A picture as the network saw it (32, 32, 3), and its probabilities (K,)."""

    path: Path
    pixels: NDArray[np.uint8]
    p: NDArray[np.float32]


@click.command()
@click.argument("name", metavar="RUN", shell_complete=completion.run_names)
@click.argument("paths", metavar="IMAGE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--picture", is_flag=True, help="Draw the pictures with bars into the run's figures.")
@options.figure_format
@click.option("--csv", "as_csv", is_flag=True, help="A line a picture; always where IMAGE is a folder.")
@options.runs_dir
@options.as_json
@click.pass_context
def predict(
    context: click.Context,
    name: str,
    paths: tuple[Path, ...],
    picture: bool,
    figure_format: str,
    as_csv: bool,
    runs_dir: Path,
    as_json: bool,
) -> None:
    """Classify pictures: PNG, JPEG or WebP of any size.

    The square in the middle of each is scaled to 32 x 32. Prints the probabilities of the ten classes. A picture that
    cannot be read is named and left out, and the exit code is then 1. IMAGE may be a folder of pictures.

    \b
    Examples:
      cifarnet predict latest cat.jpg
      cifarnet predict latest photos/ > predictions.csv
      cifarnet predict latest cat.jpg dog.png --picture --format svg
    """
    from cifarnet import data, library

    run = library.load(name, runs_dir)
    files = [file for path in paths for file in data.pictures(path)]
    if not files:
        raise click.UsageError(f"{', '.join(map(str, paths))}: no pictures in there; they end in .png, .jpg or .webp")
    broken: list[dict[str, str]] = []
    seen = look(run, files, broken)
    if as_json:
        found = list(seen)
        echo_json({"run": str(run.path), "images": [summary(run, s) for s in found], "skipped": broken})
    elif as_csv or any(path.is_dir() for path in paths):
        found = list(echo_rows(run, seen))
    else:
        found = list(echo_tables(run, seen))
    for problem in broken:
        click.echo(f"skipped: {problem['why']}", err=True)
    if picture and found:
        click.echo(f"Figure: {draw(run, found[:DRAWN], figure_format)}", err=True)
    context.exit(1 if broken else 0)


def look(run: LoadedRun, files: Sequence[Path], broken: list[dict[str, str]]) -> Iterator[Seen]:
    """Read and classify, a block at a time; what cannot be read goes to ``broken``."""
    import numpy as np

    from cifarnet import data
    from cifarnet.errors import DataError

    for start in range(0, len(files), BLOCK):
        whole: list[tuple[Path, NDArray[np.uint8]]] = []
        for file in files[start : start + BLOCK]:
            try:
                whole.append((file, data.picture(file)))
            except DataError as error:
                broken.append({"image": str(file), "why": str(error)})
        if whole:
            P = run.predict(np.array([pixels for _, pixels in whole]))
            yield from (Seen(file, pixels, p) for (file, pixels), p in zip(whole, P, strict=True))


def summary(run: LoadedRun, seen: Seen) -> dict[str, Any]:
    """A picture's class and all probabilities, for JSON."""
    classes = run.model.classes
    p = dict(zip(classes, seen.p.tolist(), strict=True))
    return {"image": str(seen.path), "class": classes[int(seen.p.argmax())], "probabilities": p}


def echo_rows(run: LoadedRun, seen: Iterator[Seen]) -> Iterator[Seen]:
    """Print a line of CSV for each."""
    import csv
    import io

    classes = run.model.classes

    def line(values: Sequence[Any]) -> None:
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerow(values)
        click.echo(out.getvalue(), nl=False)

    line(["image", "class", *classes])
    for s in seen:
        line([s.path, classes[int(s.p.argmax())], *(f"{value:.6g}" for value in s.p.tolist())])
        yield s


def echo_tables(run: LoadedRun, seen: Iterator[Seen]) -> Iterator[Seen]:
    """Print the classes of each by falling probability, with bars."""
    for s in seen:
        click.echo(f"{s.path}")
        for k in (-s.p).argsort():
            bar = "#" * round(40 * float(s.p[k]))
            click.echo(f"  {run.model.classes[k]:12} {s.p[k]:7.2%}  {bar}".rstrip())
        yield s


def draw(run: LoadedRun, found: Sequence[Seen], kind: str) -> Path:
    """Draw into the run folder; returns the path of the figure."""
    import numpy as np

    from cifarnet import experiment, plots
    from cifarnet.runs import Run

    figure = plots.predictions(
        np.array([s.pixels for s in found]),
        np.array([s.p for s in found]),
        run.model.classes,
        [s.path.name for s in found],
    )
    experiment.save(Run(run.path, formats=(kind,)), {"predictions": figure}, run.settings.data.source)
    return run.path / "figures" / f"predictions.{kind}"
