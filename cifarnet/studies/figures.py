"""Figures as numbers: the curves and class templates of a report, in files beside its study."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cifarnet.errors import ConfigError
from cifarnet.runs import Folder

Floats = NDArray[np.float64]
MEASURES, SPLITS = ("cost", "loss", "accuracy", "eta"), ("train", "validation", "")


class Curve(NamedTuple):
    """One curve of a report's figure: of a row (EXHIBIT/ROW), a measure and a split ("" for eta)."""

    row: str
    measure: str
    split: str
    x: Floats  # (k,)
    y: Floats  # (k,)
    reading: float = 0.0  # how well the values were read off the figure

    @property
    def column(self) -> str:
        """Its column in metrics.csv."""
        return f"{self.split}_{self.measure}" if self.split else self.measure

    @property
    def name(self) -> str:
        """As causes.json has it, without the study."""
        return f"{self.row} {self.column.replace('_', ' ')} curve"


def read_curves(path: Path, reading: Mapping[str, float]) -> list[Curve]:
    """Read a table of points: row (EXHIBIT/ROW), measure, split, x, value; ``reading`` is that of each measure.

    Raises
    ------
    ConfigError
        With the file and the line that is wrong.
    """
    text = Folder(path.parent).read_bytes(path.name).decode("utf-8-sig", errors="replace")
    table = csv.DictReader(text.splitlines())
    found: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    for number, line in enumerate(table, 2):
        try:
            key = (line["row"], line["measure"], line["split"])
            if key[1] not in MEASURES or key[2] not in SPLITS:
                raise ValueError(f"measures are {MEASURES}, splits {SPLITS}")
            found.setdefault(key, []).append((float(line["x"]), float(line["value"])))
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"{path}:{number}: row, measure, split, x and value are needed: {error}") from error
    return [Curve(*k, *np.array(points).T)._replace(reading=reading.get(k[1], 0.0)) for k, points in found.items()]


def read_templates(path: Path) -> Floats:
    """Return class templates, (10, 32, 32, 3) in an .npz, as (3072, 10); ConfigError if they are not such images."""
    images = Folder(path.parent).read_arrays(path.name, ["templates"])["templates"]
    if images.shape != (10, 32, 32, 3):
        raise ConfigError(f"{path}: the templates have the shape {images.shape}; it has to be (10, 32, 32, 3)")
    return np.asarray(images.transpose(0, 3, 1, 2).reshape(10, 3072).T, float)
