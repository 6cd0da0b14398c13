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


@style.with_our_style()
def curves(
    records: Table, *, steps_per_epoch: int, names: Sequence[str] = tuple(PANELS), axes: Sequence[Axes] | None = None
) -> Figure:
    """Draw cost, loss and accuracy, or some of them, on the training and the validation images.

    ``axes`` are where to draw, as many as there are names; by default a new figure.
    """
    panels = axes if axes is not None else style.panels(len(names), above=style.EPOCHS + style.LINE + 0.08)
    for panel, name in zip(panels, names, strict=True):
        for split, look in style.LINES.items():
            _line(panel, records, f"{split.removesuffix('ing')}_{name}", label=split, **look)
        _scales(panel, PANELS[name], steps_per_epoch)
    if panels[0].lines:
        style.legend(panels[0], epochs=True)
    return style.figure_of(panels[0])


@style.with_our_style()
def eta(steps: Ints, etas: Floats, *, steps_per_epoch: int, axes: Axes | None = None) -> Figure:
    """Draw the learning rate of every update: steps (n,) and etas (n,)."""
    panel = axes if axes is not None else style.panels(1, above=style.EPOCHS)[0]
    panel.plot(steps, etas, color=style.BLUE)
    panel.set_ylim(bottom=0)
    _scales(panel, "learning rate η", steps_per_epoch)
    return style.figure_of(panel)


@style.with_our_style()
def overlay(tables: Mapping[str, Table]) -> Figure:
    """Draw the curves of several runs by name: a colour and a marker each, training solid, validation dashed.

    Of lines that lie on each other, the upper ones are thinner.
    """
    names = [*map(style.plain, tables), *style.SPLITS]
    panels = style.panels(3, above=style.LINE * style.legend_columns(names, style.WIDE)[1] + 0.1)
    for panel, (name, label) in zip(panels, PANELS.items(), strict=True):
        for index, (shown, table) in enumerate(zip(names, tables.values(), strict=False)):
            below = (len(tables) - 1 - index) * min(0.5, 2.5 / len(tables))
            look: dict[str, Any] = {"color": style.COLOURS[index % len(style.COLOURS)], "linewidth": 0.9 + below}
            marked = {"linestyle": "--", "marker": style.MARKERS[index // len(style.COLOURS) % len(style.MARKERS)]}
            _line(panel, table, f"train_{name}", alpha=0.5, **look)
            _line(panel, table, f"validation_{name}", **look, **marked)
            panel.plot([], [], label=shown, **look | marked | {"linewidth": 0.9})
        for split, line in style.SPLITS.items():
            panel.plot([], [], color="0.4", linestyle=line, label=split)
        panel.set(xlabel="update step", ylabel=label)
        _steps(panel)
    style.legend(panels[0])
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
    _steps(panel)
    ticks = MaxNLocator(6 if last >= 4 * steps_per_epoch else 4, steps=[1, 2, 5, 10])  # parts are longer texts
    epochs = np.array(ticks.tick_values(0, last / steps_per_epoch))
    epochs = epochs[epochs * steps_per_epoch <= 1.03 * last]
    panel.set_xticks(epochs * steps_per_epoch, [f"{epoch:g}" for epoch in epochs], minor=True)
    panel.xaxis.remove_overlapping_locs = False
    above = {"top": True, "labeltop": True, "bottom": False, "labelbottom": False, "length": 2, "pad": 1}
    panel.tick_params("x", which="minor", **above)
    panel.annotate("epoch", (0, 1), (-8, 4), "axes fraction", textcoords="offset points", ha="right")


def _steps(panel: Axes) -> None:
    """Write steps as 1,000 and values in full."""
    from matplotlib.ticker import MaxNLocator

    panel.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10], integer=True))
    panel.xaxis.set_major_formatter("{x:,.0f}")
    panel.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    panel.ticklabel_format(axis="y", useOffset=False)
    low, high = panel.get_ylim()
    if high - low < 0.004 * abs(high):  # six digits, which would reach the label
        panel.tick_params("y", labelsize="x-small")
    panel.yaxis.get_offset_text().set_horizontalalignment("right")  # a "1e-6" would stand on the epochs
