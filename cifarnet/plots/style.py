"""Every colour and size of figures and pages; new figures, and figures as bytes.

Margins are fixed: to find them, matplotlib would draw everything twice.
"""

from __future__ import annotations

import contextlib
import io
import math
import threading
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]

# Colours of Okabe and Ito (2008); lightness, dashes and markers distinguish lines without colour, too.
BLUE, ORANGE, VERMILION = "#0072b2", "#e69f00", "#d55e00"
COLOURS = (BLUE, VERMILION, "#009e73", "#cc79a7", "#56b4e9", ORANGE, "#000000")
MARKERS = "osD^vPX"
LINES: dict[str, dict[str, Any]] = {
    "training": {"color": BLUE, "linestyle": "-", "marker": "o"},
    "validation": {"color": ORANGE, "linestyle": "--", "marker": "s"},
}
TRIALS: list[dict[str, Any]] = [{"color": BLUE, "marker": "o"}, {"color": ORANGE, "marker": "s"}]  # of each stage
BEST: dict[str, Any] = {"color": VERMILION, "marker": "*", "markersize": 14, "zorder": 4}
BARS = (BLUE, "#9fc5de")  # the predicted class, and the others
CONFUSION = "Blues"  # a colour map
STAMP = "#b2182b"
PAGE = {  # the names are those of the pages' style sheet
    "light": {
        "paper": "#fcfcf9", "ink": "#1d1e1c", "soft": "#5d5f59", "rule": "#dddcd3", "tint": "#f3f2ec",
        "link": "#0a558c", "good": "#1c6b3a", "bad": "#a3341f", "open": "#7a5a00",
        "training": BLUE, "validation": "#c25400",
    },
    "dark": {
        "paper": "#161715", "ink": "#e7e5dd", "soft": "#a3a49c", "rule": "#373833", "tint": "#20211e",
        "link": "#82bdec", "good": "#7ccb95", "bad": "#f0937e", "open": "#e0bd62",
        "training": "#5db2ea", "validation": "#f09a52",
    },
}  # fmt: skip

DPI = 110
WIDE, NARROW, HEIGHT = 13.0, 6.5, 2.9  # inches: three panels, one panel, and a panel's height with its labels
MARKED = 60  # points up to which each one is marked
SETTINGS: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.titlelocation": "left",
    "axes.titlesize": "medium",
    "axes.titley": 1.0,  # else matplotlib looks for room
    "grid.color": "0.9",
    "legend.frameon": False,
    "lines.markersize": 3.5,
    "svg.fonttype": "none",  # text that can be searched, copied and read aloud
    "svg.hashsalt": "cifarnet",
    "text.parse_math": False,  # a $ in a file's name is a $
}
SAVING: dict[str, dict[str, Any]] = {  # no date and no version, so that the same figure is the same bytes
    "png": {"metadata": {"Software": None}, "pil_kwargs": {"compress_level": 2}},  # weights: 75 -> 40 ms, no larger
    "svg": {"metadata": {"Date": None, "Creator": None}},
}
SYNTHETIC = "SYNTHETIC data, not CIFAR-10"
_drawing = threading.RLock()


@contextlib.contextmanager
def ours() -> Iterator[None]:
    """Draw by our settings alone, whatever the user's are; one thread at a time, as all see them."""
    import matplotlib

    defaults = {key: value for key, value in matplotlib.rcParamsDefault.items() if not key.startswith("backend")}
    settings: dict[Any, Any] = {**defaults, **SETTINGS}
    with _drawing, matplotlib.rc_context(settings):
        yield


@ours()
def render(figure: Figure, kind: str) -> bytes:
    """Return a figure as "png" or "svg", without a display: the same figure gives the same bytes."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a letter that the font has not is drawn as a box
        figure.savefig(buffer, format=kind, dpi=DPI, **SAVING[kind])
    return buffer.getvalue()


@ours()
def stamp(figure: Figure, text: str) -> Figure:
    """Write a warning into the upper right corner, where no figure of ours has anything."""
    figure.text(0.995, 0.99, text, ha="right", va="top", color=STAMP, fontsize="small", fontweight="bold")
    return figure


def plain(text: str) -> str:
    """Make a name from outside one that can be drawn; matplotlib would leave "_name" out of a legend."""
    shown = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return f" {shown}" if shown.startswith("_") else shown


def figure_of(axes: Axes) -> Figure:
    return cast("Figure", axes.figure)


def axes_in(size: tuple[float, float], box: tuple[float, float, float, float]) -> Axes:
    """Make a figure of a size in inches, with axes in the box (left, bottom, width, height) in fractions of it."""
    from matplotlib.figure import Figure

    return Figure(figsize=size, dpi=DPI).add_axes(box)


def panels(count: int, *, width: float, above: float) -> list[Axes]:
    """Make a figure with panels, three in a row; width, and the room above for epochs and legends, in inches."""
    from matplotlib.figure import Figure

    columns, rows = min(count, 3), math.ceil(count / 3)
    height = HEIGHT * rows + above
    figure = Figure(figsize=(width, height), dpi=DPI)
    made = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    top = HEIGHT * rows / height
    figure.subplots_adjust(0.8 / width, 0.5 / height, 1 - 0.3 / width, top, wspace=0.28, hspace=0.28)
    for panel in made[count:]:
        panel.remove()
    for panel in made[:count]:
        panel.grid(axis="y")
        panel.xaxis.set_label_coords(0.5, -0.115)  # else matplotlib measures all ticks
        panel.yaxis.set_label_coords(-0.52 / (panel.get_position().width * width), 0.5)
    return made[:count]


def legend(panel: Axes, title: str) -> None:
    """Name the lines of a panel in the upper left corner of its figure, one below the other."""
    handles, labels = panel.get_legend_handles_labels()
    figure_of(panel).legend(handles, labels, loc="upper left", title=title, alignment="left")
