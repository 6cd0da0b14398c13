"""The gradient of the network that settings describe, beside numerical ones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cifarnet import gradcheck, network, objectives
from cifarnet.config import Settings
from cifarnet.data import Split
from cifarnet.errors import ConfigError
from cifarnet.network import Array, Objective
from cifarnet.planning import initial, plan
from cifarnet.streams import stream
from cifarnet.training import drop_inputs, hidden_masks


@dataclass(frozen=True)
class Problem:
    """The cost of a network on a few images as a function of theta, in float64."""

    sizes: tuple[int, ...]
    lam: float
    theta: Array
    images: Split
    objective: Objective = network.CROSS_ENTROPY
    masks: Sequence[Array] | None = None

    def probe(self, theta: Array) -> tuple[Any, Array]:
        """The cost, and which hidden nodes are active on which image: the sides of the ReLU's kinks.

        With the hinge loss, whose kinks lie where a class's derivative becomes 0, also these.
        """
        _, *H, Z = network.forward(theta, self.sizes, self.images.X, None, self.masks)
        losses = self.objective.losses(Z, self.images.y)
        sides = [h.real.ravel() > 0 for h in H]
        if self.objective is objectives.HINGE:
            self.objective.slope(Z, self.images.y)
            sides.append(Z.real.ravel() > 0)
        active = np.concatenate([*sides, np.zeros(0, bool)])
        return losses.mean() + network.penalty(theta, self.sizes, self.lam), active

    def slopes(self, method: str, h: float) -> Iterator[gradcheck.Slope]:
        """The numerical gradient, coordinate by coordinate."""
        return gradcheck.slopes(self.probe, self.theta, method, h)

    def errors(self, slopes: list[gradcheck.Slope]) -> list[gradcheck.Errors]:
        """Compare the analytic gradient with a numerical one, parameter by parameter."""
        X, y = self.images
        extras: dict[str, Any] = {"objective": self.objective, "masks": self.masks}
        _, analytic = network.cost_and_gradient(self.theta, self.sizes, X, y, self.lam, **extras)
        parts = (analytic, np.array([s.value for s in slopes]), np.array([s.crossed for s in slopes]))
        return gradcheck.compare(*(network.named(part, self.sizes) for part in parts))


def problem(settings: Settings, split: Split, samples: int, *, random_samples: bool = False) -> Problem:
    """The settings' network and cost on the first images of a split, or on some drawn at random; in float64.

    Dropout is there with the masks of the first update, which stay; jitter is left out.

    Raises
    ------
    ConfigError
        If there are not so many images.
    """
    if samples > len(split.y):
        raise ConfigError(f"--samples {samples}: there are {len(split.y)} training images")
    chosen = np.arange(samples)
    if random_samples:
        chosen = stream(settings.seed, "samples").choice(len(split.y), samples, replace=False)
    images, todo = Split(split.X[chosen].astype(np.float64), split.y[chosen]), plan(settings)
    drop_inputs(images.X, todo, 0)
    theta, masks = initial(settings, np.float64).theta, hidden_masks(todo, 0, samples)
    return Problem(settings.sizes, todo.lam, theta, images, todo.objective, masks)
