"""How numbers, intervals, curves and causes are written for people."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from cifarnet.readable import percent
from cifarnet.verdicts.curves import Compared

FEW = 8  # points of a curve that are named


def cause(found: Mapping[str, Any], quantity: str) -> str:
    """Say under which deviation a number is compatible, or that there is none."""
    if not found["deviation"]:
        none = f"None of {(n := found['tried'])} deviation{'s' * (n != 1)} tried explains it."
        return found.get("says") or (none if n else "No deviation is tried: each takes too long.")
    at = f", {show(found['mean'], quantity)} ({span(found['low'], found['high'], quantity)})" if "mean" in found else ""
    return f"Compatible under: {found['deviation']}{at}. {found['says']} Again: {found['command']}"


def described(found: Compared) -> str:
    """Say how far a report's curve is from ours."""
    if math.isnan(found.largest[0]):
        return "not run"
    measure, (largest, where) = found.curve.measure, found.largest
    mean = gap(float(np.nanmean(found.distances)), measure)
    words = f"theirs {mean} on average, at most {gap(largest, measure)}, at {where:g}"
    outside = [f"{x:g}" for x, v in zip(found.curve.x, found.verdicts, strict=True) if v == "incompatible"]
    if 0 < len(outside) <= FEW:
        words += f"; incompatible at {', '.join(outside)}"
    if math.isnan(found.within):
        return words
    words = f"{100 * found.within:.0f} % of {len(found.curve.x)} points in the band; {words}"
    return f"{words}. {cause(found.cause, measure)}" if found.cause and found.verdict == "incompatible" else words


def show(value: float, quantity: str) -> str:
    """Return a number as people read it: accuracies in per cent, errors with a power of ten."""
    if math.isnan(value):
        return "–"
    if "accuracy" in quantity:
        return percent(value)
    if "error" in quantity:
        return f"{value:.2e}"
    return f"{value:.1f} s" if quantity == "seconds" else f"{value:.4g}"


def gap(value: float, quantity: str) -> str:
    """Return a difference with its sign; of accuracies in percentage points."""
    if math.isnan(value):
        return "–"
    text = f"{value:+.1f} s" if quantity == "seconds" else f"{value:+.3g}"
    return (f"{100 * value:+.2f}" if "accuracy" in quantity else text).replace("-", "−")


def span(low: float, high: float, quantity: str) -> str:
    """Return an interval."""
    if math.isnan(low):
        return "–"
    return f"{show(low, quantity)} to {show(high, quantity)}".replace(" % to", " to")
