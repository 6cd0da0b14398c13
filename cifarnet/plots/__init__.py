"""Records, weights and predictions as matplotlib figures: nothing here trains, reads or writes.

matplotlib takes longer to import than a quick run to train, so it is imported inside the functions, and never pyplot:
its global state belongs to the notebook or the thread that calls.
"""

from cifarnet.plots.canvas import SYNTHETIC, render, stamp
from cifarnet.plots.growth import members, range_test
from cifarnet.plots.lines import curves, eta
from cifarnet.plots.overlay import overlay
from cifarnet.plots.pictures import confusion, mistakes, weights
from cifarnet.plots.predictions import predictions
from cifarnet.plots.search import search

__all__ = [
    "SYNTHETIC",
    "confusion",
    "curves",
    "eta",
    "members",
    "mistakes",
    "overlay",
    "predictions",
    "range_test",
    "render",
    "search",
    "stamp",
    "weights",
]
