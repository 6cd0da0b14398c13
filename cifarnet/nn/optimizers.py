"""Optimizers: each class has its hyper-parameters and its update of theta, value by value, so of any slice too.

The gradient is of J with its L2 term: the decay is not decoupled from the moments.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from cifarnet.nn.network import Array
from cifarnet.setting import Rate, Setting, Share

BLOCK = 65_536  # values at a time stay in the cache; Adam at m = 1000: 5.9 -> 5.5 ms


class Optimizer(Setting):
    """How theta follows its gradient; ``moments`` counts the vectors (P,) that are remembered between updates."""

    kind: str
    moments: ClassVar[int] = 0

    def scale(self, eta: float) -> float:
        """Return the factor of the loss's gradient that `step` expects."""
        return 1.0

    def step(
        self, theta: Array, gradient: Array, moments: Array, eta: float, step: int, decay: float, weights: int
    ) -> None:
        """Update a slice of theta in place, block by block.

        Parameters
        ----------
        theta, gradient, moments : (p,), (p,), (k, p)
            The same slice of each; the gradient is without the L2 term and is used up as memory.
        decay, weights
            decay * theta, the L2 term's gradient, is of the slice's first ``weights`` values: the rest are biases.
        """
        for start in range(0, len(theta), BLOCK):
            block = slice(start, start + BLOCK)
            g, decayed = gradient[block], theta[start : min(start + BLOCK, weights)]
            if decay:
                g[: len(decayed)] += decay * decayed
            self.update(theta[block], g, moments[:, block], eta, step)

    def update(self, theta: Array, g: Array, moments: Array, eta: float, step: int) -> None:
        """Update theta (p,) in place from the gradient g (p,) of J, which is used up as memory."""
        raise NotImplementedError


class SGD(Optimizer):
    """theta -= eta * gradient."""

    kind: Literal["sgd"] = "sgd"

    def scale(self, eta: float) -> float:
        """Have eta in the gradient already: an update passes over W1 once less."""
        return eta

    def step(
        self, theta: Array, gradient: Array, moments: Array, eta: float, step: int, decay: float, weights: int
    ) -> None:
        theta[:weights] *= 1 - eta * decay
        theta -= gradient


class Momentum(Optimizer):
    """v = beta * v + eta * gradient and theta -= v; Nesterov's takes the step from where v leads.

    The velocity holds eta, unlike PyTorch's: a schedule that ends at a low eta lets the network roll out.
    """

    kind: Literal["momentum", "nesterov"]
    beta: Share = Field(0.9, description="How much of the velocity stays from update to update.")
    moments: ClassVar[int] = 1

    def update(self, theta: Array, g: Array, moments: Array, eta: float, step: int) -> None:
        """Polyak (1964); Nesterov's in the form of Bengio et al. (2012, eq. 7): theta is the point looked ahead to."""
        (v,) = moments
        g *= eta
        v *= self.beta
        v += g
        if self.kind == "nesterov":
            theta -= g
            np.multiply(v, self.beta, out=g)
            theta -= g
        else:
            theta -= v


class Adam(Optimizer):
    """Steps of about eta in every direction (Kingma & Ba 2015); eta_max about 1e-3."""

    kind: Literal["adam"]
    beta1: Share = Field(0.9, description="How much of the mean gradient stays from update to update.")
    beta2: Share = Field(0.999, description="How much of the mean squared gradient stays.")
    epsilon: Rate = Field(1e-8, description="Added to the root of the mean squared gradient.")
    moments: ClassVar[int] = 2

    def update(self, theta: Array, g: Array, moments: Array, eta: float, step: int) -> None:
        """theta -= eta m / (sqrt(v) + epsilon), both moments corrected for their start at 0 (algorithm 1)."""
        m, v = moments
        g *= 1 - self.beta1
        m *= self.beta1
        m += g
        g *= g
        g *= (1 - self.beta2) / (1 - self.beta1) ** 2
        v *= self.beta2
        v += g
        np.multiply(v, 1 / (1 - self.beta2 ** (step + 1)), out=g)
        np.sqrt(g, out=g)
        g += self.epsilon
        np.divide(m, g, out=g)
        g *= eta / (1 - self.beta1 ** (step + 1))
        theta -= g


AnyOptimizer = Annotated[SGD | Momentum | Adam, Field(discriminator="kind")]
