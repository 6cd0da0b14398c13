"""Analytic against numerical gradients, for any cost that is a function of a flat parameter vector."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Probe = Callable[[NDArray[Any]], tuple[Any, NDArray[np.bool_]]]

STEPS = {"forward": 1e-6, "centred": 1e-5, "complex-step": 1e-20}
TOLERANCES = {"forward": 1e-5, "centred": 1e-8, "complex-step": 1e-13}  # norm-wise, in float64
EPS = 1e-15  # below it a relative error compares rounding with rounding


class Derivative(NamedTuple):
    """One numerical derivative, and whether the steps taken for it crossed a kink of the cost."""

    value: float
    crossed: bool


class Errors(NamedTuple):
    """How one parameter's gradients differ; those that crossed a kink are counted apart.

    ``norm_relative_error`` is ||ga - gn|| / (||ga|| + ||gn||), ``mean_signed_error`` |mean(ga - gn)|; the element-wise
    relative errors are |ga - gn| / max(eps, |ga| + |gn|).
    """

    name: str
    norm_relative_error: float
    max_relative_error: float
    max_absolute_error: float
    mean_absolute_error: float
    mean_signed_error: float
    n: int
    kinks: int
    kink_max_absolute_error: float


def derivatives(probe: Probe, theta: Vector, method: str, h: float) -> Iterator[Derivative]:
    """Yield the derivative of a cost by each coordinate of theta in turn.

    Parameters
    ----------
    probe
        Returns the cost at theta, or an array of its terms, and on which side of each of its kinks theta is; for the
        complex step (Squire & Trapp 1998) it takes a complex theta. A large term costs the derivatives of the others no
        digits.
    method
        ``forward``: (J(theta + h) - J(theta)) / h, error of order h; ``centred``: (J(theta + h) - J(theta - h)) / 2h,
        order h^2; ``complex-step``: Im J(theta + ih) / h, exact to rounding and without a kink to cross.
    """
    at = theta.astype(complex if method == "complex-step" else float)
    here, side = probe(theta)
    for i in range(len(theta)):
        at[i] = theta[i] + h * (1j if method == "complex-step" else 1)
        above, side_above = probe(at)
        if method == "complex-step":
            found = Derivative(np.sum(above.imag) / h, False)
        elif method == "forward":
            found = Derivative(np.sum(above - here) / h, not np.array_equal(side, side_above))
        else:
            at[i] = theta[i] - h
            below, side_below = probe(at)
            crossed = not (np.array_equal(side, side_above) and np.array_equal(side, side_below))
            found = Derivative(np.sum(above - below) / (2 * h), crossed)
        at[i] = theta[i]
        yield found


def compare(name: str, ga: Vector, gn: Vector, crossed: NDArray[np.bool_]) -> Errors:
    """Compare one parameter's analytic and numerical gradient; ``crossed`` marks where a step crossed a kink."""
    absolute = np.abs(ga - gn)
    kept, relative = absolute[~crossed], (absolute / np.maximum(EPS, np.abs(ga) + np.abs(gn)))[~crossed]
    norms = float(np.linalg.norm(ga[~crossed]) + np.linalg.norm(gn[~crossed]))
    return Errors(
        name,
        norm_relative_error=float(np.linalg.norm(kept)) / max(EPS, norms),
        max_relative_error=float(relative.max(initial=0)),
        max_absolute_error=float(kept.max(initial=0)),
        mean_absolute_error=float(kept.mean()) if len(kept) else 0.0,
        mean_signed_error=abs(float((ga - gn)[~crossed].mean())) if len(kept) else 0.0,
        n=ga.size,
        kinks=int(crossed.sum()),
        kink_max_absolute_error=float(absolute[crossed].max(initial=0)),
    )
