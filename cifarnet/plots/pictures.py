"""What is seen rather than read off: weights, confusion and mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cifarnet.plots import canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.floating]
MOST_NODES = 100


def weights(W1: Floats, *, classes: Sequence[str] | None = None, axes: Axes | None = None) -> Figure:
    """Show the columns of the first layer's weights as colour images.

    The smallest weight of a column becomes 0 and the largest 255, the three colours together, so each image uses its
    whole range and hues are kept. A column of equal weights is grey; weights that are not finite count as 0.

    Parameters
    ----------
    W1 : (3072, m) floats
        Rows in CIFAR-10's order: the red, green and blue planes, each row by row.
    classes : m names, optional
        For the one-layer network: the columns are class templates, in this order and with these names. Otherwise they
        are hidden nodes: the 100 of largest norm, the largest first.
    axes : Axes, optional
        Where to draw; otherwise on a new figure.

    Raises
    ------
    ValueError
        If the weights are not those of whole 32 x 32 colour images.
    """
    d, m = W1.shape
    if d != 32 * 32 * 3:
        raise ValueError(f"weights of {d} inputs are not 32 x 32 colour images, which have 3072")
    columns = np.where(np.isfinite(W1), W1, 0).T.astype(np.float64)  # (m, d)
    if classes is not None:
        return _tiles(_images(columns), "class templates, each scaled to its own range", classes, axes)
    shown = np.argsort(-np.linalg.norm(columns, axis=1), kind="stable")[:MOST_NODES]
    count = f"{m} hidden nodes" if m <= MOST_NODES else f"{MOST_NODES} of {m} hidden nodes"
    return _tiles(_images(columns[shown]), f"{count}, largest norm first,\neach scaled to its own range", None, axes)


def confusion(matrix: NDArray[np.integer], classes: Sequence[str], *, axes: Axes | None = None) -> Figure:
    """Show a confusion matrix (K, K): a row for each true class, a column for each predicted one.

    The cells name counts of images; their colour is the share of the true class.
    """
    figure, axes = (
        (canvas.of(axes), axes) if axes is not None else canvas.with_axes((7.2, 6.6), (0.16, 0.15, 0.82, 0.77))
    )
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), count in np.ndenumerate(matrix):
        dark = share[row, column] > 0.7
        axes.text(column, row, f"{count:,}", ha="center", va="center", color="white" if dark else "black")
    axes.set_xticks(range(len(classes)), classes, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="predicted class", ylabel="true class")
    right, n = int(np.trace(matrix)), int(matrix.sum())
    axes.set_title(f"{right:,} of {n:,} images right; colour: share of the true class", loc="left", fontsize="medium")
    return figure


def mistakes(
    images: NDArray[np.uint8],
    true: NDArray[np.integer],
    predicted: NDArray[np.integer],
    probability: Floats,
    classes: Sequence[str],
    *,
    axes: Axes | None = None,
) -> Figure:
    """Show wrongly classified images in the order given, each with "true → predicted" and the network's probability.

    Parameters
    ----------
    images : (k, 32, 32, 3) uint8
    true, predicted : (k,) ints
        Class indices.
    probability : (k,) floats
        What the network gave to the predicted class, 0 to 1.
    """
    captions = [
        f"{classes[t]} → {classes[p]}\n{100 * q:.0f} %" for t, p, q in zip(true, predicted, probability, strict=True)
    ]
    title = "the surest mistakes: true → predicted, probability" if captions else "no mistakes"
    return _tiles(images, title, captions, axes)


def montage(tiles: NDArray[np.uint8], columns: int, gap: tuple[int, int]) -> NDArray[np.uint8]:
    """Lay tiles (k, h, w, 3) out row by row in one white image, with a gap (rows, columns) of pixels after each."""
    k, h, w, c = tiles.shape
    rows = -(-k // columns)
    h, w = h + gap[0], w + gap[1]
    cells = np.full((rows * columns, h, w, c), 255, np.uint8)
    cells[:k, : -gap[0], : -gap[1]] = tiles
    picture: NDArray[np.uint8] = cells.reshape(rows, columns, h, w, c).swapaxes(1, 2).reshape(rows * h, columns * w, c)
    return picture


def _images(columns: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Scale columns of weights (m, 3072) each to its own range: (m, 32, 32, 3)."""
    low, high = columns.min(axis=1, keepdims=True), columns.max(axis=1, keepdims=True)
    spread = np.where(high > low, high - low, 1)
    scaled = np.where(high > low, (columns - low) / spread, 0.5)
    planes: NDArray[np.uint8] = np.rint(255 * scaled).astype(np.uint8).reshape(-1, 3, 32, 32)
    return planes.transpose(0, 2, 3, 1)


def _tiles(tiles: NDArray[np.uint8], title: str, captions: Sequence[str] | None, axes: Axes | None) -> Figure:
    """Show tiles under a title, five a row with captions or ten without: one image, as 50 axes would take a second."""
    columns, gap, zoom = (5, (11, 12), 4) if captions is not None else (10, (2, 2), 2)
    columns = max(1, min(columns, len(tiles)))
    picture = montage(tiles, columns, gap)
    if axes is None:
        figure, axes = _whole_pixels(picture.shape[1] * zoom, picture.shape[0] * zoom)
    else:
        figure = canvas.of(axes)
    axes.set_axis_off()
    axes.set_title(title, loc="left", fontsize="medium")
    if picture.size:
        axes.imshow(picture, interpolation="none")  # not smoothed, in the SVG neither
    h, w = tiles.shape[1] + gap[0], tiles.shape[2] + gap[1]
    for index, caption in enumerate(captions or ()):
        row, column = divmod(index, columns)
        x, y = column * w + (w - gap[1]) / 2, (row + 1) * h - gap[0] + 1
        axes.text(x, y, caption, ha="center", va="top", fontsize="small", linespacing=1.1)
    return figure


def _whole_pixels(width: int, height: int) -> tuple[Figure, Axes]:
    """Make a figure whose axes have so many pixels exactly, under a title of two lines."""
    left, bottom, top = 12, 6, 50
    full = (max(width + 2 * left, 400), height + bottom + top)  # wide enough for the title
    box = (left / full[0], bottom / full[1], width / full[0], max(height, 1) / full[1])
    return canvas.with_axes((full[0] / canvas.DPI, full[1] / canvas.DPI), box)
