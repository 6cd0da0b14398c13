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
    groups = {**stages, "best": [*stages.values()][-1][:1]}
    looks = [*style.TRIALS[: len(stages)], style.BEST]
    for panel, (key, log) in zip(panels, scales.items(), strict=True):
        for look, (name, x) in zip(looks, placed(groups, key, log).items(), strict=True):
            y, spread = ([100 * trial[column] for trial in groups[name]] for column in ("accuracy", "spread"))
            bars = spread if any(spread) else None
            panel.errorbar(x, y, bars, label=style.plain(name), linestyle="", capsize=2, **{"markersize": 4} | look)
            for trial, place in zip(groups[name], zip(x, y, strict=True), strict=True):
                if log and trial["values"][key] == 0:
                    panel.annotate("0", place, textcoords="offset points", xytext=(5, -3), fontsize="small")
        name = "λ" if key == "training.lambda" else style.plain(key)
        panel.set(xlabel=f"log₁₀ {name}" if log else name, ylabel="validation accuracy (%)")
    style.legend(panels[0])
    return style.figure_of(panels[0])


def placed(stages: Mapping[str, Trials], key: str, log: bool) -> dict[str, Floats]:
    """Return where the trials (n,) of each stage stand on the axis of a setting.

    On a logarithmic one a value of 0 is half a power of ten below the smallest other one.
    """
    values = {name: [float(trial["values"][key]) for trial in trials] for name, trials in stages.items()}
    if log:
        zero = np.log10(min((v for own in values.values() for v in own if v > 0), default=1)) - 0.5
        values = {name: [np.log10(v) if v > 0 else zero for v in own] for name, own in values.items()}
    return {name: np.array(own) for name, own in values.items()}


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
    for x, (key, log) in enumerate(scales.items()):
        places = np.concatenate([*placed(stages, key, log).values()])
        columns.append(_axis(panel, x, places, log=log, zero=log and any(t["values"][key] == 0 for t in trials)))
    columns.append(_axis(panel, len(names), np.array([100 * trial["accuracy"] for trial in trials]), left=False))
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


def _axis(panel: Axes, x: int, places: Floats, *, log: bool = False, zero: bool = False, left: bool = True) -> Floats:
    """Draw an axis upright at x; return the heights (n,) of places (n,) on it, from 0 to 1.

    With ``log`` the places are logarithms; with ``zero`` the lowest of them stands for a value of 0.
    """
    from matplotlib.ticker import MaxNLocator

    low, high = places.min(), places.max()
    same = low == high
    found = [low] if same else MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(low, high)
    digits = 4 if same or not log else 2
    ticks = {t: f"{10.0**t if log else t:.{digits}g}" for t in found} | ({low: "0"} if zero else {})
    if same:
        low, high = low - 1, high + 1
    panel.plot([x, x], [-0.03, 1.03], color="0.4", linewidth=0.6, clip_on=False)
    look: dict[str, Any] = {"ha": "right", "xytext": (-4, 0)} if left else {"ha": "left", "xytext": (5, 0)}
    look |= {"bbox": {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.5}, "fontsize": "small"}
    for t, label in ticks.items():
        if low <= t <= high:
            y = (t - low) / (high - low)
            panel.annotate(label, (x, y), textcoords="offset points", va="center", zorder=5, **look)
    return np.asarray((places - low) / (high - low))


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
