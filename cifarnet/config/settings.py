"""The settings of an experiment: frozen, validated, with the names that the course uses."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

BATCH_IMAGES = 10_000  # in each of the five training batches
IMAGE_VALUES = 3072  # 32 x 32 x 3

Batch = Annotated[int, Field(ge=1, le=5)]
Steps = Annotated[int, Field(ge=1)] | Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]* epochs?$")]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Model(BaseModel):
    """What all settings share: unknown keys are errors, values do not change, text is never taken for a number."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, validate_default=True, populate_by_name=True)


def as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class Data(Model):
    """Which images train, which validate, and how their pixels are scaled."""

    source: Literal["cifar10", "synthetic"] = Field("cifar10", description="The real images, or the synthetic twin.")
    train: Literal["all"] | tuple[Batch, ...] = Field((1,), description="Training batches, 1 to 5, or all.")
    validation: Annotated[int, Field(ge=1)] | tuple[Batch, ...] = Field(
        (2,), description="Validation batches, or how many of the training images are held out."
    )
    holdout_seed: Annotated[int, Field(ge=0)] | None = Field(
        None, description="Hold out images drawn with this seed instead of the last ones in official order."
    )
    limit: Annotated[int, Field(ge=1)] | None = Field(None, description="Train on the first so many images only.")
    dims: Annotated[int, Field(ge=1, le=IMAGE_VALUES)] | None = Field(
        None, description="Use the first so many inputs only."
    )
    normalize: Literal["standardize", "centre", "scale"] = Field(
        "standardize",
        description="standardize: (x - mean) / std of the training images; centre: x / 255 - mean; scale: x / 255.",
    )

    _tuples = field_validator("train", "validation", mode="before")(as_tuple)

    @property
    def batches(self) -> tuple[int, ...]:
        return (1, 2, 3, 4, 5) if self.train == "all" else self.train

    @property
    def n_train(self) -> int:
        held_out = self.validation if isinstance(self.validation, int) else 0
        n = len(self.batches) * BATCH_IMAGES - held_out
        return n if self.limit is None else min(n, self.limit)

    @property
    def d(self) -> int:
        return self.dims or IMAGE_VALUES


class Gaussian(Model):
    std: Rate = Field(description="Standard deviation of every weight.")


class Network(Model):
    """The hidden layers and how their weights start."""

    hidden: tuple[Annotated[int, Field(ge=1, le=100_000)], ...] = Field(
        (50,), description="Nodes of each hidden layer; [] is the one-layer network."
    )
    init: Literal["xavier", "he"] | Gaussian = Field(
        "xavier", description="xavier: std 1/sqrt(d_in); he: std sqrt(2/d_in); or {std: s}."
    )

    _tuples = field_validator("hidden", mode="before")(as_tuple)


class Cyclic(Model):
    """Triangular cycles between eta_min and eta_max (Smith 2015)."""

    kind: Literal["cyclic"] = "cyclic"
    n_s: Steps = Field(500, description="Half a cycle, in update steps or as 'K epochs'.")
    cycles: Annotated[int, Field(ge=1)] = 1
    eta_min: Rate = 1e-5
    eta_max: Rate = 1e-1

    @model_validator(mode="after")
    def _ordered(self) -> Cyclic:
        if self.eta_min > self.eta_max:
            raise ValueError(f"eta_min {self.eta_min:g} is above eta_max {self.eta_max:g}; swap them or lower eta_min")
        return self


class Constant(Model):
    kind: Literal["constant"]
    eta: Rate = 0.01
    epochs: Annotated[int, Field(ge=1)] = 40


class Step(Model):
    """eta times factor after every so many epochs."""

    kind: Literal["step"]
    eta: Rate = 0.01
    epochs: Annotated[int, Field(ge=1)] = 40
    every: Annotated[int, Field(ge=1)] = Field(10, description="Epochs between two decays.")
    factor: Annotated[float, Field(gt=0, le=1)] = 0.1


class Exponential(Model):
    """eta times factor ** epoch, the epoch counted in fractions."""

    kind: Literal["exponential"]
    eta: Rate = 0.01
    epochs: Annotated[int, Field(ge=1)] = 40
    factor: Annotated[float, Field(gt=0, le=1)] = Field(0.9, description="Decay an epoch.")


Schedule = Annotated[Cyclic | Constant | Step | Exponential, Field(discriminator="kind")]


class Training(Model):
    """The mini-batch loop."""

    batch_size: Annotated[int, Field(ge=1)] = 100
    lam: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        0.0, alias="lambda", description="J = loss + lambda * sum of squared weights."
    )
    shuffle: bool = Field(True, description="A new order of the training images every epoch.")
    schedule: Schedule = Cyclic()


class Evaluation(Model):
    """How often the curves are measured."""

    per_cycle: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Measurements a cycle; by default 10 for cyclic schedules, else one an epoch."
    )
    train_cost: Literal["all", "running_mean", "moving_average"] = Field(
        "all",
        description="Training cost on all training images, as the running mean of the costs of the batches so far, or as "
        "their moving average (0.99 of the old, 0.01 of the new); the last two measure no training accuracy.",
    )


class Settings(Model):
    """One experiment, whole."""

    label: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] = Field(
        "unnamed", description="Part of the run folder's name."
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 42
    data: Data = Data()
    network: Network = Network()
    training: Training = Training()
    evaluation: Evaluation = Evaluation()

    @property
    def sizes(self) -> tuple[int, ...]:
        """Nodes of every layer: input, hidden ones, output."""
        return (self.data.d, *self.network.hidden, 10)

    @property
    def steps_per_epoch(self) -> int:
        """floor(n / batch_size): the remainder of an epoch is dropped, as the reports do."""
        return self.data.n_train // self.training.batch_size

    def steps(self, value: int | str) -> int:
        """A number of update steps, given as such or as 'K epochs'."""
        return value if isinstance(value, int) else int(re.match(r"\d+", value)[0]) * self.steps_per_epoch  # type: ignore[index]
