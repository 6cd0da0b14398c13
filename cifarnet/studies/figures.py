"""Figures as numbers: the curves and class templates of a report, in files beside its study."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cifarnet.config import Settings
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
    table = table_of(path)
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


def table_of(path: Path) -> csv.DictReader[str]:
    """Read a CSV file, whatever ends its lines and whichever program saved it."""
    text = Folder(path.parent).read_bytes(path.name).decode("utf-8-sig", errors="replace")
    return csv.DictReader(text.splitlines())


def read_metrics(path: Path, settings: Settings) -> dict[str, dict[float, float]]:
    """Read curves of one's own, by column and step: a step or an epoch, and columns as those of metrics.csv.

    Raises
    ------
    ConfigError
        With the line that no training with these settings can have; or where there is no point.
    """
    table = table_of(path)
    header = table.fieldnames or ()
    known = {f"{split}_{measure}" for split in ("train", "validation") for measure in ("cost", "loss", "accuracy")}
    found: dict[str, dict[float, float]] = {name: {} for name in header if name in known}
    if not found or not {"step", "epoch"} & set(header) or len(set(header)) < len(header):
        raise ConfigError(f"{path}: its first line has to be like step,train_cost,validation_accuracy, each once")
    for line, row in enumerate(table, 2):
        try:
            for name, step, value in points(row, list(found), settings):
                if step in found[name]:
                    raise ValueError("this step is there twice")
                found[name][step] = value
        except ValueError as error:
            raise ConfigError(f"{path}:{line}: {error}") from error
    if not any(found.values()):
        raise ConfigError(f"{path}: it has no points")
    return found


def points(row: Mapping[str, str], names: Sequence[str], settings: Settings) -> Iterator[tuple[str, float, float]]:
    """Yield the columns, steps and values of a line; ValueError if a training with these settings has none of these."""
    if None in row or None in row.values():
        raise ValueError("it has not as many values as the first line")
    step = float(row["step"]) if "step" in row else float(row["epoch"]) * settings.steps_per_epoch
    if not 0 <= step <= settings.updates:
        raise ValueError(f"step {step:g} is none of the training, which has {settings.updates:,} updates")
    for name in (name for name in names if row[name].strip() not in ("", "nan", "NaN")):
        value = float(row[name])
        if not math.isfinite(value) or not 0 <= value <= (1 if name.endswith("accuracy") else math.inf):
            raise ValueError(f"{name} {value:g} cannot be; an accuracy is a fraction, such as 0.382")
        yield name, step, value


def read_templates(path: Path) -> Floats:
    """Return class templates, (10, 32, 32, 3) in an .npz, as (3072, 10); ConfigError if they are not such images."""
    images = Folder(path.parent).read_arrays(path.name, ["templates"])["templates"]
    if images.shape != (10, 32, 32, 3):
        raise ConfigError(f"{path}: the templates have the shape {images.shape}; it has to be (10, 32, 32, 3)")
    return np.asarray(images.transpose(0, 3, 1, 2).reshape(10, 3072).T, float)
