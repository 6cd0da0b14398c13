"""``cifarnet predict``: what a run's network makes of pictures."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from cifarnet.cli.options import FORMAT, RUN, Folder, WithRuns, argument, command, flag, option
from cifarnet.errors import DataError
from cifarnet.runs import Run
from cifarnet.runs.catalog import percent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BLOCK = 200  # pictures at a time
DRAWN = 50  # pictures in one figure at most


class Seen(NamedTuple):
    """A picture as the network saw it (32, 32, 3), and its probabilities by class."""

    path: Path
    pixels: NDArray[np.uint8]
    p: dict[str, float]

    @property
    def best(self) -> str:
        return max(self.p, key=lambda name: self.p[name])


@command("predict")
class Predict(WithRuns):
    """Classify pictures: PNG, JPEG, WebP and more, of any size.

    The square in the middle of each is scaled to 32 x 32. Prints the probabilities of the ten classes. IMAGE may be a
    folder of pictures, or of folders of them; other files in it are named and left out. So is a picture that cannot be
    read, and the exit code is then 1.

    Examples:
      cifarnet predict latest cat.jpg
      cifarnet predict latest photos/ > predictions.csv
      cifarnet predict latest cat.jpg dog.png --picture --format svg
    """

    name: str = argument(**RUN)
    paths: Sequence[Path] = argument(metavar="IMAGE...", nargs=-1, required=True, type=Folder())
    picture: bool = flag("--picture", help="Draw the pictures with bars into the run's figures.")
    kind: str = option("--format", type=FORMAT, default="png", help="Of the figure.")
    csv: bool = flag("--csv", help="A line a picture; always where IMAGE is a folder.")

    def run(self) -> None:
        from cifarnet.data.images import image_files

        run, unread = self.find(self.name, "network"), dict[Path, str]()
        listed = [image_files(path) for path in self.paths]
        seen: list[Seen] = []
        for one in look(run, [file for files in listed for file in files.found], unread):
            if not self.json:
                self.show(one, first=not seen)
            seen.append(one)
        others = {file: f"{file}: no picture" for files in listed for file in files.left_out}
        left_out = [{"image": str(file), "why": why} for file, why in (others | unread).items()]
        if not seen and not unread:
            raise click.UsageError(f"{', '.join(map(str, self.paths))}: no pictures in there")
        if self.json:
            images = [{"image": str(one.path), "class": one.best, "probabilities": one.p} for one in seen]
            self.answer({"run": str(run.path), "images": images, "skipped": left_out})
        for file in left_out:
            click.echo(f"skipped: {file['why']}", err=True)
        if self.picture and seen:
            draw(run, seen[:DRAWN], self.kind)
            click.echo(f"Figure: {run.path}/figures/predictions.{self.kind}", err=True)
        sys.exit(bool(unread))

    def show(self, one: Seen, first: bool) -> None:
        """Print one: as a row of CSV, or its classes by falling probability, with bars."""
        if self.csv or any(path.is_dir() for path in self.paths):
            row = [one.path, one.best, *(f"{p:.6g}" for p in one.p.values())]
            csv.writer(sys.stdout, lineterminator="\n").writerows([["image", "class", *one.p], row] if first else [row])
            return
        click.echo(one.path)
        for name, p in sorted(one.p.items(), key=lambda item: -item[1]):
            click.echo(f"  {name:12} {percent(p):>7}  {'#' * round(40 * p)}".rstrip())


def look(run: Run, files: Sequence[Path], unread: dict[Path, str]) -> Iterator[Seen]:
    """Read and classify, a block at a time; what cannot be read goes to ``unread``, with the reason."""
    import numpy as np

    from cifarnet.data.images import read_image

    for start in range(0, len(files), BLOCK):
        images = {}
        for file in files[start : start + BLOCK]:
            try:
                images[file] = read_image(file)
            except DataError as error:
                unread[file] = str(error)
        P = run.predict(np.array(list(images.values()))).tolist() if images else []
        for (file, pixels), p in zip(images.items(), P, strict=True):
            yield Seen(file, pixels, dict(zip(run.model.classes, p, strict=True)))


def draw(run: Run, seen: Sequence[Seen], kind: str) -> None:
    """Draw pictures and bars into the run folder."""
    import numpy as np

    from cifarnet import plots

    pixels, P = np.array([one.pixels for one in seen]), np.array([list(one.p.values()) for one in seen])
    figure = plots.predictions(pixels, P, run.model.classes, [one.path.name for one in seen])
    run.formats = (kind,)
    plots.save(run, {"predictions": figure}, synthetic=run.settings.data.source == "synthetic")
