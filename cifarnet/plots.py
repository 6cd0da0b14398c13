"""Records, weights and predictions as matplotlib figures: nothing here trains, reads or writes.

matplotlib takes longer to import than a quick run to train, so it is imported inside the functions, and never pyplot:
its global state belongs to the notebook or the thread that calls.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.floating]

DPI = 110
LINES = {  # colours of Okabe and Ito (2008); lightness, dashes and markers tell the lines apart without colour, too
    "training": {"color": "#0072B2", "linestyle": "-", "marker": "o"},
    "validation": {"color": "#E69F00", "linestyle": "--", "marker": "s"},
}
PANELS = {"cost": "cost (loss + λ Σ W²)", "loss": "mean loss per image", "accuracy": "accuracy (%)"}
FEW = 60  # points up to which each one is marked
MOST_NODES = 100
METADATA: dict[str, dict[str, Any]] = {  # no date and no version, so that the same figure is the same bytes
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
}
_rendering = threading.Lock()


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
    figure, panels = (_figure_of(axes[0]), axes) if axes is not None else _panels(3, width=13.0)
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
    figure, (panel,) = (_figure_of(axes), [axes]) if axes is not None else _panels(1, width=6.5)
    panel.plot(steps, etas, color=LINES["training"]["color"])
    panel.set_ylim(bottom=0)
    _scales(panel, "learning rate η", steps_per_epoch)
    _heading(panel, title)
    return figure


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
    figure, axes = (_figure_of(axes), axes) if axes is not None else _canvas((7.2, 6.6), (0.16, 0.15, 0.82, 0.77))
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


def render(figure: Figure, kind: str) -> bytes:
    """Draw a figure as "png" or "svg", without a display: the same figure gives the same bytes.

    The text of an SVG stays text: a third of the size of outlines, and it can be searched, copied and read aloud.
    """
    import matplotlib

    buffer = io.BytesIO()
    settings: dict[Any, Any] = {"svg.hashsalt": "cifarnet", "svg.fonttype": "none"}
    with _rendering, matplotlib.rc_context(settings):  # rc_context changes what all threads see
        figure.savefig(buffer, format=kind, dpi=DPI, metadata=METADATA[kind])
    return buffer.getvalue()


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
    return np.rint(255 * scaled).astype(np.uint8).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def _tiles(tiles: NDArray[np.uint8], title: str, captions: Sequence[str] | None, axes: Axes | None) -> Figure:
    """Show tiles under a title, five a row with captions or ten without: one image, as 50 axes would take a second."""
    columns, gap, zoom = (5, (11, 12), 4) if captions is not None else (10, (2, 2), 2)
    columns = max(1, min(columns, len(tiles)))
    picture = montage(tiles, columns, gap)
    if axes is None:
        figure, axes = _whole_pixels(picture.shape[1] * zoom, picture.shape[0] * zoom)
    else:
        figure = _figure_of(axes)
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
    return _canvas((full[0] / DPI, full[1] / DPI), box)


def _canvas(size: tuple[float, float], box: tuple[float, float, float, float]) -> tuple[Figure, Axes]:
    """Make a figure of a size in inches with axes in the box (left, bottom, width, height) in shares of it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=DPI)
    return figure, figure.add_axes(box)


def _panels(count: int, *, width: float) -> tuple[Figure, list[Axes]]:
    """Make a figure with panels side by side; the margins are fixed, as finding them takes a second drawing."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, 3.9), dpi=DPI)
    panels = figure.subplots(1, count, squeeze=False)[0]
    figure.subplots_adjust(left=0.8 / width, right=1 - 0.3 / width, bottom=0.14, top=0.75, wspace=0.28)
    return figure, list(panels)


def _figure_of(axes: Axes) -> Figure:
    return cast("Figure", axes.figure)


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
        above = panel.transAxes + ScaledTranslation(0, 38 / 72, _figure_of(panel).dpi_scale_trans)
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
