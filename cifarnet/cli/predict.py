"""``cifarnet predict``: what a run's network makes of pictures."""

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from cifarnet.cli.options import FORMAT, RUN, Folder, WithRuns, argument, command, flag, option
from cifarnet.errors import DataError
from cifarnet.readable import percent
from cifarnet.runs import Run

DRAWN = 50  # pictures in one figure at most


@command("predict")
class Predict(WithRuns):
    """Classify pictures: PNG, JPEG, WebP and more.

    They may have any size: the square in the middle of each is scaled to 32 x 32. Prints the probabilities of the ten
    classes. IMAGE may be a folder of pictures, or of folders of them; other files in it are named and left out. So is a
    picture that cannot be read, and the exit code is then 1.

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
        from cifarnet.data.images import image_files, read_image

        run, listed = self.find(self.name, "network"), [image_files(path) for path in self.paths]
        seen, images, unread = list[dict[str, Any]](), list[Any](), dict[Path, str]()
        for file in (file for files in listed for file in files.found):
            try:
                images.append(read_image(file))
            except DataError as error:
                unread[file] = str(error)
                continue
            p = dict(zip(run.model.classes, run.classifier.predict(images[-1][None])[0].tolist(), strict=True))
            seen.append({"image": str(file), "class": max(p, key=p.__getitem__), "probabilities": p})
            if not self.json:
                self.show(seen[-1], first=len(seen) == 1)
        others = {file: f"{file}: no picture" for files in listed for file in files.left_out}
        left_out = [{"image": str(file), "why": why} for file, why in (others | unread).items()]
        if not seen and not unread:
            raise click.UsageError(f"{', '.join(map(str, self.paths))}: no pictures in there")
        if self.json:
            self.answer({"run": str(run.path), "images": seen, "skipped": left_out})
        for one in left_out:
            click.echo(f"skipped: {one['why']}", err=True)
        if self.picture and seen:
            self.draw(run, images[:DRAWN], seen[:DRAWN])
            click.echo(f"Figure: {run.path}/figures/predictions.{self.kind}", err=True)
        sys.exit(bool(unread))

    def show(self, picture: dict[str, Any], first: bool) -> None:
        """Print a picture: as a row of CSV, or its classes by falling probability, with bars."""
        p = picture["probabilities"]
        if self.csv or any(path.is_dir() for path in self.paths):
            row = [picture["image"], picture["class"], *(f"{value:.6g}" for value in p.values())]
            csv.writer(sys.stdout, lineterminator="\n").writerows([["image", "class", *p], row] if first else [row])
            return
        click.echo(picture["image"])
        for name, value in sorted(p.items(), key=lambda item: -item[1]):
            click.echo(f"  {name:12} {percent(value):>7}  {'#' * round(40 * value)}".rstrip())

    def draw(self, run: Run, images: Sequence[Any], seen: Sequence[dict[str, Any]]) -> None:
        """Draw pictures and bars into the run folder."""
        import numpy as np

        from cifarnet import plots

        P = np.array([[*picture["probabilities"].values()] for picture in seen])
        figure = plots.predictions(np.array(images), P, run.model.classes, [Path(one["image"]).name for one in seen])
        run.formats = (self.kind,)
        plots.save(run, {"predictions": figure})
