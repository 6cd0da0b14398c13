"""Where trials are: points of a space of settings, each a function of the seed and its own index, and a narrower space.

A space maps dotted keys to axes; a point is a number in [0, 1] on each of them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cifarnet import config
from cifarnet.config import Settings
from cifarnet.config.search import Axis, Fine, Number, Stage
from cifarnet.errors import ConfigError, RunError
from cifarnet.nn.random import generator

LAMBDA = "training.lambda"
STAGES = ("coarse", "fine")

Space = Mapping[str, Axis]
Point = Sequence[float]
Values = dict[str, Number]


def interval(axis: Axis) -> tuple[float, float]:
    """Return the ends of an axis that has no values: of the exponent, or of the setting itself."""
    ends = axis.log10 or axis.linear
    assert ends
    return ends


def place(axis: Axis, value: Number) -> float:
    """Return where on its interval a value is: that of a setting, or its exponent, the lower end for 0."""
    if not axis.log10:
        return value
    return math.log10(value) if value > 0 else axis.log10[0]


def at(axis: Axis, u: float) -> Number:
    """Return the value at u in [0, 1]."""
    if axis.values:
        return axis.values[min(int(u * len(axis.values)), len(axis.values) - 1)]
    low, high = interval(axis)
    found = low + u * (high - low)
    return float(10**found) if axis.log10 else found


def coordinate(axis: Axis, value: Number) -> float:
    """Return where in [0, 1] a value is, or the nearest that the axis has: the inverse of `at`."""
    if axis.values:
        distances = [abs(other - value) for other in axis.values]
        return (distances.index(min(distances)) + 0.5) / len(distances)
    low, high = interval(axis)
    return min(max((place(axis, value) - low) / (high - low), 0.0), 1.0) if high > low else 0.5


def point(space: Space, values: Values) -> Point:
    """Return the point of a space that has these values, or is the nearest to them."""
    return [coordinate(axis, values[key]) for key, axis in space.items()]


def current(settings: Settings, key: str) -> Any:
    """Return the plain value at a dotted key; NaN if there is none."""
    return config.flatten(config.plain(settings)).get(key, math.nan)


def values_at(space: Space, point: Point, settings: Settings) -> Values:
    """Return the values at a point, rounded where a setting is a count, as such, as text ("2 epochs") or in a list."""
    found = {key: at(axis, u) for (key, axis), u in zip(space.items(), point, strict=True)}
    counts = {key for key in space if isinstance(current(settings, key), int | str | list | None)}
    return {key: round(value) if key in counts else value for key, value in found.items()}


def listed(settings: Settings, values: Values) -> dict[str, Any]:
    """Return the values as their settings have them: those of a list, such as the hidden layers, alone in one."""
    return {key: [value] if isinstance(current(settings, key), list) else value for key, value in values.items()}


def is_list(space: Space) -> bool:
    """Return whether a single list of values is searched, which is tried as it is, whatever the sampling."""
    return len(space) == 1 and all(axis.values for axis in space.values())


def points(space: Space, stage: Stage, name: str, seed: int) -> Iterator[Point]:
    """Return the points of a stage's trials, in the order of their indices.

    With uniform and Halton sampling, point i depends on the seed, the stage's name and i alone. A grid has all values
    of every list, and on every interval as many as there are trials for; ConfigError if there are too few for that.
    Halton's sequence (1960) is shifted at random (Cranley & Patterson 1976).
    """
    stream = STAGES.index(name)
    if stage.sampling == "grid" or is_list(space):
        return grid(space, stage.trials)
    if stage.sampling == "halton":
        from scipy.stats import qmc  # takes longer to import than a short trial

        sequence = qmc.Halton(len(space), scramble=False).random(stage.trials)
        shift = generator(seed, "search", stream).random(len(space))
        return (point.tolist() for point in (sequence + shift) % 1)
    return (generator(seed, "search", stream, index).random(len(space)).tolist() for index in range(stage.trials))


def grid(space: Space, trials: int) -> Iterator[Point]:
    """Return all combinations, the last axis changing fastest: every value of a list, intervals with their ends."""
    in_lists = math.prod(len(axis.values) for axis in space.values() if axis.values)
    intervals = sum(axis.values is None for axis in space.values())
    if intervals and trials < in_lists:
        raise ConfigError(f"search: a grid of these lists has {in_lists} points and more; raise trials, now {trials}")
    each = max((p for p in range(1, trials + 1) if in_lists * p**intervals <= trials), default=1)
    return itertools.product(*(grid_of(axis, each) for axis in space.values()))


def grid_of(axis: Axis, n: int) -> list[float]:
    """Return the grid on one axis: the middle of each value's part of [0, 1], or n places from 0 to 1."""
    if axis.values:
        return [(i + 0.5) / len(axis.values) for i in range(len(axis.values))]
    return [i / (n - 1) for i in range(n)] if n > 1 else [0.5]


def narrow(space: Space, fine: Fine, ranked: Sequence[Values], trials: int) -> Space:
    """Return the space around the best trials of a search that had ``trials`` of them; ``ranked`` has the best first.

    ``best K``: spanned by the K best and widened on both sides by half the mean distance of the trials (an interval's
    length over trials^(1 / axes)), within the interval that was searched. ``between best two``: as it says. Of a list,
    the values of the best. RunError if too few trials were finished.
    """
    between = fine.range == "between best two"
    best = ranked[: 2 if between else int(fine.range.split()[1])]
    if len(best) < 1 + between:
        raise RunError(f"{len(ranked)} finished trials are too few for a fine search of range {fine.range}")
    margin = 0 if between else 0.5 / trials ** (1 / len(space))
    return {key: around(axis, [values[key] for values in best], margin) for key, axis in space.items()}


def around(axis: Axis, best: Sequence[Number], margin: float) -> Axis:
    """Return the part of an axis that the best values span, with a margin, a fraction of the axis' length."""
    if axis.values:
        return Axis(values=tuple(value for value in axis.values if value in best) or axis.values)
    low, high = interval(axis)
    places = [place(axis, value) for value in best]
    wide = margin * (high - low)
    part = max(low, min(places) - wide), min(high, max(places) + wide)
    return Axis(log10=part) if axis.log10 else Axis(linear=part)
