"""What was tried, and what it brought: trials of a search, a rising eta, more and more networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cifarnet.plots import style
from cifarnet.plots.style import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Trials = Sequence[Mapping[str, Any]]


@style.ours()
def search(stages: Mapping[str, Trials], scales: Mapping[str, bool]) -> Figure:
    """Draw the trials of one search, or of a coarse and a fine one together, and mark the best of the last.

    Parameters
    ----------
    stages : name -> trials, the best first
        Each has ``values`` (setting to number), ``accuracy`` (a fraction) and ``spread`` (its deviation over seeds).
    scales : searched setting -> whether its logarithm is drawn
        A panel for each. A value of 0, which has no logarithm, stands left of the others with a 0 beside it.
    """
    panels = style.panels(len(scales), width=2 + 5 * min(len(scales), 3), above=0.6)
    for panel, (key, log) in zip(panels, scales.items(), strict=True):
        zero = zero_at(stages, key) if log else None
        for look, (name, trials) in zip(style.TRIALS, stages.items(), strict=False):
            _trials(panel, trials, key, zero, label=style.plain(name), **look)
        _trials(panel, list(stages.values())[-1][:1], key, zero, label="best", **style.BEST)
        name = "λ" if key == "training.lambda" else style.plain(key)
        panel.set(xlabel=f"log₁₀ {name}" if log else name, ylabel="validation accuracy (%)")
    panels[:3][-1].legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, borderaxespad=0.2)
    return style.figure_of(panels[0])


def zero_at(stages: Mapping[str, Trials], key: str) -> float:
    """Return where a value of 0 is drawn on a logarithmic scale: half a power of ten below the smallest other one."""
    positive = [t["values"][key] for trials in stages.values() for t in trials if t["values"][key] > 0]
    return float(np.log10(min(positive, default=1)) - 0.5)


def _trials(panel: Axes, trials: Trials, key: str, zero: float | None, **look: Any) -> None:
    """Draw the trials of one stage; on a logarithmic scale, ``zero`` is where a value of 0 is drawn."""
    values = [float(t["values"][key]) for t in trials]
    x = values if zero is None else [np.log10(value) if value > 0 else zero for value in values]
    y, spread = ([100 * t[column] for t in trials] for column in ("accuracy", "spread"))
    panel.errorbar(x, y, yerr=spread if any(spread) else None, linestyle="", capsize=3, **{"markersize": 6} | look)
    for place, value, height in zip(x, values, y, strict=True):
        if zero is not None and value == 0:
            panel.annotate("0", (place, height), textcoords="offset points", xytext=(7, -3), fontsize="small")


@style.ours()
def range_test(
    curves: Mapping[str, Mapping[str, Floats]], chosen: Mapping[str, tuple[float, float]], *, log: bool
) -> Figure:
    """Draw columns accuracy and loss against eta for each setting by name, and mark its chosen eta_min and eta_max."""
    panels = style.panels(2, width=11, above=0.4 + 0.22 * len(curves))
    for panel, column, unit in zip(panels, ("accuracy", "loss"), (100, 1), strict=True):
        for index, (name, table) in enumerate(curves.items()):
            colour = style.COLOURS[index % len(style.COLOURS)]
            panel.plot(table["eta"], unit * table[column], color=colour, label=style.plain(name))
            for eta, line in zip(chosen.get(name, ()), (":", "--"), strict=False):
                panel.axvline(eta, color=colour, linestyle=line, linewidth=1)
        panel.set(xlabel="learning rate η", xscale="log" if log else "linear")
        panel.xaxis.set_major_formatter("{x:g}")
    first = [table["loss"][np.isfinite(table["loss"])][:1].max(initial=0) for table in curves.values()]
    panels[0].set_ylabel("validation accuracy (%)")
    panels[1].set_ylabel("mean loss of the batches")
    panels[1].set_ylim(0, 1.5 * max(first, default=0) or 1)  # a loss that explodes would hide all the others
    style.legend(panels[0], "eta_min dotted, eta_max dashed")
    return style.figure_of(panels[0])


@style.ours()
def members(alone: Sequence[float], growth: Sequence[Mapping[str, float]]) -> Figure:
    """Draw the accuracy (a fraction) of an ensemble of the first 1, 2, ... networks, and of each network alone."""
    from matplotlib.ticker import MaxNLocator

    (panel,) = style.panels(1, width=style.NARROW, above=0.3)
    counts = [row["members"] for row in growth]
    for name, line, colour in (("mean probability", "o-", style.BLUE), ("majority vote", "s:", style.VERMILION)):
        panel.plot(counts, [100 * row[name.replace(" ", "_")] for row in growth], line, color=colour, label=name)
    panel.plot(counts, [100 * accuracy for accuracy in alone], "x", color="0.4", label="that network alone")
    panel.set(xlabel="networks", ylabel="accuracy (%)")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.legend()
    return style.figure_of(panel)
