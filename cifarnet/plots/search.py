"""What a search found: validation accuracy against the settings that were tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cifarnet.plots import canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKS: list[dict[str, Any]] = [
    {"color": "#0072B2", "marker": "o"},  # of Okabe and Ito (2008)
    {"color": "#E69F00", "marker": "s"},
]
BEST = {"color": "#D55E00", "marker": "*"}


def search(stages: Mapping[str, Sequence[Mapping[str, Any]]], scales: Mapping[str, bool], *, title: str = "") -> Figure:
    """Draw the trials of one search, or of a coarse and a fine one together, the best one marked.

    Parameters
    ----------
    stages : mapping of a name to trials, the best one first
        Each trial has ``values`` (setting to number), ``accuracy`` (a share of 1) and ``spread`` (its standard
        deviation over seeds, 0 for a single one). The best of the last stage is marked.
    scales : mapping of the searched settings to whether their logarithm is drawn
        A panel for each. A value of 0 has no logarithm: it stands left of the others with a 0 beside it.
    """
    figure, panels = canvas.with_panels(len(scales), width=2 + 5 * min(len(scales), 3), above=0.6)
    for panel, (key, log) in zip(panels, scales.items(), strict=True):
        left = edge(stages, key) if log else 0.0
        for style, (name, trials) in zip(
            MARKS[-len(stages) :] if len(stages) > 1 else MARKS, stages.items(), strict=False
        ):
            _trials(panel, trials, key, left if log else None, {"label": name} | style)
        best = list(stages.values())[-1][:1]
        _trials(panel, best, key, left if log else None, {"label": "best", "markersize": 14, "zorder": 4} | BEST)
        name = "λ" if key == "training.lambda" else key
        panel.set(xlabel=f"log₁₀ {name}" if log else name, ylabel="validation accuracy (%)")
        panel.grid(color="0.9")
        panel.set_axisbelow(True)
    panels[:3][-1].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False, borderaxespad=0.2)
    panels[0].set_title(title, loc="left", fontsize="medium", fontweight="bold")
    return figure


def edge(stages: Mapping[str, Sequence[Mapping[str, Any]]], key: str) -> float:
    """Where a value of 0 is drawn on a logarithmic scale: half a power of ten below the smallest other one."""
    positive = [t["values"][key] for trials in stages.values() for t in trials if t["values"][key] > 0]
    return float(np.log10(min(positive, default=1)) - 0.5)


def _trials(
    panel: Axes, trials: Sequence[Mapping[str, Any]], key: str, left: float | None, style: dict[str, Any]
) -> None:
    """Draw the trials of one stage; with left, on a logarithmic scale."""
    values = [float(t["values"][key]) for t in trials]
    x = values if left is None else [np.log10(value) if value > 0 else left for value in values]
    y = [100 * t["accuracy"] for t in trials]
    spread = [100 * t["spread"] for t in trials]
    panel.errorbar(x, y, yerr=spread if any(spread) else None, linestyle="", capsize=3, **style)
    for place, value, height in zip(x, values, y, strict=True):
        if left is not None and value == 0:
            panel.annotate("0", (place, height), textcoords="offset points", xytext=(7, -3), fontsize="small")
