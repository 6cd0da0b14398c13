"""Learning rate schedules: each class has its settings and the eta of every update step, 0 at the first update.

``epoch`` is everywhere the number of updates in an epoch, floor(n / batch_size).
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field

from cifarnet.setting import Count, Factor, Growth, Rate, Says, Setting, Steps, in_steps

Cycles = Annotated[Count | Annotated[float, Field(gt=0, le=1e9)], Says("must be a number above 0")]
CYCLES: Any = Field(1, description="How many cycles there are.")
ETA_MIN: Any = Field(1e-5, description="The lowest learning rate.")
ETA_MAX: Any = Field(1e-1, description="The highest learning rate.")
EPOCHS: Any = Field(40, description="Length of the training.")
GROWTH: Any = Field(1, description="Each cycle is this many times as long as the one before.")


class Position(NamedTuple):
    """Where an update step is: in which cycle (0 is the first), how many steps into it, and the cycle's length."""

    cycle: int
    step: int
    length: int


class Schedule(Setting):
    """The learning rate of every update; without cycles, the whole training counts as one."""

    kind: str

    def eta(self, step: int, epoch: int) -> float:
        """Return the learning rate of an update."""
        raise NotImplementedError

    def length(self, epoch: int) -> int:
        """Return the number of updates in the first cycle."""
        raise NotImplementedError

    @property
    def measurements(self) -> int:
        """How often a cycle is measured where the config does not say."""
        raise NotImplementedError

    @property
    def repeats(self) -> tuple[int, int]:
        """Return how many cycles there are, begun ones too, and how many times as long each is as the one before."""
        return 1, 1

    def updates(self, epoch: int) -> int:
        """Return the number of updates in all cycles."""
        cycles, growth = self.repeats
        return self.length(epoch) * (cycles if growth == 1 else (growth**cycles - 1) // (growth - 1))

    def scaled(self, factor: float, epoch: int) -> Self:
        """Return the schedule with every cycle longer by a factor, in whole epochs, or in steps where it has n_s."""
        return self.model_copy(update={"epochs": max(1, round(factor * (self.length(epoch) // epoch)))})

    def place(self, step: int, epoch: int) -> Position:
        """Return the cycle that a step is in."""
        length, growth = self.length(epoch), self.repeats[1]
        if growth == 1:
            return Position(step // length, step % length, length)
        cycle = 0
        while step >= length:
            step, length, cycle = step - length, length * growth, cycle + 1
        return Position(cycle, step, length)


class Cyclic(Schedule):
    """Triangular cycles between eta_min and eta_max (Smith 2015)."""

    kind: Literal["cyclic"] = "cyclic"
    n_s: Steps = Field(500, description="Half a cycle, in update steps or as 'K epochs'.")
    cycles: Cycles = Field(1, description="How many; with 1.25, the training ends in the middle of the second cycle.")
    eta_min: Rate = ETA_MIN
    eta_max: Rate = ETA_MAX
    cycle_growth: Growth = GROWTH
    cycle_shrink: Factor = Field(1.0, description="And this many times as high; 0.5 is Smith's triangular2.")

    @property
    def measurements(self) -> int:
        return 10

    @property
    def repeats(self) -> tuple[int, int]:
        return math.ceil(self.cycles), self.cycle_growth

    def length(self, epoch: int) -> int:
        return 2 * in_steps(self.n_s, epoch)

    def updates(self, epoch: int) -> int:
        if isinstance(self.cycles, float):
            return max(1, round(self.cycles * self.length(epoch)))
        return super().updates(epoch)

    def scaled(self, factor: float, epoch: int) -> Self:
        return self.model_copy(update={"n_s": max(1, round(factor * in_steps(self.n_s, epoch)))})

    def eta(self, step: int, epoch: int) -> float:
        """Rise from eta_min to eta_max in n_s steps and fall back (section 3; growth as Loshchilov & Hutter 2017)."""
        eta_max = self.eta_max
        if self.cycle_growth > 1 or self.cycle_shrink < 1:
            cycle, step, length = self.place(step, epoch)
            eta_max = self.eta_min + (eta_max - self.eta_min) * self.cycle_shrink**cycle
            n_s = length // 2
        else:
            n_s = in_steps(self.n_s, epoch)
        rise = 1 - abs(step / n_s % 2 - 1)  # 0 -> 1 -> 0
        return self.eta_min + (eta_max - self.eta_min) * rise


class Anneal(Schedule):
    """From eta_max down to eta_min; with more cycles, again from the top."""

    epochs: Count = Field(40, description="Length of the first cycle.")
    cycles: Count = CYCLES
    cycle_growth: Growth = GROWTH
    eta_min: Rate = ETA_MIN
    eta_max: Rate = ETA_MAX

    @property
    def measurements(self) -> int:
        return self.epochs

    @property
    def repeats(self) -> tuple[int, int]:
        return self.cycles, self.cycle_growth

    def length(self, epoch: int) -> int:
        return self.epochs * epoch

    def fraction(self, step: int, epoch: int) -> float:
        """Return how much of its cycle lies behind a step: 0 at every start, 1 only where the last one is over."""
        _, within, length = self.place(step, epoch)
        return 1.0 if step >= self.updates(epoch) else within / length


class Linear(Anneal):
    """From eta_max straight down to eta_min; with more cycles, again from the top."""

    kind: Literal["linear"]

    def eta(self, step: int, epoch: int) -> float:
        return self.eta_max - (self.eta_max - self.eta_min) * self.fraction(step, epoch)


class Cosine(Anneal):
    """Half a cosine from eta_max down to eta_min; with more cycles, again from the top (Loshchilov & Hutter 2017)."""

    kind: Literal["cosine"]

    def eta(self, step: int, epoch: int) -> float:
        cosine = math.cos(math.pi * self.fraction(step, epoch))
        return self.eta_min + (self.eta_max - self.eta_min) * (1 + cosine) / 2


class Decay(Schedule):
    """A learning rate that starts at eta and is measured once an epoch."""

    eta0: Rate = Field(0.01, alias="eta", description="The first learning rate.")
    epochs: Count = EPOCHS

    @property
    def measurements(self) -> int:
        return self.epochs

    def length(self, epoch: int) -> int:
        return self.epochs * epoch


class Constant(Decay):
    """The same eta throughout."""

    kind: Literal["constant"]

    def eta(self, step: int, epoch: int) -> float:
        return self.eta0


class StepDecay(Decay):
    """eta, multiplied by factor after every few epochs."""

    kind: Literal["step"]
    every: Count = Field(10, description="Epochs between two decays.")
    factor: Factor = Field(0.1, description="Factor of each decay.")

    def eta(self, step: int, epoch: int) -> float:
        return self.eta0 * math.pow(self.factor, step // (self.every * epoch))


class Exponential(Decay):
    """eta times factor ** epoch, the epoch counted in fractions."""

    kind: Literal["exponential"]
    factor: Factor = Field(0.9, description="Decay an epoch.")

    def eta(self, step: int, epoch: int) -> float:
        return self.eta0 * math.pow(self.factor, step / epoch)


class Ramp(Schedule):
    """The range test's eta (Smith 2015, section 3.3): from eta_min up to eta_max, in equal steps or equal factors."""

    kind: Literal["ramp"] = "ramp"
    eta_min: Rate
    eta_max: Rate
    epochs: Count
    log: bool = False
    points: Count = 60

    @property
    def measurements(self) -> int:
        return self.points

    def length(self, epoch: int) -> int:
        return self.epochs * epoch

    def eta(self, step: int, epoch: int) -> float:
        done = step / self.updates(epoch)
        if self.log:
            return self.eta_min * math.pow(self.eta_max / self.eta_min, done)
        return self.eta_min + (self.eta_max - self.eta_min) * done


AnySchedule = Annotated[Cyclic | Linear | Cosine | Constant | StepDecay | Exponential, Field(discriminator="kind")]
