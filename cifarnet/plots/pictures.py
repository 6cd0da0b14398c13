"""What is seen rather than read off: weights, confusions, mistakes, and what a network makes of single images.

Images are (k, 32, 32, 3) uint8; ``axes`` are where to draw, by default on a new figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cifarnet.plots import style
from cifarnet.plots.style import Floats, Ints

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Pixels = NDArray[np.uint8]
MOST_NODES = 100


@style.ours()
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
    count = f"{m} hidden nodes" if m <= MOST_NODES else f"{MOST_NODES} of {m} hidden nodes"
    return _tiles(_images(columns[shown]), f"{count}, largest norm first,\neach scaled to its own range", None, axes)


@style.ours()
def confusion(matrix: Ints, classes: Sequence[str], *, axes: Axes | None = None) -> Figure:
    """Show counts (K, K) of images: a row for each true class, a column for each predicted one."""
    axes = axes if axes is not None else style.axes_in((7.2, 6.6), (0.16, 0.15, 0.82, 0.77))
    fraction = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(fraction, cmap=style.CONFUSION, vmin=0, vmax=1, aspect="auto")
    for (row, column), count in np.ndenumerate(matrix):
        colour = "white" if fraction[row, column] > 0.7 else "black"
        axes.text(column, row, f"{count:,}", ha="center", va="center", color=colour)
    names = [style.plain(name) for name in classes]
    axes.set_xticks(range(len(names)), names, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.set_title(f"{np.trace(matrix):,} of {matrix.sum():,} images right; colour: fraction of the true class")
    return style.figure_of(axes)


@style.ours()
def mistakes(
    images: Pixels, true: Ints, predicted: Ints, probability: Floats, classes: Sequence[str], axes: Axes | None = None
) -> Figure:
    """Show wrongly classified images, each with its classes (k,) and the probability (k,) of the predicted one."""
    found = zip(true, predicted, probability, strict=True)
    captions = [f"{style.plain(classes[t])} → {style.plain(classes[p])}\n{100 * q:.0f} %" for t, p, q in found]
    title = "the surest mistakes: true → predicted, probability" if captions else "no mistakes"
    return _tiles(images, title, captions, axes)


@style.ours()
def predictions(images: Pixels, P: Floats, classes: Sequence[str], names: Sequence[str]) -> Figure:
    """Show images by name, each beside bars of its probabilities; P is (k, K)."""
    from matplotlib.figure import Figure

    rows = max(len(images), 1)
    height = 2.6 * rows + 0.3
    figure = Figure(figsize=(style.NARROW, height), dpi=style.DPI)
    panels = figure.subplots(rows, 2, squeeze=False, width_ratios=(1, 1.6))
    figure.subplots_adjust(0.03, 0.1 / height, 0.97, 1 - 0.4 / height, wspace=0.45, hspace=0.2)
    for image, p, name, (picture, bars) in zip(images, P, names, panels, strict=False):
        picture.imshow(image, interpolation="none")
        picture.set_axis_off()
        picture.set_title(style.plain(name), fontsize="small")
        drawn = bars.barh(range(len(p)), 100 * p, color=np.where(p == p.max(), *style.BARS))
        bars.bar_label(drawn, [f"{100 * value:.1f} %" for value in p], padding=3, fontsize="small")
        bars.set_yticks(range(len(p)), [style.plain(name) for name in classes])
        bars.invert_yaxis()
        bars.set(xlim=(0, 118), xticks=[])
        bars.spines[["top", "right", "bottom"]].set_visible(False)
    return figure


def _montage(tiles: Pixels, columns: int, gap: tuple[int, int]) -> Pixels:
    """Lay tiles (k, h, w, 3) out row by row in one white image, with a gap (rows, columns) of pixels after each."""
    rows = -(-len(tiles) // columns)
    missing = rows * columns - len(tiles)
    cells = np.pad(tiles, ((0, missing), (0, gap[0]), (0, gap[1]), (0, 0)), constant_values=255)
    _, h, w, c = cells.shape
    montage: Pixels = cells.reshape(rows, columns, h, w, c).swapaxes(1, 2).reshape(rows * h, columns * w, c)
    return montage


def _images(columns: NDArray[np.float64]) -> Pixels:
    """Scale columns of weights (m, 3072) each to its own range: (m, 32, 32, 3)."""
    low, high = columns.min(axis=1, keepdims=True), columns.max(axis=1, keepdims=True)
    scaled = np.where(high > low, (columns - low) / np.where(high > low, high - low, 1), 0.5)
    planes: Pixels = np.rint(255 * scaled).astype(np.uint8).reshape(-1, 3, 32, 32)
    return planes.transpose(0, 2, 3, 1)


def _tiles(tiles: Pixels, title: str, captions: Sequence[str] | None, axes: Axes | None) -> Figure:
    """Show tiles under a title, five a row with captions or ten without: one image, as 50 axes would take a second."""
    columns, gap, zoom = (5, (11, 12), 4) if captions is not None else (10, (2, 2), 2)
    columns = max(1, min(columns, len(tiles)))
    picture = _montage(tiles, columns, gap)
    axes = axes if axes is not None else _exactly(picture.shape[1] * zoom, picture.shape[0] * zoom)
    axes.set_axis_off()
    axes.set_title(title)
    if picture.size:
        axes.imshow(picture, interpolation="none")  # not smoothed, in the SVG neither
    for index, caption in enumerate(captions or ()):
        row, column = divmod(index, columns)
        x, y = column * (32 + gap[1]) + 16, row * (32 + gap[0]) + 33
        axes.text(x, y, caption, ha="center", va="top", fontsize="small", linespacing=1.1)
    return style.figure_of(axes)


def _exactly(width: int, height: int) -> Axes:
    """Make a figure whose axes are width x height pixels, so that tiles stay sharp, under a title of two lines."""
    left, bottom, top = 12, 6, 50
    full = (max(width + 2 * left, 520), height + bottom + top)  # wide enough for title and stamp
    box = (left / full[0], bottom / full[1], width / full[0], max(height, 1) / full[1])
    return style.axes_in((full[0] / style.DPI, full[1] / style.DPI), box)
