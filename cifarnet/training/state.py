"""The state of a training: all that it needs to go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import DTypeLike

from cifarnet.config import Settings
from cifarnet.nn.network import Array, initialize
from cifarnet.nn.random import generator


@dataclass
class State:
    """theta (P,) and what goes with it; randomness is a function of the seed and the step, so it is not here.

    ``moments`` (k, P) are the optimizer's, ``average`` (P,) is the mean of theta so far, and ``recorded`` (3,) counts
    the batches that a training cost is recorded from, beside that cost and loss; ``best`` (1 + P,) is a validation
    accuracy and the theta that had it. Each is empty where nothing asks for it.
    """

    theta: Array
    sizes: tuple[int, ...]
    step: int = 0
    moments: Array = field(default_factory=lambda: np.empty((0, 0)))
    average: Array = field(default_factory=lambda: np.empty(0))
    recorded: Array = field(default_factory=lambda: np.empty(0))
    best: Array = field(default_factory=lambda: np.empty(0))

    def __repr__(self) -> str:
        return f"State(step {self.step:,}, {'-'.join(map(str, self.sizes))}, {self.theta.dtype})"

    @classmethod
    def initial(cls, settings: Settings, sizes: Sequence[int] | None = None, dtype: DTypeLike = np.float32) -> State:
        """Return the state before the first update; ``sizes`` are those of the settings where they are not given."""
        sizes, init, training = tuple(sizes or settings.sizes), settings.network.init, settings.training
        std, practice = init if isinstance(init, str) else init.std, settings.deviations.practice
        theta = initialize(sizes, std, generator(settings.seed, "init"), dtype, biases=practice.draws_biases)
        moments = np.zeros((training.optimizer.moments, len(theta)), dtype)
        average = np.zeros(len(theta) if training.average else 0, dtype)
        recorded = np.zeros(3 * (settings.evaluation.train_cost != "all"))
        best = np.append(-1, theta).astype(dtype) if practice.keeps_best else np.empty(0)
        return cls(theta, sizes, 0, moments, average, recorded, best)

    @property
    def scored(self) -> Array:
        """The theta that is scored at the end: the last one, or the best where that is kept."""
        return self.best[1:] if self.best.size and self.best[0] >= 0 else self.theta

    def consider(self, accuracy: float) -> None:
        """Keep theta where its validation accuracy is above that of all before it."""
        if accuracy > self.best[0]:
            self.best[0], self.best[1:] = accuracy, self.theta

    def take_in(self, how: str, cost: float, loss: float) -> None:
        """Record a batch's cost and loss: into the mean of all so far, or a moving average that starts at the first."""
        self.recorded[0] += 1
        weight = 1 / self.recorded[0] if how == "running_mean" or self.recorded[0] == 1 else 0.01
        self.recorded[1:] += weight * (np.array([cost, loss]) - self.recorded[1:])

    def arrays(self) -> dict[str, Array]:
        """Return copies of all of it but the sizes, for a checkpoint."""
        found = {part.name: np.array(getattr(self, part.name)) for part in fields(self) if part.name != "sizes"}
        return {name: value for name, value in found.items() if value.size}

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Become the state of the same training that ``arrays`` were taken from."""
        for name in self.arrays():
            value = arrays[name]
            setattr(self, name, value if value.shape else value.item())
