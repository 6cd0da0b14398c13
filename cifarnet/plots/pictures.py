"""What is seen rather than read off: weights, confusions, mistakes, and what a network makes of single images.

Images are (k, 32, 32, 3) uint8; ``axes`` are where to draw, by default on a new figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cifarnet.plots import style
from cifarnet.plots.style import Floats, Ints

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Pixels = NDArray[np.uint8]
MOST_NODES = 100
LIKELIEST = 3  # classes below each picture


@style.with_our_style()
def weights(W1: Floats, *, classes: Sequence[str] | None = None, axes: Axes | None = None) -> Figure:
    """Show the columns of the first layer's weights W1 (3072, m) as colour images.

    With ``classes``, their names, they are class templates, in this order; otherwise hidden nodes, the 100 of largest
    norm, the largest first. The smallest weight of a column becomes 0 and the largest 255, the three colours together,
    so each image uses its full range and hues are kept. Equal weights are grey; what is not finite counts as 0.

    Raises
    ------
    ValueError
        If the weights are not those of 32 x 32 colour images.
    """
    d, m = W1.shape
    if d != 32 * 32 * 3:
        raise ValueError(f"weights of {d} inputs are not 32 x 32 colour images, which have 3072")
    columns = np.where(np.isfinite(W1), W1, 0).T.astype(np.float64)  # (m, d)
    if classes is not None:
        names = [style.plain(name) for name in classes]
        return _tiles(_images(columns), "class templates, each scaled to its own range", names, axes)
    shown = np.argsort(-np.linalg.norm(columns, axis=1), kind="stable")[:MOST_NODES]
    count = f"{m:,} hidden nodes" if m <= MOST_NODES else f"{MOST_NODES} of {m:,} hidden nodes"
    return _tiles(_images(columns[shown]), f"{count}, largest norm first, each scaled to its own range", (), axes)


@style.with_our_style()
def confusion(matrix: Ints, classes: Sequence[str], *, axes: Axes | None = None) -> Figure:
    """Show counts (K, K) of images: a row for each true class, a column for each predicted one."""
    axes = axes if axes is not None else style.axes_in((style.WIDE, 5.5), (0.175, 0.16, 0.815, 0.79))
    fraction = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(fraction, cmap=style.CONFUSION, vmin=0, vmax=1, aspect="auto")
    for (row, column), count in np.ndenumerate(matrix):
        colour = "white" if fraction[row, column] > 0.7 else "black"
        axes.text(column, row, f"{count:,}", ha="center", va="center", color=colour)
    names = [style.plain(name) for name in classes]
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.set_title(f"{np.trace(matrix):,} of {matrix.sum():,} images right; colour: fraction of the true class")
    return style.figure_of(axes)


@style.with_our_style()
def mistakes(
    images: Pixels, true: Ints, predicted: Ints, probability: Floats, classes: Sequence[str], axes: Axes | None = None
) -> Figure:
    """Show wrongly classified images, each with its classes (k,) and the probability (k,) of the predicted one."""
    names, found = [style.plain(name) for name in classes], zip(true, predicted, probability, strict=True)
    captions = [f"{names[t]}\n→ {names[p]} {100 * q:.0f} %" for t, p, q in found]
    title = "the surest mistakes: true class → predicted class and its probability" if captions else "no mistakes"
    return _tiles(images, title, captions, axes)


@style.with_our_style()
def gradient_error(found: Floats, right: Floats, *, axes: Axes | None = None) -> Figure:
    """Show what a gradient of W1 (d, m) has too much, in blue, and too little, in red; a row is a node's."""
    axes = axes if axes is not None else style.axes_in((7.2, 4.2), (0.1, 0.14, 0.88, 0.74))
    error = (found - right).T
    largest = float(np.abs(error).max(initial=0)) or 1.0
    image = axes.imshow(error, cmap=style.ERROR, vmin=-largest, vmax=largest, aspect="auto", interpolation="none")
    style.figure_of(axes).colorbar(image, ax=axes)
    axes.set(xlabel="input", ylabel="hidden node", title="your gradient of W1 minus the right one")
    return style.figure_of(axes)


@style.with_our_style()
def predictions(images: Pixels, P: Floats, classes: Sequence[str], names: Sequence[str]) -> Figure:
    """Show images by name in a grid, each over the bars of its three likeliest classes; P is (k, K)."""
    captions = [_short(style.plain(name)) + "\n" * LIKELIEST for name in names]
    figure = _tiles(images, "likeliest classes", captions, None)
    axes, columns = figure.axes[0], max(1, min(CAPTIONED.columns, len(images)))
    for index, p in enumerate(P):
        x, y = _place(index, columns, captions)
        for line, k in enumerate(np.argsort(-p, kind="stable")[:LIKELIEST], 1):
            middle = y + CAPTIONED.line * (line + 0.45)
            axes.barh(middle, 32 * p[k], left=x - 16, height=0.8 * CAPTIONED.line, color=style.BARS[line > 1])
            axes.text(x - 15, middle, f"{style.plain(classes[k])} {100 * p[k]:.0f} %", va="center", fontsize="small")
    return figure


def _short(name: str) -> str:
    """Return a name that fits under an image, with its beginning and its end."""
    return name if len(name) <= 18 else f"{name[:9]}…{name[-8:]}"


class Grid(NamedTuple):
    """How images stand: in columns, each pixel as zoom pixels, with a gap to the right; and the height of a line."""

    columns: int
    zoom: int
    right: int
    line: float = 0


PLAIN, CAPTIONED = Grid(10, 4, 2), Grid(5, 6, 12, 4.6)


def _place(index: int, columns: int, captions: Sequence[str]) -> tuple[float, float]:
    """Return the middle of the upper edge of a caption, in pixels of the montage."""
    row, column = divmod(index, columns)
    return column * (32 + CAPTIONED.right) + 16, row * (32 + _below(captions)) + 32.5


def _below(captions: Sequence[str]) -> int:
    """Return the pixels below each image that the captions take."""
    return round(CAPTIONED.line * (captions[0].count("\n") + 1) + 3) if captions else PLAIN.right


def _montage(tiles: Pixels, columns: int, gap: tuple[int, int]) -> Pixels:
    """Lay tiles (k, h, w, 3) out row by row in one RGBA image, each with a clear gap (rows, columns) after it."""
    rows = -(-len(tiles) // columns)
    missing = rows * columns - len(tiles)
    opaque = np.pad(tiles, ((0, 0), (0, 0), (0, 0), (0, 1)), constant_values=255)
    cells = np.pad(opaque, ((0, missing), (0, gap[0]), (0, gap[1]), (0, 0)))
    _, h, w, c = cells.shape
    montage: Pixels = cells.reshape(rows, columns, h, w, c).swapaxes(1, 2).reshape(rows * h, columns * w, c)
    return montage


def _images(columns: NDArray[np.float64]) -> Pixels:
    """Scale columns of weights (m, 3072) each to its own range: (m, 32, 32, 3)."""
    low, high = columns.min(axis=1, keepdims=True), columns.max(axis=1, keepdims=True)
    scaled = np.where(high > low, (columns - low) / np.where(high > low, high - low, 1), 0.5)
    planes: Pixels = np.rint(255 * scaled).astype(np.uint8).reshape(-1, 3, 32, 32)
    return planes.transpose(0, 2, 3, 1)


def _tiles(tiles: Pixels, title: str, captions: Sequence[str], axes: Axes | None) -> Figure:
    """Show tiles under a title, five a row with captions or ten without: one image, as 50 axes would take a second."""
    grid = CAPTIONED if captions else PLAIN
    columns = max(1, min(grid.columns, len(tiles)))
    picture = _montage(tiles, columns, (_below(captions), grid.right))
    axes = axes if axes is not None else _exactly(picture.shape[1] * grid.zoom, picture.shape[0] * grid.zoom, title)
    axes.set_axis_off()
    axes.set_gid("clear")  # a dark page shows the SVG on its own ground
    axes.set_title(title)
    if picture.size:
        axes.imshow(picture, interpolation="none")  # not smoothed, in the SVG neither
    for index, caption in enumerate(captions):
        x, y = _place(index, columns, captions)
        for line, text in enumerate(caption.splitlines(), 1):
            axes.text(x, y + CAPTIONED.line * line - 1.4, text, ha="center", va="baseline", fontsize="small")
    return style.figure_of(axes)


def _exactly(width: int, height: int, title: str) -> Axes:
    """Make a figure whose axes are width x height pixels, so that tiles stay sharp, under a title."""
    left, bottom, top = 12, 6, 50
    full = (max(width + 2 * left, round(max(0.075 * len(title), style.NARROW) * style.DPI)), height + bottom + top)
    box = (left / full[0], bottom / full[1], width / full[0], max(height, 1) / full[1])
    return style.axes_in((full[0] / style.DPI, full[1] / style.DPI), box)
