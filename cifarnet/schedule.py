"""The learning rate eta as pure functions of the update step, 0 at the first update."""

import math
from typing import NamedTuple


def triangular(step: int, *, n_s: int, eta_min: float, eta_max: float) -> float:
    """Cyclical learning rate (Smith 2015, arXiv 1506.01186, section 3): eta_min at 0, eta_max at n_s, and back."""
    rise = 1 - abs(step / n_s % 2 - 1)  # 0 -> 1 -> 0
    return eta_min + (eta_max - eta_min) * rise


def constant(step: int, *, eta: float) -> float:
    """The same eta at every step."""
    return eta


def step_decay(step: int, *, eta: float, factor: float, every: int) -> float:
    """eta * factor^k after k times ``every`` steps."""
    return eta * math.pow(factor, step // every)


def exponential_decay(step: int, *, eta: float, factor: float, every: int) -> float:
    """eta * factor^(step / every): the factor once every so many steps, smoothly in between."""
    return eta * math.pow(factor, step / every)


class Place(NamedTuple):
    """Where an update step lies: in which cycle (0 the first), how many steps into it, and how long that cycle is."""

    cycle: int
    step: int
    length: int


def place(step: int, length: int, growth: int = 1) -> Place:
    """Find the cycle of a step; the first has ``length`` steps and each following one ``growth`` times as many."""
    if growth == 1:
        return Place(step // length, step % length, length)
    cycle = 0
    while step >= length:
        step, length, cycle = step - length, length * growth, cycle + 1
    return Place(cycle, step, length)


def total(length: int, cycles: int, growth: int = 1) -> int:
    """The steps of so many cycles."""
    return length * (cycles if growth == 1 else (growth**cycles - 1) // (growth - 1))


def triangular2(step: int, *, n_s: int, growth: int, shrink: float, eta_min: float, eta_max: float) -> float:
    """Triangular cycles each ``growth`` times as long and ``shrink`` times as high as the one before.

    Smith (2015, section 3.1) calls it triangular2 with a shrink of 1/2; growth is that of Loshchilov & Hutter (2017).
    """
    cycle, within, length = place(step, 2 * n_s, growth)
    height = (eta_max - eta_min) * shrink**cycle
    return triangular(within, n_s=length // 2, eta_min=eta_min, eta_max=eta_min + height)


def share(step: int, length: int, growth: int, cycles: int) -> float:
    """How much of its cycle lies behind a step: 0 at every start, 1 only where the last one is over."""
    _, within, steps = place(step, length, growth)
    return 1.0 if step >= total(length, cycles, growth) else within / steps


def linear(step: int, *, length: int, growth: int, cycles: int, eta_min: float, eta_max: float) -> float:
    """From eta_max at a cycle's start straight down to eta_min at its end."""
    return eta_max - (eta_max - eta_min) * share(step, length, growth, cycles)


def cosine(step: int, *, length: int, growth: int, cycles: int, eta_min: float, eta_max: float) -> float:
    """Half a cosine from eta_max down to eta_min in each cycle (Loshchilov & Hutter 2017, eq. 5)."""
    return eta_min + (eta_max - eta_min) * (1 + math.cos(math.pi * share(step, length, growth, cycles))) / 2


def ramp(step: int, *, steps: int, eta_min: float, eta_max: float, log: bool) -> float:
    """The range test's eta (Smith 2015, section 3.3): from eta_min up to eta_max, in equal steps or equal factors."""
    share = step / steps
    return eta_min * (eta_max / eta_min) ** share if log else eta_min + (eta_max - eta_min) * share
