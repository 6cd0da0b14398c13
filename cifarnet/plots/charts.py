"""Small charts within a page, as SVG in its fonts and colours, light and dark.

The report has a hundred: matplotlib would take 4 s and 2 MB for them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import numpy as np

from cifarnet.plots.style import Floats

LEFT, RIGHT, TOP, BOTTOM = 46, 328, 10, 192  # of the panel, in an SVG of 340 x 230
MARKS = {
    "ours": '<circle cx="{x}" cy="{y}" r="4" fill="var(--training)"/>',
    "reported": '<path d="M{x} {y}m0 -5l5 5l-5 5l-5 -5z" stroke="var(--ink)" stroke-width="1.5"/>',
}


class Series(NamedTuple):
    """A line ("training", "validation", "eta"): its mean over the seeds, and the range of all seeds."""

    name: str
    x: Floats
    y: Floats
    low: Floats
    high: Floats


class Point(NamedTuple):
    """A mark: "ours", with the deviation of the seeds, or "reported"."""

    name: str
    x: float
    y: float
    spread: float = 0.0


class Chart(NamedTuple):
    title: str
    svg: str


class Scale:
    """Where the values of an axis stand between two coordinates, with a margin in fractions of their range."""

    def __init__(self, values: Sequence[Sequence[float] | Floats], start: float, end: float, margin: float) -> None:
        found = np.concatenate(values)
        low, high = float(found.min()), float(found.max())
        room = margin * (high - low) if high > low else max(abs(high), 1e-9) / 10
        self.low, self.high, self.start, self.end = low - room, high + room, start, end

    def __call__(self, value: float) -> float:
        return round(self.start + (self.end - self.start) * (value - self.low) / (self.high - self.low), 1)

    def ticks(self) -> list[float]:
        """Return about five round numbers."""
        rough = (self.high - self.low) / 5
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(i * step, 12) for i in range(first, last + 1)]


def chart(
    title: str, x_label: str, series: Sequence[Series], points: Sequence[Point] = (), *, percent: bool = False
) -> Chart | None:
    """Draw lines with bands, and marks; None where nothing is finite. ``percent`` shows fractions times 100."""
    kept = [Series(s.name, *(column[np.isfinite(s.y)] for column in s[1:])) for s in series]
    series, points = [s for s in kept if len(s.y)], [p for p in points if math.isfinite(p.y)]
    if not series and not points:
        return None
    x = Scale([*(s.x for s in series), [p.x for p in points]], LEFT, RIGHT, 0 if series else 0.04)
    spreads = [[p.y - p.spread, p.y + p.spread] for p in points]
    y = Scale([*(s.low for s in series), *(s.high for s in series), *spreads], BOTTOM, TOP, 0.05)
    number = "{:.4g} %".format if percent else "{:.4g}".format
    unit = 100 if percent else 1
    drawn = [_text(LEFT - 5, y(v) + 3.5, number(unit * v), "end", f"M{LEFT} {y(v)}H{RIGHT}", "rule") for v in y.ticks()]
    drawn += [_text(x(v), 208, f"{v:g}", "middle", f"M{x(v)} {BOTTOM}v4", "soft") for v in x.ticks()]
    drawn += [_text((LEFT + RIGHT) / 2, 224, x_label, "middle", f"M{LEFT} {BOTTOM}H{RIGHT}", "soft")]
    drawn += [_line(s, x, y) for s in series] + [_mark(p, x, y) for p in points]
    said = [(s.name, s.y * unit) for s in series]
    said += [(name, np.array([p.y * unit for p in points if p.name == name])) for name in MARKS]
    words = [name + " " + " to ".join(map(number, ys[[0, -1]] if len(ys) > 1 else ys)) for name, ys in said if len(ys)]
    alt = escape(f"{title}: {'; '.join(words)}")
    return Chart(
        title, f'<svg class="chart" viewBox="0 0 340 230" role="img" aria-label="{alt}">{"".join(drawn)}</svg>'
    )


def _text(x: float, y: float, text: str, anchor: str, tick: str, colour: str) -> str:
    """Write a text and draw the line that it names."""
    return (
        f'<path d="{tick}" stroke="var(--{colour})"/><text x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def _line(s: Series, x: Scale, y: Scale) -> str:
    def path(xs: Floats, ys: Floats) -> str:
        return "L".join(f"{x(a)} {y(b)}" for a, b in zip(xs, ys, strict=True))

    name, dashes = ("validation", "5 2.5") if s.name == "validation" else ("training", "none")
    band = f"M{path(s.x, s.low)}L{path(s.x[::-1], s.high[::-1])}z"
    return (
        f'<path d="{band}" fill="var(--{name})" opacity=".2"/>'
        f'<path d="M{path(s.x, s.y)}" stroke="var(--{name})" stroke-width="1.75" stroke-dasharray="{dashes}"/>'
    )


def _mark(p: Point, x: Scale, y: Scale) -> str:
    spread = f'<path d="M{x(p.x)} {y(p.y - p.spread)}V{y(p.y + p.spread)}" stroke="var(--training)"/>'
    return spread * (p.spread > 0) + MARKS[p.name].format(x=x(p.x), y=y(p.y))
