"""The steps in which programs differ, as the assignment has them; a deviation is a subclass that changes one."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from cifarnet.nn.losses import L2
from cifarnet.nn.network import Array, Buffers, weight_count
from cifarnet.nn.random import generator
from cifarnet.nn.schedules import Schedule

Basis = Literal["training images", "split", "file", "image", "all images"]
Place = Literal["inputs", "start", "order", "batches", "update", "length", "results"]


class Practice:
    """Each step as the assignment has it; subclasses that change different steps combine by inheriting from all."""

    origin: ClassVar[str] = ""  # how a deviation comes about
    sign: ClassVar[str] = ""  # how it shows
    cure: ClassVar[str] = ""
    place: ClassVar[Place] = "update"
    group: ClassVar[str] = ""  # of a group at most one is on
    basis: ClassVar[Basis] = "training images"  # whose statistics normalise a split
    draws_biases: ClassVar[bool] = False
    rectifies: ClassVar[bool] = True  # whether the backward pass is through the ReLU
    keeps_best: ClassVar[bool] = False  # whether the network that is scored at the end is the best on the way

    def statistics(self, mean: Array, std: Array) -> tuple[Array, Array]:
        """Return what normalises the inputs, from the mean and standard deviation (d,) of each."""
        return mean, std

    def updates_of_epoch(self, n: int, batch_size: int) -> int:
        """Return how many updates n images are enough for."""
        return n // batch_size

    def order(self, n: int, shuffle: bool, seed: int, epoch: int) -> NDArray[np.intp]:
        """Return in which order (n,) the images come in an epoch."""
        return generator(seed, "shuffle", epoch).permutation(n) if shuffle else np.arange(n)

    def scale(self, scale: float, n: int) -> float:
        """Return the factor of the gradient of the mean loss of n images."""
        return scale

    def decay(self, l2: L2, batch_size: int, n: int) -> float:
        """Return the factor of W in the gradient, n images trained on."""
        return l2.decay

    def decayed(self, sizes: tuple[int, ...]) -> int:
        """Return how many values of theta, the first ones, the L2 term's gradient is of."""
        return weight_count(sizes)

    def finish(self, gradient: Buffers) -> None:
        """Change the gradient of all parameters but W1, in place, after the backward pass."""

    def eta(self, schedule: Schedule, step: int, epoch: int) -> float:
        """Return the learning rate of an update; the first one has step 0."""
        return schedule.eta(step, epoch)

    def updates(self, schedule: Schedule, epoch: int, batch_size: int) -> int:
        """Return how many updates a training has, with ``epoch`` updates in an epoch."""
        return schedule.updates(epoch)

    def chooses(self, ends_epoch: bool, ends_cycle: bool) -> bool:
        """Return whether a network on the way may be the one that is scored at the end."""
        return False

    def results(self, results: dict[str, Any]) -> dict[str, Any]:
        """Return what is printed of the results of a finished training."""
        return results
