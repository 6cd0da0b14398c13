"""What changes with the update step: the curves of a run and its learning rate, and the curves of several runs.

Tables are the columns of metrics.csv, (n,) each, accuracies as fractions; NaN stands for what was not measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cifarnet.plots import style
from cifarnet.plots.style import Floats, Ints

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Table = Mapping[str, Floats]
PANELS = {"cost": "cost (loss + λ Σ W²)", "loss": "mean loss per image", "accuracy": "accuracy (%)"}


@style.ours()
def curves(records: Table, *, steps_per_epoch: int, axes: Sequence[Axes] | None = None) -> Figure:
    """Draw cost, loss and accuracy on the training and the validation images, on three given axes or a new figure."""
    panels = axes if axes is not None else style.panels(3, width=style.WIDE, above=0.8)
    for panel, (name, label) in zip(panels, PANELS.items(), strict=True):
        for split, look in style.LINES.items():
            _line(panel, records, f"{split.removesuffix('ing')}_{name}", label=split, **look)
        _scales(panel, label, steps_per_epoch)
    if panels[0].lines:
        panels[0].legend(loc="lower left", bbox_to_anchor=(0, 1.17), borderaxespad=0, ncols=2, handlelength=3)
    return style.figure_of(panels[0])


@style.ours()
def eta(steps: Ints, etas: Floats, *, steps_per_epoch: int, axes: Axes | None = None) -> Figure:
    """Draw the learning rate of every update: steps (n,) and etas (n,)."""
    panel = axes if axes is not None else style.panels(1, width=style.NARROW, above=0.6)[0]
    panel.plot(steps, etas, color=style.BLUE)
    panel.set_ylim(bottom=0)
    _scales(panel, "learning rate η", steps_per_epoch)
    return style.figure_of(panel)


@style.ours()
def overlay(tables: Mapping[str, Table]) -> Figure:
    """Draw the curves of several runs by name: a colour and a marker each, validation solid, training dotted."""
    panels = style.panels(3, width=style.WIDE, above=0.4 + 0.22 * len(tables))
    for panel, (name, label) in zip(panels, PANELS.items(), strict=True):
        for index, (run, table) in enumerate(tables.items()):
            colour = style.COLOURS[index % len(style.COLOURS)]
            marker = style.MARKERS[index // len(style.COLOURS) % len(style.MARKERS)]
            _line(panel, table, f"train_{name}", color=colour, linestyle=":")
            _line(panel, table, f"validation_{name}", color=colour, marker=marker, label=style.plain(run))
        panel.set(xlabel="update step", ylabel=label)
    style.legend(panels[0], "validation solid, training dotted")
    return style.figure_of(panels[0])


def _line(panel: Axes, table: Table, column: str, **look: Any) -> None:
    """Draw one column where it was measured; the line goes on to the next point."""
    measured = np.isfinite(table[column])
    x, y = table["step"][measured], table[column][measured] * (100 if column.endswith("accuracy") else 1)
    if len(x):
        panel.plot(x, y, **look | ({"marker": ""} if len(x) > style.MARKED else {}))


def _scales(panel: Axes, label: str, steps_per_epoch: int) -> None:
    """Label the axes: update steps below, and epochs above as minor ticks, as a second axis takes as long again."""
    from matplotlib.ticker import MaxNLocator

    last = max(panel.dataLim.xmax, 1) if panel.has_data() else 1
    panel.set(xlabel="update step", ylabel=label, xlim=(-0.03 * last, 1.03 * last))  # also with one point, or none
    panel.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
    panel.xaxis.set_major_formatter("{x:,.0f}")
    panel.locator_params("y", nbins=6)
    panel.ticklabel_format(axis="y", useOffset=False)
    panel.yaxis.get_offset_text().set_horizontalalignment("right")  # a "1e-6" would stand on the epochs
    epochs = np.array(MaxNLocator(7, steps=[1, 2, 5, 10]).tick_values(0, last / steps_per_epoch))
    epochs = epochs[epochs * steps_per_epoch <= 1.03 * last]
    panel.set_xticks(epochs * steps_per_epoch, [f"{epoch:g}" for epoch in epochs], minor=True)
    panel.xaxis.remove_overlapping_locs = False
    above = {"top": True, "labeltop": True, "bottom": False, "labelbottom": False, "length": 3.5}
    panel.tick_params("x", which="minor", **above)
    panel.set_title("epoch", loc="center", pad=20)
