"""Every colour and size of figures and pages; new figures, and figures as bytes.

Margins are fixed: to find them, matplotlib would draw everything twice.
"""

from __future__ import annotations

import contextlib
import io
import math
import threading
import warnings
from collections.abc import Iterator, Sequence
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
SPLITS = {"validation": "--", "training": "-"}  # where colours are of runs
CHOSEN = {"η_min": ":", "η_max": "--"}  # of a range test
TRIALS: list[dict[str, Any]] = [{"color": BLUE, "marker": "o"}, {"color": ORANGE, "marker": "s"}]  # of each stage
BEST: dict[str, Any] = {"color": VERMILION, "marker": "*", "markersize": 9, "zorder": 4}
BARS = ("#7fbbe3", "#cfe3f2")  # the predicted class, and the next ones
CONFUSION, ERROR = "Blues", "RdBu"  # colour maps
STAMP = "#b2182b"
PAGE = {  # the names are those of the pages' style sheet
    "light": {
        "paper": "#fcfcf9", "ink": "#1d1e1c", "soft": "#5d5f59", "rule": "#dddcd3", "tint": "#f3f2ec",
        "link": "#0a558c", "good": "#1c6b3a", "bad": "#a3341f", "open": "#7a5a00",
        "training": BLUE, "validation": "#c25400",
        "c0": BLUE, "c1": VERMILION, "c2": "#00815e", "c3": "#b2548f", "c4": "#2f8fc6", "c5": "#a87400",
        "c6": "#1d1e1c",
    },
    "dark": {
        "paper": "#161715", "ink": "#e7e5dd", "soft": "#a3a49c", "rule": "#373833", "tint": "#20211e",
        "link": "#82bdec", "good": "#7ccb95", "bad": "#f0937e", "open": "#e0bd62",
        "training": "#5db2ea", "validation": "#f09a52",
        "c0": "#5db2ea", "c1": "#ff8a5c", "c2": "#3ecfa0", "c3": "#e5a3c8", "c4": "#a5dcff", "c5": "#f2c14e",
        "c6": "#e7e5dd",
    },
}  # fmt: skip
PALETTE = tuple(f"c{i}" for i in range(7))  # the names of what stands for COLOURS on a page
DARK = """@media (prefers-color-scheme: dark) {{ :is(svg:has(#clear), svg:not(:has(image))) {{
text {{ fill: {ink} }} #patch_1 path, #patch_2 path {{ fill: none !important }}
[style*="stroke: #000000"] {{ stroke: {soft} !important }}
[style*="stroke: #e5e5e5"] {{ stroke: {rule} !important }} }} }}
</style>""".format_map(PAGE["dark"]).encode()  # for an SVG on a page; an older one, whose images stand on white, stays

DPI = 220
CM = 1 / 2.54
WIDE, NARROW = 16 * CM, 8 * CM  # a figure across a page of A4, and one panel, of which two fit beside each other
HEIGHT, BELOW, LEFT, RIGHT, GAP = 1.85, 0.4, 0.58, 0.19, 0.65  # inches: a panel with labels, and the rooms around it
EPOCHS, LINE = 0.2, 0.17  # inches: the epochs above a panel, a line of a legend
MARKED = 60  # points up to which each one is marked
SETTINGS: dict[str, Any] = {
    "font.size": 9,
    "axes.axisbelow": True,
    "axes.titlelocation": "left",
    "axes.titlesize": "medium",
    "axes.titley": 1.0,  # else matplotlib looks for room
    "grid.color": "0.9",
    "axes.linewidth": 0.6,
    "axes.labelpad": 2,
    "grid.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.6,
    "xtick.major.pad": 2,
    "ytick.major.pad": 2,
    "legend.frameon": False,
    "legend.borderaxespad": 0,
    "legend.borderpad": 0,
    "legend.labelspacing": 0.3,
    "legend.columnspacing": 1.2,
    "lines.linewidth": 1.2,
    "lines.markersize": 2.5,
    "pdf.fonttype": 42,  # text that can be searched and edited
    "svg.fonttype": "none",  # text that can be searched, copied and read aloud
    "svg.hashsalt": "cifarnet",
    "text.parse_math": False,  # a $ in a file's name is a $
}
SAVING: dict[str, dict[str, Any]] = {  # no date and no version, so that the same figure is the same bytes
    "png": {"metadata": {"Software": None}, "pil_kwargs": {"compress_level": 2}},  # weights: 75 -> 40 ms, no larger
    "svg": {"metadata": {"Date": None, "Creator": None}},
    "pdf": {"metadata": {"CreationDate": None, "Creator": None, "Producer": None}},
}
SYNTHETIC = "SYNTHETIC data, not CIFAR-10"
_drawing = threading.RLock()


@contextlib.contextmanager
def with_our_style() -> Iterator[None]:
    """Draw by our settings alone, whatever the user's are; one thread at a time, as all see them."""
    import matplotlib

    defaults = {key: value for key, value in matplotlib.rcParamsDefault.items() if not key.startswith("backend")}
    settings: dict[Any, Any] = {**defaults, **SETTINGS}
    with _drawing, matplotlib.rc_context(settings):
        yield


@with_our_style()
def render(figure: Figure, kind: str) -> bytes:
    """Return a figure as "png" or "svg", without a display: the same figure gives the same bytes."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a letter that the font has not is drawn as a box
        figure.savefig(buffer, format=kind, dpi=DPI, **SAVING[kind])
    return buffer.getvalue()


@with_our_style()
def stamp(figure: Figure) -> Figure:
    """Write above everything else that the data are synthetic."""
    before = figure.get_figheight()
    figure.set_figheight(before + LINE)
    for axes in figure.axes:
        x, y, width, height = axes.get_position().bounds
        axes.set_position((x, y * before / (before + LINE), width, height * before / (before + LINE)))
    look: dict[str, Any] = {"ha": "right", "va": "top", "color": STAMP, "fontweight": "bold"}
    figure.text(0.99, 1 - 0.03 / figure.get_figheight(), SYNTHETIC, **look)
    return figure


def plain(text: str) -> str:
    """Make a name from outside one that can be drawn; matplotlib would leave "_name" out of a legend."""
    shown = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return f" {shown}" if shown.startswith("_") else shown


def figure_of(axes: Axes) -> Figure:
    return cast("Figure", axes.figure)


def axes_in(size: tuple[float, float], box: tuple[float, float, float, float]) -> Axes:
    """Make a figure of a size in inches, with axes in the box (left, bottom, width, height) in fractions of it."""
    from cifarnet.plots.picture import Picture

    return Picture(figsize=size, dpi=DPI).add_axes(box)


def panels(count: int, *, above: float) -> list[Axes]:
    """Make a figure with panels, three in a row, and some inches above each row for epochs and a legend."""
    from cifarnet.plots.picture import Picture

    columns, rows = min(count, 3), math.ceil(count / 3)
    width, height = NARROW if count == 1 else WIDE, (HEIGHT + above) * rows
    figure = Picture(figsize=(width, height), dpi=DPI)
    w, h = (width - LEFT - RIGHT - GAP * (columns - 1)) / columns, HEIGHT - BELOW
    made = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    sides = {"left": LEFT / width, "right": 1 - RIGHT / width, "bottom": BELOW / height, "top": 1 - above / height}
    figure.subplots_adjust(**sides, wspace=GAP / w, hspace=(BELOW + above) / h)
    for panel in made[count:]:
        panel.remove()
    for panel in made[:count]:
        panel.grid(axis="y")
        panel.xaxis.set_label_coords(0.5, -0.25 / h)  # else matplotlib measures all ticks
        panel.yaxis.set_label_coords(-0.41 / w, 0.5)
    return made[:count]


def legend_columns(names: Sequence[str], width: float) -> tuple[int, int]:
    """Return about how many columns and lines a legend takes in a figure of this width."""
    entry = 0.5 + 0.068 * max(map(len, names), default=1)
    columns = max(1, min(int(width / entry), len(names)))
    return columns, math.ceil(len(names) / columns)


def legend(panel: Axes, *, epochs: bool = False) -> None:
    """Name the lines of the first panel above it and its epochs, across the figure."""
    figure, box = figure_of(panel), panel.get_position()
    handles, names = panel.get_legend_handles_labels()
    corner = (0, 1 + (EPOCHS + 0.01 if epochs else 0.07) / (box.height * figure.get_figheight()))
    columns, _ = legend_columns(names, figure.get_figwidth())
    panel.legend(handles, names, loc="lower left", bbox_to_anchor=corner, ncols=columns)
