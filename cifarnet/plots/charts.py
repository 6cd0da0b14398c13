"""Small charts within a page, as SVG in its fonts and colours, light and dark, and as the data that page.js draws.

The report has a hundred: matplotlib would take 4 s and 2 MB for them. The SVG is what stands without a script and in
print; with one, there are values under the mouse.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

import numpy as np

from cifarnet.plots.style import Floats

LEFT, RIGHT, TOP, BOTTOM = 46, 322, 10, 192  # of the panel, in an SVG of 340 x 230
MARKS = {
    "reported": '<path d="M{x} {y}m0 -5l5 5l-5 5l-5 -5z" stroke="var(--{colour})" stroke-width="1.5"/>',
    "best": '<circle cx="{x}" cy="{y}" r="6.5" stroke="var(--{colour})" stroke-width="2"/>',
}
SMALL = '<path d="M{x} {y}m0 -3l3 3l-3 3l-3 -3z" stroke="var(--{colour})"/>'  # of a curve that a report shows
DOT = '<circle cx="{x}" cy="{y}" r="4" fill="var(--{colour})"/>'


class Series(NamedTuple):
    """A line, and the range around it, such as that of all seeds: "training", "validation", or in another colour."""

    name: str
    x: Floats
    y: Floats
    low: Floats | None = None
    high: Floats | None = None
    colour: str = ""

    @property
    def look(self) -> str:
        return self.colour or ("validation" if self.name == "validation" else "training")

    @property
    def band(self) -> tuple[Floats, Floats]:
        return (self.y if self.low is None else self.low), (self.y if self.high is None else self.high)


class Point(NamedTuple):
    """A mark: "ours", with the deviation of the seeds, "reported", or in another colour; ``note`` says which it is."""

    name: str
    x: float
    y: float
    spread: float = 0.0
    colour: str = ""
    note: str = ""

    @property
    def look(self) -> str:
        return self.colour or ("ink" if self.name == "reported" else "training")


class Chart(NamedTuple):
    title: str
    svg: str
    data: dict[str, Any]


class Scale:
    """Where the values of an axis stand between two coordinates, with a margin in fractions of their range."""

    def __init__(self, values: Sequence[Sequence[float] | Floats], start: float, end: float, margin: float) -> None:
        found = np.concatenate(values)
        low, high = float(found.min()), float(found.max())
        room = margin * (high - low) if high > low else max(abs(high), 1e-9) / 10
        self.low, self.high, self.start, self.end = low - room, high + room, start, end

    def __call__(self, value: float) -> float:
        return self.places(np.array([value]))[0]

    def places(self, values: Floats) -> list[float]:
        """Return the coordinates of values (n,), to a tenth."""
        places = self.start + (self.end - self.start) * (values - self.low) / (self.high - self.low)
        return [*map(float, np.round(places, 1))]

    def ticks(self) -> list[float]:
        """Return about five round numbers."""
        rough = (self.high - self.low) / 5
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(i * step, 12) for i in range(first, last + 1)]


def chart(
    title: str,
    x_label: str,
    series: Sequence[Series],
    points: Sequence[Point] = (),
    *,
    percent: bool = False,
    marks: Sequence[float] = (),
) -> Chart | None:
    """Draw lines with bands, and marks; None where nothing is finite.

    ``percent`` shows fractions times 100; ``marks`` are the x of vertical lines, such as the ends of cycles.
    """
    places, series = [s.x for s in series], [finite(s) for s in series if np.isfinite(s.y).any()]
    points = [p for p in points if math.isfinite(p.y)]
    if not series and not points:
        return None
    x = Scale([*places, [p.x for p in points]], LEFT, RIGHT, 0 if series else 0.04)
    bands = [column for s in series for column in s.band]
    y = Scale([*bands, *([p.y - p.spread, p.y + p.spread] for p in points)], BOTTOM, TOP, 0.05)
    unit = 100 if percent else 1
    drawn = [_text(LEFT - 5, y(v) + 3.5, number(v, percent), "end", f"M{LEFT} {y(v)}H{RIGHT}") for v in y.ticks()]
    drawn += [f'<path d="M{x(v)} {TOP}V{BOTTOM}" stroke="var(--soft)" stroke-dasharray="2 3"/>' for v in marks]
    drawn += [_text(x(v), 208, f"{v:,.6g}", "middle", f"M{x(v)} {BOTTOM}v4", "soft") for v in x.ticks()]
    drawn += [_text((LEFT + RIGHT) / 2, 224, x_label, "middle", f"M{LEFT} {BOTTOM}H{RIGHT}", "soft")]
    drawn += [_line(s, x, y) for s in series] + [_mark(p, x, y) for p in points]
    alt = escape(f"{title}: {'; '.join(spoken(series, points, percent))}")
    svg = f'<svg class="chart" viewBox="0 0 340 230" role="img" aria-label="{alt}">{"".join(drawn)}</svg>'
    lines = [{"name": s.name, "colour": s.look, **columns(unit, s.x, s.y, *s.band)} for s in series]
    dots = [
        {"name": name, "colour": group[0].look, "dots": True, "notes": [p.note for p in group]}
        | columns(unit, *np.array([(p.x, p.y, p.y - p.spread, p.y + p.spread) for p in group]).T)
        for name in dict.fromkeys(p.name for p in points)
        if (group := sorted((p for p in points if p.name == name), key=lambda p: p.x))
    ]
    shape = {"title": title, "x": x_label, "unit": " %" if percent else "", "marks": list(marks)}
    limits = {"domain": [x.low, x.high], "range": [rounded(unit * y.low), rounded(unit * y.high)]}
    return Chart(title, svg, shape | limits | {"series": lines + dots})


def finite(s: Series) -> Series:
    """Return a series without what is not finite."""
    kept = np.isfinite(s.y)
    low, high = (None if column is None else column[kept] for column in (s.low, s.high))
    return s._replace(x=s.x[kept], y=s.y[kept], low=low, high=high)


def number(value: float, percent: bool = False) -> str:
    """Return a value as it stands at an axis."""
    return f"{100 * value:.4g} %" if percent else f"{value:,.4g}"


def spoken(series: Sequence[Series], points: Sequence[Point], percent: bool) -> list[str]:
    """Describe lines and marks in words: from where to where they go."""
    said = [(s.name, s.y) for s in series]
    names = dict.fromkeys(p.name for p in sorted(points, key=lambda p: p.name))
    said += [(name, np.array([p.y for p in points if p.name == name])) for name in names]
    ends = [(name, ys[[0, -1]] if len(ys) > 1 else ys) for name, ys in said]
    return [f"{name} " + " to ".join(number(v, percent) for v in ys) for name, ys in ends]


def rounded(value: float) -> float | None:
    """Return a value as short as a page has it: of steps all digits, of measurements five; None if it is not finite."""
    if not math.isfinite(value):
        return None
    return int(value) if value == int(value) else float(f"{value:.5g}")


def columns(unit: int, x: Floats, y: Floats, low: Floats, high: Floats) -> dict[str, list[float | None]]:
    """Return the columns of a series for page.js, without a range where there is none."""
    found = {"x": x, "y": unit * y} | ({"low": unit * low, "high": unit * high} if (low < high).any() else {})
    return {name: [rounded(value) for value in column.tolist()] for name, column in found.items()}


def sparkline(y: Floats) -> str:
    """Draw a curve as high as a line of text; nothing where there is none."""
    y = y[np.isfinite(y)]
    if len(y) < 2:
        return ""
    across, up = Scale([[0, len(y) - 1]], 1, 79, 0), Scale([y], 19, 2, 0)
    path = _path(np.arange(float(len(y))), y, across, up)
    alt = f"validation accuracy from {number(y[0], True)} to {number(y[-1], True)}"
    return f'<svg class="spark" viewBox="0 0 80 20" role="img" aria-label="{alt}"><path d="{path}"/></svg>'


def _text(x: float, y: float, text: str, anchor: str, tick: str, colour: str = "rule") -> str:
    """Write a text and draw the line that it names."""
    line = f'<path d="{tick}" stroke="var(--{colour})"/>'
    return f'{line}<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(s: Series, x: Scale, y: Scale) -> str:
    (low, high), shade = s.band, ""
    dashes = "5 2.5" if s.name == "validation" else "none"
    line = _path(s.x, s.y, x, y)
    if (low < high).any():
        band = _path(np.concatenate([s.x, s.x[::-1]]), np.concatenate([low, high[::-1]]), x, y)
        shade = f'<path d="{band}z" fill="var(--{s.look})" opacity=".2"/>'
    return f'{shade}<path d="{line}" stroke="var(--{s.look})" stroke-width="1.75" stroke-dasharray="{dashes}"/>'


def _path(xs: Floats, ys: Floats, x: Scale, y: Scale) -> str:
    return "M" + "L".join(f"{a} {b}" for a, b in zip(x.places(xs), y.places(ys), strict=True))


def _mark(p: Point, x: Scale, y: Scale) -> str:
    bar = f'<path d="M{x(p.x)} {y(p.y - p.spread)}V{y(p.y + p.spread)}" stroke="var(--{p.look})"/>'
    shape = SMALL if p.name.startswith("reported ") else MARKS.get(p.name, DOT)
    return bar * (p.spread > 0) + shape.format(x=x(p.x), y=y(p.y), colour=p.look)
