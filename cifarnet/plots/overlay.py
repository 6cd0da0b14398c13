"""The curves of several runs in one figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cifarnet.plots import canvas
from cifarnet.plots.lines import PANELS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.floating]
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")  # Okabe and Ito (2008)
MARKERS = "osD^vPX"


def overlay(tables: Mapping[str, Mapping[str, Floats]], *, axes: Sequence[Axes] | None = None) -> Figure:
    """Draw cost, loss and accuracy of several runs: a colour and a marker each, validation solid, training dotted.

    Parameters
    ----------
    tables : name of the run -> columns of its metrics.csv
    axes : three Axes, optional
        Where to draw; otherwise on a new figure.
    """
    above = 0.4 + 0.22 * len(tables)
    figure, panels = (canvas.of(axes[0]), axes) if axes is not None else canvas.with_panels(3, width=13, above=above)
    for panel, (name, label) in zip(panels, PANELS.items(), strict=True):
        for index, (run, table) in enumerate(tables.items()):
            _pair(panel, table, name, index, run)
        panel.set(xlabel="update step", ylabel=label)
        panel.grid(color="0.9")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="upper left", frameon=False, title="validation solid, training dotted", alignment="left"
    )
    return figure


def _pair(panel: Axes, table: Mapping[str, Floats], name: str, index: int, run: str) -> None:
    """Draw both curves of one run where they were measured."""
    percent = 100 if name == "accuracy" else 1
    for split, line in (("train", ":"), ("validation", "-")):
        values = table[f"{split}_{name}"]
        measured = np.isfinite(values)
        panel.plot(
            table["step"][measured],
            percent * values[measured],
            linestyle=line,
            marker=MARKERS[index // len(COLOURS) % len(MARKERS)] if split == "validation" else "",
            markersize=3.5,
            label=run if split == "validation" else None,
            color=COLOURS[index % len(COLOURS)],
        )
