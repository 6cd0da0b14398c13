"""What a search tries: the coarse stage, the fine one, what is searched, and the training that the best trial gets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, StringConstraints, field_validator, model_validator
from pydantic.json_schema import SkipJsonSchema

from cifarnet.setting import LIST, WHOLE, Count, Says, Setting, Steps, wrong

Number = int | float
Lambda = Annotated[float, Field(ge=0)]
Exponent = Annotated[float, Field(ge=-30, le=30)]
Batches = Annotated[tuple[Annotated[int, Field(ge=1, le=5), WHOLE], ...], Field(min_length=1), LIST]
TrainBatches = Annotated[Literal["all"] | Batches, Says("must be all, or a list of batches 1 to 5, such as [1, 3]")]
HeldOut = Annotated[
    Count | Batches, Says("must be a number of images to hold out, at least 1, or a list of batches 1 to 5")
]
Range = Annotated[
    Literal["between best two"] | Annotated[str, StringConstraints(pattern=r"^best [1-9][0-9]{0,3}$")],
    Says("must be text such as best 3, or between best two"),
]
T = TypeVar("T")
Many = Annotated[tuple[T, ...], Field(min_length=1, max_length=10_000)]


class Axis(Setting):
    """One searched setting: 10^l with l in an interval, an interval itself, or a list of values."""

    log10: Annotated[tuple[Exponent, Exponent] | None, LIST, Says("must be two numbers, such as [-5, -1]")] = Field(
        None, description="10^l, l from here."
    )
    linear: Annotated[tuple[float, float] | None, LIST, Says("must be [low, high], such as [20, 200]")] = Field(
        None, description="From this interval."
    )
    values: Annotated[Many[Number] | None, LIST, Says("must be a list of numbers, such as [50, 100]")] = Field(
        None, description="These values."
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if len(self.model_dump(exclude_none=True)) != 1:
            raise wrong("must have one of log10, linear and values")
        if any(low > high for low, high in filter(None, (self.log10, self.linear))):
            raise wrong("must have the lower end of its interval first")
        return self


class Stage(Setting):
    """How many trials, how long each, and where in the space."""

    trials: Annotated[int, Field(ge=1, le=10_000), WHOLE] = Field(8, description="How many settings are tried.")
    cycles: Count = Field(2, description="Length of each training.")
    n_s: Steps = Field("2 epochs", description="Half a cycle, as in the schedule.")
    sampling: Literal["uniform", "grid", "halton", "tpe"] = Field(
        "uniform",
        description="uniform: at random; grid: evenly, ends included; halton: at random, but evenly spread; tpe: at "
        "random at first, then where the best trials were (pip install 'cifarnet[tpe]').",
    )
    seeds: Annotated[int, Field(ge=1, le=100), WHOLE] = Field(
        1, description="Trainings of each trial, with the seeds seed, seed + 1, ...; ranked by their mean."
    )
    values: Annotated[Many[Lambda] | None, LIST, Says("must be a list of lambdas, such as [0.001, 0.01]")] = Field(
        None, description="Exactly these lambdas instead of sampled ones."
    )
    halving: SkipJsonSchema[Any] = Field(None, exclude=True)  # a key of old run folders, which does nothing now


class Coarse(Stage):
    """The first look: lambda = 10^l, l in [l_min, l_max]."""

    l_min: Exponent = Field(-5.0, description="Lower end of l.")
    l_max: Exponent = Field(-1.0, description="Upper end of l.")


class Fine(Stage):
    """The closer look: more cycles on a range that an earlier search found, or a given one."""

    cycles: Count = Field(4, description="Length of each training.")
    range: Range = Field(
        "best 3",
        description="best K: spanned by the K best earlier trials, widened by half their mean distance on both sides, "
        "within the earlier range; or between best two.",
    )
    l_min: Exponent | None = Field(None, description="With l_max: this range, whatever the earlier search found.")
    l_max: Exponent | None = Field(None, description="With l_min.")
    include_best: bool = Field(True, description="The first trial is the earlier best, trained for longer.")


class Final(Setting):
    """The training of best.yaml. A split that `data` states, and this does not, is kept."""

    train: TrainBatches = Field("all", description="Training batches.")
    validation: HeldOut = Field(
        1000, description="How many of the training images are held out, or validation batches."
    )
    cycles: Count = Field(3, description="Length of the training.")
    n_s: Steps = Field("4 epochs", description="Half a cycle, as in the schedule.")


AXES = Says("must be keys with an axis each, such as training.lambda: {log10: [-5, -1]}", inside=True)


class Search(Setting):
    """What `search-lambda` and `search` do. A schedule that `training.schedule` states, and this does not, is kept."""

    over: Annotated[dict[str, Annotated[Axis, AXES]], AXES] = Field(
        {},
        description="For `search`: what to try, by dotted key; each has log10: [low, high] (10^l, l from low to high), "
        "linear: [low, high], or values: [...]. Set as a mapping, it replaces that of the config.",
    )
    coarse: Coarse = Coarse()
    fine: Fine = Fine()
    final: Final = Final()

    @field_validator("over", mode="before")
    @classmethod
    def _by_dotted_key(cls, value: Any) -> Any:
        return dict(axes(value)) if isinstance(value, dict) else value


def axes(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield axes by dotted key, from {training.lambda: axis} and from {training: {lambda: axis}} (of --set)."""
    for key, value in tree.items():
        if isinstance(value, dict) and value and not set(value) & set(Axis.model_fields):
            yield from axes(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value
