"""The learning rate eta as pure functions of the update step, 0 at the first update."""

import math


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
