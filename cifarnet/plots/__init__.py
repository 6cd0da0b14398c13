"""Records, weights and predictions as matplotlib figures: nothing here trains or opens a file.

matplotlib takes longer to import than a quick run to train, so it is imported inside the functions, and never pyplot:
its global state belongs to the notebook or the thread that calls. A new figure of finished runs is a function and an
entry in `FIGURES`, which TensorBoard, ``Run.draw`` and the training read; the page has those with a title.
"""

from cifarnet.plots.charts import Chart, Point, Series, chart
from cifarnet.plots.experiments import members, range_test, search
from cifarnet.plots.figures import FIGURES, PANELS, draw, save
from cifarnet.plots.lines import curves, eta, overlay
from cifarnet.plots.pictures import confusion, mistakes, predictions, weights
from cifarnet.plots.style import SYNTHETIC, render, stamp

__all__ = [
    "FIGURES", "PANELS", "SYNTHETIC", "Chart", "Point", "Series", "chart", "confusion", "curves", "draw", "eta",
    "members", "mistakes", "overlay", "predictions", "range_test", "render", "save", "search", "stamp", "weights",
]  # fmt: skip
