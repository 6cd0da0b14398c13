"""Charts as coordinates, which the page draws as SVG: text of the page's own size and colours, in light and in dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WIDTH, HEIGHT = 340, 230
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 10, 38


class Series(NamedTuple):
    """One line: its mean over the seeds, and between which values all seeds lie."""

    name: str
    x: Floats
    y: Floats
    low: Floats
    high: Floats


class Point(NamedTuple):
    """One mark, with the spread of the seeds where there are several."""

    name: str
    x: float
    y: float
    spread: float = 0.0


class Tick(NamedTuple):
    at: float
    label: str


class Chart(NamedTuple):
    """Everything in user units of the SVG: (0, 0) is the upper left corner."""

    title: str
    alt: str
    x_label: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    bands: list[tuple[str, str]]
    lines: list[tuple[str, str]]
    marks: list[tuple[str, float, float, float]]


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers from low to high, at most so many."""
    rough = (high - low) / most
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
    return [i * step for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def chart(
    title: str, x_label: str, series: Sequence[Series], points: Sequence[Point] = (), *, percent: bool = False
) -> Chart | None:
    """Lay lines and marks out; None where there is nothing finite to show."""
    xs = np.concatenate([s.x for s in series] + [np.array([p.x for p in points])])
    ys = np.concatenate(
        [np.r_[s.low, s.high] for s in series] + [np.array([[p.y - p.spread, p.y + p.spread] for p in points]).ravel()]
    )
    xs, ys = xs[np.isfinite(xs)], ys[np.isfinite(ys)]
    if not len(xs) or not len(ys):
        return None
    x0, x1 = bounds(xs, 0 if series else 0.04)
    y0, y1 = bounds(ys, 0.05)

    def px(x: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (x - x0) / (x1 - x0), 1)

    def py(y: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (y - y0) / (y1 - y0), 1)

    def path(x: Floats, y: Floats) -> str:
        return " ".join(f"{px(a)},{py(b)}" for a, b in zip(x, y, strict=True) if math.isfinite(b))

    def label(y: float) -> str:
        return f"{100 * y:g} %" if percent else f"{y:g}"

    return Chart(
        title,
        described(title, series, points, percent=percent),
        x_label,
        [Tick(px(x), f"{x:g}") for x in ticks(x0, x1)],
        [Tick(py(y), label(round(y, 10))) for y in ticks(y0, y1)],
        [(s.name, path(np.r_[s.x, s.x[::-1]], np.r_[s.low, s.high[::-1]])) for s in series if (s.high > s.low).any()],
        [(s.name, path(s.x, s.y)) for s in series],
        [(p.name, px(p.x), py(p.y), abs(py(p.y + p.spread) - py(p.y))) for p in points if math.isfinite(p.y)],
    )


def bounds(values: Floats, margin: float) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    room = margin * (high - low) if high > low else max(abs(high), 1e-9) * 0.1
    return low - room, high + room


def described(title: str, series: Sequence[Series], points: Sequence[Point], *, percent: bool) -> str:
    """What a chart shows, in words, for those who do not see it."""

    def said(y: float) -> str:
        return f"{100 * y:.1f} %" if percent else f"{y:.3g}"

    parts = [f"{s.name} from {said(f[0])} to {said(f[-1])}" for s in series if len(f := s.y[np.isfinite(s.y)])]
    for name in dict.fromkeys(p.name for p in points):
        ys = [p.y for p in points if p.name == name and math.isfinite(p.y)]
        if ys:
            parts.append(
                f"{name} {said(ys[0])}" if len(ys) == 1 else f"{name} between {said(min(ys))} and {said(max(ys))}"
            )
    return f"{title}: {'; '.join(parts)}"
