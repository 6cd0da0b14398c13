"""The settings of an experiment: frozen, validated, with the names that the course uses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, StringConstraints, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from cifarnet.config import search
from cifarnet.config.extras import Anneal, Dropout, Growth, Jitter, Optimizer, Sgd, Share
from cifarnet.config.model import Batch, Count, Factor, Model, Rate, Steps, as_tuple, instead
from cifarnet.config.search import Search

BATCH_IMAGES = 10_000  # in each of the five training batches
IMAGE_VALUES = 3072  # 32 x 32 x 3
GROWING = 20  # cycles that grow; ten times as long each, so many are beyond any lifetime
LABEL = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


class Data(Model):
    """Which images train, which validate, and how their pixels are scaled."""

    source: Literal["cifar10", "synthetic"] = Field("cifar10", description="The real images, or the synthetic twin.")
    train: Literal["all"] | Annotated[tuple[Batch, ...], Field(min_length=1)] = Field(
        (1,),
        description="Training batches, 1 to 5, or all.",
        json_schema_extra=instead("must be all, or a list of batches 1 to 5, such as [1, 3]"),
    )
    validation: Count | Annotated[tuple[Batch, ...], Field(min_length=1)] = Field(
        (2,),
        description="Validation batches, or how many of the training images are held out.",
        json_schema_extra=instead("must be a number of images to hold out, at least 1, or a list of batches 1 to 5"),
    )
    holdout_seed: Annotated[int, Field(ge=0)] | None = Field(
        None, description="Hold out images drawn with this seed instead of the last ones in official order."
    )
    limit: Count | None = Field(None, description="Train on the first so many images only.")
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
    """Normally distributed weights."""

    std: Rate = Field(description="Standard deviation of every weight.")


class Network(Model):
    """The hidden layers and how their weights start."""

    hidden: tuple[Annotated[int, Field(ge=1, le=100_000)], ...] = Field(
        (50,), description="Nodes of each hidden layer; [] is the one-layer network."
    )
    init: Literal["xavier", "he"] | Gaussian = Field(
        "xavier",
        description="xavier: std 1/sqrt(d_in); he: std sqrt(2/d_in); or {std: s}.",
        json_schema_extra=instead("must be xavier, he, or a standard deviation such as {std: 0.01}"),
    )

    _tuples = field_validator("hidden", mode="before")(as_tuple)


class Cyclic(Model):
    """Triangular cycles between eta_min and eta_max (Smith 2015)."""

    kind: Literal["cyclic"] = "cyclic"
    n_s: Steps = Field(
        500,
        description="Half a cycle, in update steps or as 'K epochs'.",
        json_schema_extra=instead("must be a whole number of steps, at least 1, or text such as 2 epochs"),
    )
    cycles: Count = 1
    eta_min: Rate = 1e-5
    eta_max: Rate = 1e-1
    cycle_growth: Growth = Field(1, description="Each cycle is so many times as long as the one before.")
    cycle_shrink: Factor = Field(1.0, description="And so many times as high; 0.5 is Smith's triangular2.")


class Constant(Model):
    """The same eta throughout."""

    kind: Literal["constant"]
    eta: Rate = 0.01
    epochs: Count = 40


class Step(Model):
    """eta times factor after every so many epochs."""

    kind: Literal["step"]
    eta: Rate = 0.01
    epochs: Count = 40
    every: Count = Field(10, description="Epochs between two decays.")
    factor: Factor = 0.1


class Exponential(Model):
    """eta times factor ** epoch, the epoch counted in fractions."""

    kind: Literal["exponential"]
    eta: Rate = 0.01
    epochs: Count = 40
    factor: Factor = Field(0.9, description="Decay an epoch.")


Schedule = Annotated[Cyclic | Anneal | Constant | Step | Exponential, Field(discriminator="kind")]


class Training(Model):
    """The mini-batch loop."""

    batch_size: Count = 100
    lam: Annotated[float, Field(ge=0)] = Field(
        0.0, alias="lambda", description="J = loss + lambda * sum of squared weights."
    )
    shuffle: bool = Field(True, description="A new order of the training images every epoch.")
    schedule: Schedule = Cyclic()
    optimizer: Optimizer = Sgd()
    loss: Literal["cross-entropy", "hinge"] = Field(
        "cross-entropy", description="hinge is the multi-class SVM's: the sum of max(0, z_k - z_y + 1) over k != y."
    )
    label_smoothing: Share = Field(0.0, description="Share of a label's probability spread over all classes.")
    dropout: Dropout = Dropout()
    jitter: Jitter = Jitter()
    average: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="Share of a cycle, at its end, over which weights are averaged; it ends with their mean."
    )

    @field_validator("schedule", "optimizer", mode="before")
    @classmethod
    def _kind(cls, value: Any, info: ValidationInfo) -> Any:
        kind = {"schedule": "cyclic", "optimizer": "sgd"}[str(info.field_name)]
        return {"kind": kind} | value if isinstance(value, dict) else value


class Evaluation(Model):
    """How often the curves are measured."""

    per_cycle: Count | None = Field(
        None,
        description="Measurements a cycle; by default 10 for cyclic schedules, else the first cycle has one an epoch.",
    )
    train_cost: Literal["all", "running_mean", "moving_average"] = Field(
        "all",
        description="Training cost on all training images, as the running mean of the costs of the batches so far, or "
        "as their moving average (0.99 of the old, 0.01 of the new); the last two measure no training accuracy.",
    )


class Settings(Model):
    """One experiment, whole."""

    label: Annotated[str, StringConstraints(pattern=LABEL)] = Field(
        "unnamed",
        description="Part of the run folder's name.",
        json_schema_extra=instead(
            "must be text of 1 to 64 letters, digits, dots, dashes and underscores that starts with a letter or a digit"
        ),
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 42
    data: Data = Data()
    network: Network = Network()
    training: Training = Training()
    evaluation: Evaluation = Evaluation()
    search: Search | None = Field(None, description="Which settings a search tries; None means the defaults of one.")

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if found := list(contradictions(self)):
            text = "; ".join(f"{problem.keys[0]} = {problem.value}: {problem.sentence}" for problem in found)
            raise PydanticCustomError("contradictions", "{text}", {"text": text, "found": found})
        return self

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


class Contradiction(NamedTuple):
    """Valid values that do not go together: the keys, the one at fault first, its value, and what would be right."""

    keys: tuple[str, ...]
    value: Any
    sentence: str


def contradictions(settings: Settings) -> Iterator[Contradiction]:
    """All that is wrong with settings whose every value is fine by itself."""
    keys: tuple[str, ...]
    yield from _data_contradictions(settings.data)
    n, batch_size = settings.data.n_train, settings.training.batch_size
    if 1 <= n < batch_size:
        keys = ("training.batch_size", "data.train", "data.validation", "data.limit")
        yield Contradiction(keys, batch_size, f"must be at most {n}, the number of training images")
    yield from _training_contradictions(settings)
    for found in search.contradictions(settings.search) if settings.search else ():
        yield Contradiction(*found)


def _training_contradictions(settings: Settings) -> Iterator[Contradiction]:
    training, dims = settings.training, settings.data.dims
    schedule, jitter = training.schedule, training.jitter
    if isinstance(schedule, Cyclic | Anneal):
        if schedule.eta_min > schedule.eta_max:
            both = ("training.schedule.eta_min", "training.schedule.eta_max")
            yield Contradiction(both, schedule.eta_min, f"must be at most eta_max, which is {schedule.eta_max:g}")
        if schedule.cycle_growth > 1 and schedule.cycles > GROWING:
            both = ("training.schedule.cycles", "training.schedule.cycle_growth")
            yield Contradiction(both, schedule.cycles, f"must be at most {GROWING} where cycles grow")
    if training.loss == "hinge" and training.label_smoothing:
        both = ("training.label_smoothing", "training.loss")
        yield Contradiction(both, training.label_smoothing, "must be 0 with the hinge loss, which has no probabilities")
    if training.dropout.hidden and not settings.network.hidden:
        both = ("training.dropout.hidden", "network.hidden")
        yield Contradiction(both, training.dropout.hidden, "must be 0 without a hidden layer")
    for name in ("flip", "shift"):
        if getattr(jitter, name) and dims not in (None, IMAGE_VALUES):
            both = (f"training.jitter.{name}", "data.dims")
            yield Contradiction(
                both, getattr(jitter, name), "must be off where data.dims leaves out a part of the images"
            )


def _data_contradictions(data: Data) -> Iterator[Contradiction]:
    train, validation = data.batches, data.validation
    for key, batches in ("train", train), ("validation", validation):
        if isinstance(batches, tuple) and len(set(batches)) < len(batches):
            yield Contradiction((f"data.{key}",), list(batches), "must name every batch once")
    if isinstance(validation, int):
        n = len(set(train)) * BATCH_IMAGES
        if validation >= n:
            sentence = f"must be below {n}, the images that there are: none would be left to train on"
            yield Contradiction(("data.validation", "data.train"), validation, sentence)
    elif shared := sorted(set(train) & set(validation)):
        sentence = f"must not name batch {shared[0]}, which trains; name another, or a number of images to hold out"
        yield Contradiction(("data.validation", "data.train"), list(validation), sentence)
