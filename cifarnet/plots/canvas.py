"""Figures to draw on, and figures as bytes. Margins are fixed: to find them, matplotlib would draw everything twice."""

from __future__ import annotations

import io
import math
import threading
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Figure

DPI = 110
SYNTHETIC = "SYNTHETIC data, not CIFAR-10"
SAVING: dict[str, dict[str, Any]] = {  # no date and no version, so that the same figure is the same bytes
    "png": {"metadata": {"Software": None}, "pil_kwargs": {"compress_level": 2}},  # weights: 75 -> 40 ms, no larger
    "svg": {"metadata": {"Date": None, "Creator": None}},
}
_rendering = threading.Lock()


def render(figure: Figure, kind: str) -> bytes:
    """Draw a figure as "png" or "svg", without a display: the same figure gives the same bytes.

    The text of an SVG stays text, which can be searched, copied and read aloud.
    """
    import matplotlib

    buffer = io.BytesIO()
    settings: dict[Any, Any] = {"svg.hashsalt": "cifarnet", "svg.fonttype": "none"}
    with _rendering, matplotlib.rc_context(settings):  # rc_context changes what all threads see
        figure.savefig(buffer, format=kind, dpi=DPI, **SAVING[kind])
    return buffer.getvalue()


def with_axes(size: tuple[float, float], box: tuple[float, float, float, float]) -> tuple[Figure, Axes]:
    """Make a figure of a size in inches with axes in the box (left, bottom, width, height) in shares of it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=DPI)
    return figure, figure.add_axes(box)


def with_panels(count: int, *, width: float, above: float) -> tuple[Figure, list[Axes]]:
    """Make a figure with panels, three in a row; width, and the room above for epochs and more, in inches."""
    from matplotlib.figure import Figure

    columns, rows = min(count, 3), math.ceil(count / 3)
    height = 2.9 * rows + above
    figure = Figure(figsize=(width, height), dpi=DPI)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    figure.subplots_adjust(0.8 / width, 0.5 / height, 1 - 0.3 / width, 2.9 * rows / height, wspace=0.28, hspace=0.28)
    for panel in panels[count:]:
        panel.remove()
    return figure, list(panels[:count])


def stamp(figure: Figure, text: str) -> Figure:
    """Write a warning into the upper right corner, where no figure of ours has anything."""
    figure.text(0.995, 0.99, text, ha="right", va="top", color="#B2182B", fontsize="small", fontweight="bold")
    return figure


def of(axes: Axes) -> Figure:
    """The figure that axes belong to."""
    return cast("Figure", axes.figure)
