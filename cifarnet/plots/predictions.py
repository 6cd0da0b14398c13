"""What a network makes of single images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cifarnet.plots import canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def predictions(
    images: NDArray[np.uint8],
    P: NDArray[np.floating],
    classes: Sequence[str],
    names: Sequence[str],
    *,
    axes: Sequence[Axes] | None = None,
) -> Figure:
    """Show images beside bars of their probabilities.

    Parameters
    ----------
    images : (k, 32, 32, 3) uint8
    P : (k, K) probabilities
    names : one for each image
    axes : 2 k Axes, optional
        Where to draw, for each image one for it and one for its bars; otherwise on a new figure.
    """
    figure, axes = (canvas.of(axes[0]), axes) if axes is not None else _grid(len(images))
    for i, (image, p) in enumerate(zip(images, P, strict=True)):
        picture, bars = axes[2 * i : 2 * i + 2]
        picture.imshow(image, interpolation="none")
        picture.set_axis_off()
        picture.set_title(names[i], loc="left", fontsize="small")
        colours = ["#0072B2" if k == p.argmax() else "#9FC5DE" for k in range(len(classes))]
        drawn = bars.barh(np.arange(len(classes)), 100 * p, color=colours)
        bars.bar_label(drawn, [f"{100 * value:.1f} %" for value in p], padding=3, fontsize="small")
        bars.set_yticks(range(len(classes)), classes)
        bars.invert_yaxis()
        bars.set_xlim(0, 118)
        bars.set_xticks([])
        bars.spines[["top", "right", "bottom"]].set_visible(False)
    return figure


def _grid(rows: int) -> tuple[Figure, list[Axes]]:
    """Make a row of two panels for each image."""
    from matplotlib.figure import Figure

    height = 2.6 * max(rows, 1) + 0.3
    figure = Figure(figsize=(6.5, height), dpi=canvas.DPI)
    panels = figure.subplots(max(rows, 1), 2, squeeze=False, width_ratios=(1, 1.6))
    figure.subplots_adjust(0.03, 0.1 / height, 0.97, 1 - 0.4 / height, wspace=0.35, hspace=0.2)
    return figure, list(panels.ravel())
