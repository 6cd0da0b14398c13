"""What a training does, in numbers and functions: what its settings come down to."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cifarnet import network
from cifarnet.evaluation import Losses
from cifarnet.network import Array, Objective
from cifarnet.optimisers import Optimiser
from cifarnet.schedule import Place, place

EVERY = 20  # updates between two samples of an average; each one costs as much as a quarter of an update


@dataclass(frozen=True)
class Plan:
    """What a training does, in update steps.

    An epoch has floor(n / batch_size) updates: the images left over are not used in that epoch, as in the reports. A
    measurement is due before the first update, ``per_cycle`` times in each cycle, and after the last update. The first
    cycle has ``cycle`` updates, each following one ``growth`` times as many.

    ``rule`` updates theta and remembers so many vectors; None is plain SGD. ``objective`` trains and ``losses`` are
    measured. ``jitter`` changes the images of a batch in place. Over the last share ``average`` of each cycle theta is
    averaged, every `EVERY` updates, and the mean is what the cycle ends with and the next one begins with.
    """

    sizes: tuple[int, ...]
    eta: Callable[[int], float]
    updates: int
    cycle: int
    per_cycle: int
    batch_size: int
    lam: float
    shuffle: bool
    seed: int
    train_scores: bool = True  # of a hundred trials nobody reads them, and they take longer than the updates
    train_cost: str = "all"
    growth: int = 1
    rule: Optimiser | None = None
    remembered: int = 0
    objective: Objective = network.CROSS_ENTROPY
    losses: Losses = network.losses
    drop_input: float = 0.0
    drop_hidden: float = 0.0
    jitter: Callable[[Array, np.random.Generator], None] | None = None
    average: float = 0.0

    @property
    def from_batches(self) -> bool:
        """Whether the training cost is recorded from the batches."""
        return self.train_cost != "all"

    def place(self, step: int) -> Place:
        """Where the update lies that led to so many; the first one for none."""
        return place(max(step - 1, 0), self.cycle, self.growth)

    def measured(self, step: int) -> bool:
        """Whether the curves have a point after so many updates."""
        _, within, length = self.place(step)
        passed = (within + 1) * self.per_cycle // length != within * self.per_cycle // length
        return passed or step in (0, self.updates)

    def ends_cycle(self, step: int) -> bool:
        """Whether a cycle is over after so many updates."""
        _, within, length = self.place(step)
        return step > 0 and within + 1 == length

    def sample(self, step: int) -> int:
        """Which sample of the average theta is after so many updates: 1 is the first one of a cycle, 0 none."""
        _, within, length = self.place(step)
        left, window = length - within - 1, int(self.average * length)
        if left >= window or left % EVERY:
            return 0
        return (window - 1) // EVERY - left // EVERY + 1
