"""What was tried, and what it brought: trials of a search, a rising eta, more and more networks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cifarnet.plots import style
from cifarnet.plots.style import Floats
from cifarnet.runs.catalog import short_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Trials = Sequence[Mapping[str, Any]]


@style.with_our_style()
def search(stages: Mapping[str, Trials], scales: Mapping[str, bool]) -> Figure:
    """Draw the trials of one search, or of a coarse and a fine one together, and mark the best of the last.

    Each stage has trials, the best first, with ``values`` (setting to number), ``accuracy`` (a fraction) and ``spread``
    (its deviation over seeds). ``scales`` says of each searched setting whether its logarithm is drawn: in a panel of
    its own, and from three on in one for all. A value of 0 stands left of the others, or below, with a 0 beside it.
    """
    if len(scales) > 2:
        return parallel(stages, scales)
    panels = style.panels(len(scales), above=style.LINE + 0.1)
    for panel, (key, log) in zip(panels, scales.items(), strict=True):
        zero = zero_at(stages, key) if log else None
        for look, (name, trials) in zip(style.TRIALS, stages.items(), strict=False):
            _trials(panel, trials, key, zero, label=style.plain(name), **look)
        _trials(panel, list(stages.values())[-1][:1], key, zero, label="best", **style.BEST)
        name = "λ" if key == "training.lambda" else style.plain(key)
        panel.set(xlabel=f"log₁₀ {name}" if log else name, ylabel="validation accuracy (%)")
    style.legend(panels[0])
    return style.figure_of(panels[0])


def parallel(stages: Mapping[str, Trials], scales: Mapping[str, bool]) -> Figure:
    """Draw each trial as a line through its settings to its accuracy: the better, the darker; the best is marked."""
    import matplotlib

    names = [style.plain(name).replace("lambda", "λ") for name in short_names(scales).values()]
    lines_of_names = min(3, math.ceil(max(map(len, names)) * 0.072 * len(names) / (0.83 * style.WIDE)))
    below = (1.4 + max(2, lines_of_names)) * style.LINE
    height = style.HEIGHT + 2 * style.LINE + below
    panel = style.axes_in((style.WIDE, height), (0.09, below / height, 0.83, 1 - (below + 2 * style.LINE) / height))
    panel.set(xlim=(0, len(scales)), ylim=(-0.03, 1.03))
    panel.axis("off")
    trials, columns = [trial for group in stages.values() for trial in group], []
    for x, key in enumerate(scales):
        values = np.array([float(trial["values"][key]) for trial in trials])
        columns.append(_axis(panel, x, values, zero_at(stages, key) if scales[key] else None))
    columns.append(_axis(panel, len(names), np.array([100 * trial["accuracy"] for trial in trials]), None, left=False))
    for x, name in enumerate([*names, "validation\naccuracy (%)"]):
        place = (0, -10 - 12 * (x % lines_of_names if x < len(names) else 0))
        panel.annotate(name, (x, 0), xytext=place, textcoords="offset points", ha="center", va="top")
    *before, own = np.split(np.column_stack(columns), np.cumsum([len(group) for group in stages.values()])[:-1])
    for name, lines in zip(stages, before, strict=False):
        panel.plot(lines.T, color="0.75", linestyle=":", linewidth=0.8)
        panel.plot([], color="0.75", linestyle=":", linewidth=0.8, label=style.plain(name))
    shades = matplotlib.colormaps[style.CONFUSION](0.3 + 0.7 * own[::-1, -1])
    panel.set_prop_cycle(color=shades)
    panel.plot(own[::-1].T, linewidth=1)
    panel.plot([], color=shades[-1], linewidth=1, label=f"{style.plain([*stages][-1])} (darker: better)")
    panel.plot(own[0], label="best", linewidth=1.8, clip_on=False, **style.BEST)
    style.legend(panel)
    return style.figure_of(panel)


def _axis(panel: Axes, x: int, values: Floats, zero: float | None, *, left: bool = True) -> Floats:
    """Draw an axis upright at x; return the heights (n,) of values (n,) on it, from 0 to 1.

    It is logarithmic where there is a ``zero``: where, among the logarithms, a value of 0 is.
    """
    from matplotlib.ticker import MaxNLocator

    log = zero is not None
    heights = np.array([np.log10(value) if value > 0 else zero for value in values]) if log else values
    low, high = heights.min(), heights.max()
    places = MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(low, high)
    ticks = {t: f"{10.0**t:.2g}" if log else f"{t:.4g}" for t in places}
    if low == high:
        low, high, ticks = low - 1, high + 1, {low: f"{values[0]:.4g}"}
    if log and not values.all():
        ticks[low] = "0"
    panel.plot([x, x], [-0.03, 1.03], color="0.4", linewidth=0.6, clip_on=False)
    look: dict[str, Any] = {"ha": "right", "xytext": (-4, 0)} if left else {"ha": "left", "xytext": (5, 0)}
    look |= {"bbox": {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5}, "fontsize": "small"}
    for t, label in ticks.items():
        if low <= t <= high:
            y = (t - low) / (high - low)
            panel.annotate(label, (x, y), textcoords="offset points", va="center", zorder=5, **look)
    return np.asarray((heights - low) / (high - low))


def zero_at(stages: Mapping[str, Trials], key: str) -> float:
    """Return where a value of 0 is drawn on a logarithmic scale: half a power of ten below the smallest other one."""
    positive = [t["values"][key] for trials in stages.values() for t in trials if t["values"][key] > 0]
    return float(np.log10(min(positive, default=1)) - 0.5)


def _trials(panel: Axes, trials: Trials, key: str, zero: float | None, **look: Any) -> None:
    """Draw the trials of one stage; on a logarithmic scale, ``zero`` is where a value of 0 is drawn."""
    values = [float(t["values"][key]) for t in trials]
    x = values if zero is None else [np.log10(value) if value > 0 else zero for value in values]
    y, spread = ([100 * t[column] for t in trials] for column in ("accuracy", "spread"))
    panel.errorbar(x, y, yerr=spread if any(spread) else None, linestyle="", capsize=2, **{"markersize": 4} | look)
    for place, value, height in zip(x, values, y, strict=True):
        if zero is not None and value == 0:
            panel.annotate("0", (place, height), textcoords="offset points", xytext=(5, -3), fontsize="small")


@style.with_our_style()
def range_test(
    curves: Mapping[str, Mapping[str, Floats]], chosen: Mapping[str, tuple[float, float]], *, log: bool
) -> Figure:
    """Draw columns accuracy and loss against eta for each setting by name, and mark its chosen eta_min and eta_max."""
    names = [*map(style.plain, curves), *style.CHOSEN]
    panels = style.panels(2, above=style.LINE * style.legend_columns(names, style.WIDE)[1] + 0.1)
    for panel, column, unit in zip(panels, ("accuracy", "loss"), (100, 1), strict=True):
        for index, (name, table) in enumerate(curves.items()):
            colour = style.COLOURS[index % len(style.COLOURS)]
            panel.plot(table["eta"], unit * table[column], color=colour, label=style.plain(name))
            for eta, line in zip(chosen.get(name, ()), style.CHOSEN.values(), strict=False):
                panel.axvline(eta, color=colour, linestyle=line, linewidth=0.8)
        for name, line in style.CHOSEN.items():
            panel.plot([], [], color="0.4", linestyle=line, linewidth=0.8, label=name)
        panel.set(xlabel="learning rate η", xscale="log" if log else "linear")
        panel.xaxis.set_major_formatter("{x:g}")
    first = [table["loss"][np.isfinite(table["loss"])][:1].max(initial=0) for table in curves.values()]
    panels[0].set_ylabel("validation accuracy (%)")
    panels[1].set_ylabel("mean batch loss")
    panels[1].set_ylim(0, 1.5 * max(first, default=0) or 1)  # a loss that explodes would hide all the others
    style.legend(panels[0])
    return style.figure_of(panels[0])


@style.with_our_style()
def members(alone: Sequence[float], growth: Sequence[Mapping[str, float]]) -> Figure:
    """Draw the accuracy (a fraction) of an ensemble of the first 1, 2, ... networks, and of each network alone."""
    from matplotlib.ticker import MaxNLocator

    (panel,) = style.panels(1, above=3 * style.LINE + 0.1)
    counts = [row["members"] for row in growth]
    for name, line, colour in (("mean probability", "o-", style.BLUE), ("majority vote", "s:", style.VERMILION)):
        panel.plot(counts, [100 * row[name.replace(" ", "_")] for row in growth], line, color=colour, label=name)
    panel.plot(counts, [100 * accuracy for accuracy in alone], "x", color="0.4", label="that network alone")
    panel.set(xlabel="networks", ylabel="accuracy (%)")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    style.legend(panel)
    return style.figure_of(panel)
