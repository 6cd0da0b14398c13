"""What changes with the update step: the curves of a run and its learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from cifarnet.plots import canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.floating]
LINES = {  # colours of Okabe and Ito (2008); lightness, dashes and markers tell the lines apart without colour, too
    "training": {"color": "#0072B2", "linestyle": "-", "marker": "o"},
    "validation": {"color": "#E69F00", "linestyle": "--", "marker": "s"},
}
PANELS = {"cost": "cost (loss + λ Σ W²)", "loss": "mean loss per image", "accuracy": "accuracy (%)"}
FEW = 60  # points up to which each one is marked


def curves(
    records: Mapping[str, Floats],
    *,
    steps_per_epoch: int,
    title: str = "",
    bands: Mapping[str, tuple[Floats, Floats]] | None = None,
    axes: Sequence[Axes] | None = None,
) -> Figure:
    """Draw cost, loss and accuracy on the training and the validation images against the update step.

    Parameters
    ----------
    records : mapping of str to (n,) floats
        The columns of metrics.csv, accuracies as shares of 1. What is not finite was not measured: it is left out, and
        the line goes on to the next point.
    steps_per_epoch : int
        Updates in an epoch, for the second scale above.
    title : str
        Left above the panels.
    bands : mapping of str to two (n,) floats, optional
        Lower and upper bound around a column, such as the range over several seeds.
    axes : three Axes, optional
        Where to draw; otherwise on a new figure.
    """
    figure, panels = (canvas.of(axes[0]), axes) if axes is not None else canvas.with_panels(3, width=13, above=1)
    for panel, (name, label) in zip(panels, PANELS.items(), strict=True):
        for split, style in LINES.items():
            _line(panel, records, f"{split.removesuffix('ing')}_{name}", bands or {}, {"label": split} | style)
        _scales(panel, label, steps_per_epoch)
    _heading(panels[0], title)
    _legend(panels[-1])
    return figure


def eta(
    steps: NDArray[np.number], etas: Floats, *, steps_per_epoch: int, title: str = "", axes: Axes | None = None
) -> Figure:
    """Draw the learning rate of every update: steps (n,) and etas (n,)."""
    figure, (panel,) = (
        (canvas.of(axes), [axes]) if axes is not None else canvas.with_panels(1, width=6.5, above=1 if title else 0.6)
    )
    panel.plot(steps, etas, color=LINES["training"]["color"])
    panel.set_ylim(bottom=0)
    _scales(panel, "learning rate η", steps_per_epoch)
    _heading(panel, title)
    return figure


def _line(
    panel: Axes,
    records: Mapping[str, Floats],
    column: str,
    bands: Mapping[str, tuple[Floats, Floats]],
    style: dict[str, str],
) -> None:
    """Draw one column where it was measured, with its band if it has one."""
    percent = 100 if column.endswith("accuracy") else 1
    measured = np.isfinite(records[column])
    steps = records["step"][measured]
    if column in bands:
        low, high = (percent * bound[measured] for bound in bands[column])
        panel.fill_between(steps, low, high, color=style["color"], alpha=0.2, linewidth=0)
    if len(steps):
        size = 3.5 if len(steps) <= FEW else 0
        panel.plot(steps, percent * records[column][measured], markersize=size, **cast("dict[str, Any]", style))


def _scales(panel: Axes, label: str, steps_per_epoch: int) -> None:
    """Label the axes: update steps below, epochs above."""
    from matplotlib.ticker import MaxNLocator

    panel.set(xlabel="update step", ylabel=label)
    panel.grid(color="0.9")
    panel.set_axisbelow(True)
    last = max(panel.dataLim.xmax, 1) if panel.has_data() else 1
    panel.set_xlim(-0.03 * last, 1.03 * last)  # also where there is one point, or none
    panel.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
    panel.xaxis.set_major_formatter("{x:,.0f}")
    panel.ticklabel_format(axis="y", useOffset=False)
    panel.yaxis.get_offset_text().set_horizontalalignment("right")  # a "1e-6" would stand on the epochs
    to_epoch, to_step = (lambda x: np.asarray(x) / steps_per_epoch), (lambda x: np.asarray(x) * steps_per_epoch)
    above = panel.secondary_xaxis("top", functions=(to_epoch, to_step))
    above.set_xlabel("epoch")
    above.xaxis.set_major_formatter("{x:g}")


def _heading(panel: Axes, title: str) -> None:
    if title:
        panel.set_title(title, loc="left", y=1, pad=42, fontsize="medium", fontweight="bold")


def _legend(panel: Axes) -> None:
    """Put the legend above the epochs, where no line can be behind it."""
    from matplotlib.transforms import ScaledTranslation

    if panel.get_legend_handles_labels()[0]:
        above = panel.transAxes + ScaledTranslation(0, 38 / 72, canvas.of(panel).dpi_scale_trans)
        panel.legend(
            loc="lower right",
            bbox_to_anchor=(1, 1),
            bbox_transform=above,
            ncols=2,
            frameon=False,
            borderaxespad=0,
            borderpad=0.1,
            handlelength=3,
        )
