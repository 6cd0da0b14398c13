"""Where trials are: points of a space of settings, each a function of the seed and its own index, and a narrower space.

A space is a mapping of dotted keys to axes; a point is a number in [0, 1) on each of them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

from cifarnet.config.search import Axis, Fine, Number, Search, Stage
from cifarnet.errors import ConfigError, RunError
from cifarnet.streams import stream

LAMBDA = "training.lambda"
STAGES = ("coarse", "fine")
PRIMES = (2, 3, 5, 7, 11, 13, 17, 19)

Space = Mapping[str, Axis]
Point = Sequence[float]
Values = dict[str, Number]


def named(search: Search, stage: str, *, general: bool) -> Space:
    """The space that the settings name for a stage: lambda's, or in general what `search.over` lists.

    Raises
    ------
    ConfigError
        If they name none.
    """
    if general and search.over:
        return search.over
    if general:
        raise ConfigError("search.over = {}: names nothing to search; for lambda alone there is search-lambda")
    part = search.coarse if stage == "coarse" else search.fine
    if part.values:
        return {LAMBDA: Axis(values=part.values)}
    if part.l_min is None or part.l_max is None:
        raise ConfigError("search.fine.l_min = null: no range; give --from RUN, or l_min and l_max")
    return {LAMBDA: Axis(log10=(part.l_min, part.l_max))}


def ends(axis: Axis) -> tuple[float, float]:
    """The interval's ends; an axis has one, or values."""
    interval = axis.log10 or axis.linear
    assert interval
    return interval


def at(axis: Axis, u: float) -> Number:
    """The value at u in [0, 1]."""
    if axis.values:
        return axis.values[min(int(u * len(axis.values)), len(axis.values) - 1)]
    low, high = ends(axis)
    place = low + u * (high - low)
    return float(10**place) if axis.log10 else place


def position(axis: Axis, value: Number) -> float:
    """Where a value is in the axis' interval."""
    return math.log10(value) if axis.log10 else value


def points(space: Space, stage: Stage, name: str, seed: int) -> Iterator[Point]:
    """The points of a stage's trials, in the order of their indices.

    At random and by Halton's sequence, point i depends on the seed, the stage's name and i alone. A grid has all values
    of every list, and on every interval as many as there are trials for. A single list is tried whole.

    Raises
    ------
    ConfigError
        If there are too few trials for the grid, or too many axes for Halton's sequence.
    """
    place = STAGES.index(name)
    if stage.sampling == "grid" or (len(space) == 1 and all(axis.values for axis in space.values())):
        return grid(space, stage.trials)
    if stage.sampling == "halton":
        if len(space) > len(PRIMES):
            raise ConfigError(f"search.over: halton spreads at most {len(PRIMES)} settings evenly; take uniform")
        shift = stream(seed, "search", place).random(len(space)).tolist()
        return (halton(index, shift) for index in range(stage.trials))
    return (stream(seed, "search", place, index).random(len(space)).tolist() for index in range(stage.trials))


def grid(space: Space, trials: int) -> Iterator[Point]:
    """All combinations, the last axis changing fastest: every value of a list, intervals with their ends."""
    listed = math.prod(len(axis.values) for axis in space.values() if axis.values)
    intervals = sum(axis.values is None for axis in space.values())
    if intervals and trials < listed:
        raise ConfigError(f"search: a grid of these lists has {listed} points and more; raise trials, now {trials}")
    each = max((p for p in range(1, trials + 1) if listed * p**intervals <= trials), default=1)
    return itertools.product(*(steps(axis, each) for axis in space.values()))


def steps(axis: Axis, n: int) -> list[float]:
    """The grid's places on one axis: a place in the middle of each value's share of [0, 1], or n from 0 to 1."""
    if axis.values:
        return [(i + 0.5) / len(axis.values) for i in range(len(axis.values))]
    return [i / (n - 1) for i in range(n)] if n > 1 else [0.5]


def halton(index: int, shift: Point) -> Point:
    """Point of Halton's low-discrepancy sequence (1960), all shifted alike at random (Cranley & Patterson 1976)."""
    return [(inverse(index, base) + s) % 1 for base, s in zip(PRIMES, shift, strict=False)]


def inverse(index: int, base: int) -> float:
    """The digits of the index mirrored at the point: 1, 2, 3, 4 in base 2 are 1/2, 1/4, 3/4, 1/8."""
    result, weight = 0.0, 1 / base
    while index:
        index, digit = divmod(index, base)
        result += digit * weight
        weight /= base
    return result


def narrow(space: Space, fine: Fine, ranked: Sequence[Values], trials: int) -> Space:
    """The space around the best trials of a search that had so many, the best one first.

    ``best K``: spanned by the K best and widened on both sides by half the mean distance of the trials (an interval's
    length over trials^(1 / axes)), within the interval that was searched. ``between best two``: as it says. Of a list,
    the values of the best.

    Raises
    ------
    RunError
        If too few trials were finished.
    """
    between = fine.range == "between best two"
    best = ranked[: 2 if between else int(fine.range.split()[1])]
    if len(best) < 1 + between:
        raise RunError(f"{len(ranked)} finished trials are too few for a fine search of range {fine.range}")
    share = 0 if between else 0.5 / trials ** (1 / len(space))
    return {key: around(axis, [values[key] for values in best], share) for key, axis in space.items()}


def around(axis: Axis, best: Sequence[Number], share: float) -> Axis:
    """The part of an axis that the best values span, widened by a share of its length."""
    if axis.values:
        return Axis(values=tuple(value for value in axis.values if value in best))
    low, high = ends(axis)
    places = [position(axis, value) for value in best]
    wide = share * (high - low)
    interval = max(low, min(places) - wide), min(high, max(places) + wide)
    return Axis(log10=interval) if axis.log10 else Axis(linear=interval)
