"""The settings of an experiment: frozen, validated, with the names that the course uses."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from cifarnet.config.search import HeldOut, Lambda, Search, TrainBatches
from cifarnet.deviations import Deviations, Practice, practice
from cifarnet.nn.augmentation import Augmentation
from cifarnet.nn.dropout import Dropout
from cifarnet.nn.losses import L2, CrossEntropy, Hinge, Loss
from cifarnet.nn.optimizers import SGD, AnyOptimizer
from cifarnet.nn.schedules import Anneal, AnySchedule, Cyclic, Schedule
from cifarnet.readable import flatten
from cifarnet.setting import LIST, WHOLE, Amount, Count, Kind, Rate, Says, Setting, Share, as_tuple

BATCH_IMAGES = 10_000  # in each of the five training batches
IMAGE_VALUES = 3072  # 32 x 32 x 3
CLASSES = 10
GROWING = 20  # cycles that grow; each ten times as long as the one before, they would outlast any lifetime
LABEL_LENGTH = 64


def as_label(name: str) -> str:
    """Return a name as a label: letters of any script, digits and ._- stay, whatever else becomes a dash."""
    kept = (c if c in ".-" or f"x{c}".isidentifier() else "-" for c in unicodedata.normalize("NFC", name))
    return re.sub(r"^[\W_]+", "", "".join(kept))[:LABEL_LENGTH]


def checked_label(text: str) -> str:
    label = unicodedata.normalize("NFC", text)
    if label != as_label(label):
        raise ValueError("no label")  # the sentence stands below
    return label


Label = Annotated[
    str,
    Field(min_length=1, max_length=LABEL_LENGTH),
    AfterValidator(checked_label),
    Says("must be text of 1 to 64 letters, digits, dots, dashes and underscores that starts with a letter or a digit"),
]


class Data(Setting):
    """Which images train, which validate, and how their pixels are scaled."""

    source: Literal["cifar10", "synthetic"] = Field("cifar10", description="The real images, or synthetic data.")
    train: TrainBatches = Field((1,), description="Training batches.")
    validation: HeldOut = Field(
        (2,), description="Validation batches, or how many of the training images are held out."
    )
    holdout_seed: Annotated[int, Field(ge=0), WHOLE] | None = Field(
        None, description="Hold out images drawn with this seed instead of the last ones in official order."
    )
    limit: Count | None = Field(None, description="Train on this many images only, the first ones.")
    dims: Annotated[int, Field(ge=1, le=IMAGE_VALUES), WHOLE] | None = Field(
        None, description="Use this many inputs only, the first ones."
    )
    normalize: Literal["standardize", "centre", "scale"] = Field(
        "standardize",
        description="standardize: (x - mean) / std of the training images; centre: x / 255 - mean; scale: x / 255.",
    )
    _deviations: tuple[str, ...] = ()  # those of the inputs, from the deviations of the experiment

    @property
    def practice(self) -> Practice:
        """How the inputs are normalised."""
        return practice(self._deviations)

    @property
    def batches(self) -> tuple[int, ...]:
        return (1, 2, 3, 4, 5) if self.train == "all" else self.train

    @property
    def n_train(self) -> int:
        held_out = self.validation if isinstance(self.validation, int) else 0
        n = len(self.batches) * BATCH_IMAGES - held_out
        return n if self.limit is None else min(n, self.limit)

    @property
    def n_validation(self) -> int:
        v = self.validation
        return v if isinstance(v, int) else BATCH_IMAGES * len(v)

    @property
    def d(self) -> int:
        return self.dims or IMAGE_VALUES


class Gaussian(Setting):
    """Normally distributed weights."""

    std: Rate | Annotated[tuple[Rate, ...], Field(min_length=1), LIST] = Field(
        description="Standard deviation of every weight, or a list with that of each layer's."
    )


Init = Annotated[
    Literal["xavier", "he"] | Gaussian,
    Says("must be xavier, he, or a standard deviation such as {std: 0.01}", inside=True),
]
Nodes = Annotated[int, Field(ge=1, le=100_000), WHOLE]
Width = Annotated[int, Field(ge=0, le=100_000), WHOLE]  # 0: there is none


def layers(value: Any) -> Any:
    """Take a number for a list of one, and 0 for none."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (value,) if value else ()
    return as_tuple(value)


class Network(Setting):
    """The hidden layers and how their weights start."""

    hidden: Annotated[tuple[Nodes, ...], BeforeValidator(layers, json_schema_input_type=Width | tuple[Nodes, ...])] = (
        Field((50,), description="Nodes of each hidden layer; 0 or [] if there is none.")
    )
    init: Init = Field(
        "xavier",
        description="xavier: std 1/sqrt(d_in); he: std sqrt(2/d_in); or {std: s}, or {std: [s1, s2]}, one a layer.",
    )


class Training(Setting):
    """The mini-batch loop."""

    batch_size: Count = Field(100, description="Images of one update.")
    lam: Lambda = Field(0.0, alias="lambda", description="J = loss + lambda * sum of squared weights.")
    shuffle: bool = Field(True, description="A new order of the training images every epoch.")
    schedule: Annotated[AnySchedule, Kind("cyclic")] = Cyclic()
    optimizer: Annotated[AnyOptimizer, Kind("sgd")] = SGD()
    loss: Literal["cross-entropy", "hinge"] = Field(
        "cross-entropy", description="hinge is the multi-class SVM's: the sum of max(0, z_k - z_y + 1) over k != y."
    )
    label_smoothing: Share = Field(0.0, description="Fraction of a label's probability spread over all classes.")
    dropout: Dropout = Dropout()
    augmentation: Augmentation = Augmentation()
    average: Amount = Field(
        0.0, description="Fraction of a cycle, at its end, whose weights, of each 20th update, end it as their mean."
    )

    @property
    def loss_function(self) -> Loss:
        """The loss that is trained; its ``measured`` is the one that is reported."""
        return Hinge() if self.loss == "hinge" else CrossEntropy(self.label_smoothing)

    @property
    def l2(self) -> L2:
        """The L2 term of the cost."""
        return L2(self.lam)


class Evaluation(Setting):
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


class Settings(Setting):
    """One experiment."""

    label: Label = Field(
        "unnamed", description="Part of the run folder's name; by default the config's file name, spaces as dashes."
    )
    seed: Annotated[int, Field(ge=0, lt=2**63), WHOLE] = Field(42, description="Seed of every random stream.")
    deviations: Deviations = Field(Deviations(), exclude_if=lambda deviations: deviations == Deviations())
    data: Data = Data()
    network: Network = Network()
    training: Training = Training()
    evaluation: Evaluation = Evaluation()
    search: Search | None = Field(None, description="Which settings a search tries; null means the defaults of one.")

    @field_validator("data")
    @classmethod
    def _inputs(cls, data: Data, info: ValidationInfo) -> Data:
        names = info.data["deviations"].on("inputs") if "deviations" in info.data else ()
        if data._deviations != names:
            data = data.model_copy()
            data._deviations = names
        return data

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if found := list(contradictions(self)):
            values = flatten(self.model_dump(mode="json", by_alias=True))
            lines = [(keys, f"{keys[0]} = {json.dumps(values[keys[0]])}: {sentence}") for keys, sentence in found]
            text = "; ".join(line for _, line in lines)
            raise PydanticCustomError("contradictions", "{text}", {"text": text, "lines": lines})
        return self

    @property
    def sizes(self) -> tuple[int, ...]:
        """Nodes of every layer: input, hidden ones, output."""
        return (self.data.d, *self.network.hidden, CLASSES)

    @property
    def steps_per_epoch(self) -> int:
        """floor(n / batch_size): the remainder of an epoch is dropped, as the reports do."""
        return self.deviations.practice.updates_of_epoch(self.data.n_train, self.training.batch_size)

    @property
    def updates(self) -> int:
        """How many updates a training has."""
        return self.deviations.practice.updates(self.training.schedule, self.steps_per_epoch, self.training.batch_size)


Contradiction = tuple[list[str], str]  # the keys, the one at fault first, and what would be right


def contradictions(settings: Settings) -> Iterator[Contradiction]:
    """Yield what does not go together in settings whose every value is right by itself."""
    data, training, n = settings.data, settings.training, settings.data.n_train
    yield from contradictions_of_data(data)
    yield from contradictions_of_schedule(training.schedule, training.average)
    yield from contradictions_of_deviations(settings)
    if 1 <= n < training.batch_size:
        keys = ["training.batch_size", "data.train", "data.validation", "data.limit"]
        yield keys, f"must be at most {n}, the number of training images"
    if training.loss == "hinge" and training.label_smoothing:
        keys = ["training.label_smoothing", "training.loss"]
        yield keys, "must be 0 with the hinge loss, which has no probabilities"
    if training.dropout.hidden and not settings.network.hidden:
        yield ["training.dropout.hidden", "network.hidden"], "must be 0 without a hidden layer"
    init, layers = settings.network.init, len(settings.sizes) - 1
    if isinstance(init, Gaussian) and isinstance(init.std, tuple) and len(init.std) != layers:
        yield ["network.init.std", "network.hidden"], f"must be {layers}, one for each layer"
    for name in ("flip", "shift"):
        if data.d < IMAGE_VALUES and getattr(training.augmentation, name):
            keys = [f"training.augmentation.{name}", "data.dims"]
            yield keys, "must be off where data.dims leaves out a part of the images"
    if settings.search:
        yield from contradictions_of_search(settings.search)


def contradictions_of_data(data: Data) -> Iterator[Contradiction]:
    held_out, keys, n = data.validation, ["data.validation", "data.train"], len(data.batches) * BATCH_IMAGES
    for key, batches in ("data.train", data.batches), ("data.validation", held_out):
        if isinstance(batches, tuple) and len(set(batches)) < len(batches):
            yield [key], "must name every batch once"
    if isinstance(held_out, int) and held_out >= n:
        yield keys, f"must be below {n}, the images that there are: none would be left to train on"
    if isinstance(held_out, tuple) and (both := set(data.batches) & set(held_out)):
        sentence = f"must not name batch {min(both)}, which trains; name another, or a number of images to hold out"
        yield keys, sentence


def contradictions_of_schedule(schedule: Schedule, average: float) -> Iterator[Contradiction]:
    if isinstance(schedule, Cyclic | Anneal):
        if schedule.eta_min > schedule.eta_max:
            keys = ["training.schedule.eta_min", "training.schedule.eta_max"]
            yield keys, f"must be at most eta_max, which is {schedule.eta_max:g}"
        keys = ["training.schedule.cycles", "training.schedule.cycle_growth"]
        if schedule.cycle_growth > 1 and schedule.cycles > GROWING:
            yield keys, f"must be at most {GROWING} where cycles grow"
        if isinstance(schedule.cycles, float) and (schedule.cycle_growth > 1 or average):
            yield [*keys, "training.average"], "must be whole where cycles grow, or end with an average"


def contradictions_of_deviations(settings: Settings) -> Iterator[Contradiction]:
    """Yield deviations that exclude each other, or that would change nothing."""
    schedule, deviations = settings.training.schedule, settings.deviations
    for name, other in deviations.clashes():
        yield [f"deviations.{name}", f"deviations.{other}"], f"must be false where deviations.{other} is true"
    for place, key, there, why in (
        ("inputs", "data.normalize", settings.data.normalize != "scale", "the inputs are not normalised"),
        ("length", "training.schedule.kind", isinstance(schedule, Cyclic), "the schedule has no cycles"),
        ("order", "training.shuffle", settings.training.shuffle, "the images are not shuffled"),
    ):
        for name in () if there else deviations.on(place):  # type: ignore[arg-type]
            yield [f"deviations.{name}", key], f"must be false, as {why}"


def contradictions_of_search(search: Search) -> Iterator[Contradiction]:
    for name, stage in ("coarse", search.coarse), ("fine", search.fine):
        keys = [f"search.{name}.l_min", f"search.{name}.l_max"]
        if (stage.l_min is None) != (stage.l_max is None):
            yield keys, "must be given together with l_max, or neither of them"
        elif stage.l_min is not None and stage.l_max is not None and stage.l_min > stage.l_max:
            yield keys, f"must be at most l_max, which is {stage.l_max:g}"
