"""Momentum, Nesterov and Adam: each an update of theta in place, value by value, so that it works on any slice too.

What an optimiser remembers is ``moments``, (k, P) for P parameters: k = 0 for plain SGD, 1 with momentum, 2 for Adam.
The gradient is of J with its L2 term (the decay is not decoupled from the moments), and is used up as memory.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cifarnet.network import Array

BLOCK = 65_536  # values at a time: what an update touches stays in the cache; Adam at m = 1000: 5.9 -> 5.5 ms

# (theta, gradient, moments, eta, step): the update of step 0, 1, ...
Optimiser = Callable[[Array, Array, Array, float, int], None]


def momentum(
    theta: Array, gradient: Array, moments: Array, eta: float, step: int, *, beta: float, nesterov: bool
) -> None:
    """v = beta v + eta g and theta -= v (Polyak 1964); with nesterov theta -= beta v + eta g.

    Nesterov's is the form of Bengio, Boulanger-Lewandowski & Pascanu (2012, eq. 7), whose theta is the point that is
    looked ahead to. The velocity holds eta, so a schedule that ends at a low eta lets the network roll out.
    """
    (v,) = moments
    gradient *= eta
    v *= beta
    v += gradient
    if nesterov:
        theta -= gradient
        np.multiply(v, beta, out=gradient)
        theta -= gradient
    else:
        theta -= v


def adam(
    theta: Array,
    gradient: Array,
    moments: Array,
    eta: float,
    step: int,
    *,
    beta1: float,
    beta2: float,
    epsilon: float,
) -> None:
    """theta -= eta m / (sqrt(v) + epsilon), both moments corrected for their start at 0 (Kingma & Ba 2015, alg. 1)."""
    m, v = moments
    scale = 1 / (1 - beta2 ** (step + 1))
    gradient *= 1 - beta1
    m *= beta1
    m += gradient
    gradient *= gradient
    gradient *= (1 - beta2) / (1 - beta1) ** 2
    v *= beta2
    v += gradient
    np.multiply(v, scale, out=gradient)
    np.sqrt(gradient, out=gradient)
    gradient += epsilon
    np.divide(m, gradient, out=gradient)
    gradient *= eta / (1 - beta1 ** (step + 1))
    theta -= gradient


@dataclass(frozen=True)
class Update:
    """One update by a rule, of any slices of theta: adds decay * theta to the gradient of the weights, then applies it.

    theta's first values, so many as ``weights``, are weights; decay is 2 lambda.
    """

    rule: Optimiser
    theta: Array
    moments: Array
    eta: float
    step: int
    weights: int
    decay: float

    def __call__(self, part: slice, gradient: Array) -> None:
        """Update one slice from that slice of the gradient, block by block."""
        for start in range(part.start, part.stop, BLOCK):
            block = slice(start, min(start + BLOCK, part.stop))
            g = gradient[start - part.start : block.stop - part.start]
            if self.decay:
                decayed = self.theta[start : max(start, min(block.stop, self.weights))]
                g[: len(decayed)] += self.decay * decayed
            self.rule(self.theta[block], g, self.moments[:, block], self.eta, self.step)
