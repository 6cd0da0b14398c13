"""What more networks, more nodes or a larger eta bring: accuracy against them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cifarnet.plots import canvas
from cifarnet.plots.overlay import COLOURS, MARKERS, Floats

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def members(alone: Sequence[float], growth: Sequence[Mapping[str, float]]) -> Figure:
    """Draw the accuracy (shares of 1) of an ensemble of the first 1, 2, ... networks, and of each network alone."""
    from matplotlib.ticker import MaxNLocator

    figure, (panel,) = canvas.with_panels(1, width=6.5, above=0.3)
    counts = [row["members"] for row in growth]
    lines = {name: [row[name.replace(" ", "_")] for row in growth] for name in ("mean probability", "majority vote")}
    for index, (name, values) in enumerate(lines.items()):
        percent = [100 * value for value in values]
        panel.plot(counts, percent, label=name, linestyle="-:"[index], color=COLOURS[index], marker=MARKERS[index])
    panel.plot(counts, [100 * value for value in alone], "x", color="0.4", label="that network alone")
    panel.set(xlabel="networks", ylabel="accuracy (%)")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.grid(color="0.9")
    panel.legend(frameon=False)
    return figure


def range_test(
    curves: Mapping[str, Mapping[str, Floats]], chosen: Mapping[str, tuple[float, float]], *, log: bool
) -> Figure:
    """Draw validation accuracy and batch loss while eta rises, a colour for each setting.

    Parameters
    ----------
    curves : name of the setting -> columns eta, accuracy (shares of 1) and loss
    chosen : name of the setting -> eta_min (dotted) and eta_max (dashed), marked by lines
    """
    figure, panels = canvas.with_panels(2, width=11, above=0.4 + 0.22 * len(curves))
    for panel, (column, label) in zip(
        panels, {"accuracy": "validation accuracy (%)", "loss": "mean loss of the batches"}.items(), strict=True
    ):
        for index, (name, table) in enumerate(curves.items()):
            colour = COLOURS[index % len(COLOURS)]
            percent = 100 if column == "accuracy" else 1
            panel.plot(table["eta"], percent * table[column], color=colour, label=name)
            for eta, line in zip(chosen.get(name, ()), (":", "--"), strict=False):
                panel.axvline(eta, color=colour, linestyle=line, linewidth=1)
        panel.set(xlabel="learning rate η", ylabel=label, xscale="log" if log else "linear")
        panel.grid(color="0.9")
    first = [table["loss"][np.isfinite(table["loss"])][:1].max(initial=0) for table in curves.values()]
    panels[1].set_ylim(0, 1.5 * max(first, default=0) or 1)  # a loss that goes through the roof hides all the others
    handles, labels = panels[0].get_legend_handles_labels()
    title = "eta_min dotted, eta_max dashed"
    figure.legend(handles, labels, loc="upper left", frameon=False, title=title, alignment="left")
    return figure
