"""What a search tries: the coarse stage, the fine one, what is searched, and the training that the best one gets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator

from cifarnet.config.model import Batch, Count, Model, Steps, as_tuple, instead

Number = int | float
Trials = Annotated[int, Field(ge=1, le=10_000)]
Exponent = Annotated[float, Field(ge=-30, le=30)]
STEPS = instead("must be a whole number of steps, at least 1, or text such as 2 epochs")


class Axis(Model):
    """One searched setting: 10^l with l in an interval, an interval itself, or a list of values."""

    log10: tuple[Exponent, Exponent] | None = Field(
        None,
        description="10^l, l in this interval.",
        json_schema_extra=instead("must be two numbers, such as [-5, -1]"),
    )
    linear: tuple[float, float] | None = Field(
        None, description="From this interval.", json_schema_extra=instead("must be [low, high], such as [20, 200]")
    )
    values: Annotated[tuple[Number, ...], Field(min_length=1, max_length=10_000)] | None = Field(
        None, description="These values.", json_schema_extra=instead("must be a list of numbers, such as [50, 100]")
    )

    _tuples = field_validator("log10", "linear", "values", mode="before")(as_tuple)


class Stage(Model):
    """How many trials, how long each, and where in the space."""

    trials: Trials = 8
    cycles: Count = 2
    n_s: Steps = Field("2 epochs", description="As in the schedule.", json_schema_extra=STEPS)
    sampling: Literal["uniform", "grid", "halton"] = Field(
        "uniform", description="uniform: at random; grid: evenly, ends included; halton: at random, but evenly spread."
    )
    seeds: Annotated[int, Field(ge=1, le=100)] = Field(
        1, description="Trainings of each trial, with the seeds seed, seed + 1, ...; ranked by their mean."
    )
    halving: Annotated[int, Field(ge=2, le=100)] | None = Field(
        None,
        description="Stop hopeless trials: after each cycle but the last, one in so many goes on, the best ones.",
        json_schema_extra=instead("must be a whole number from 2 to 100, or null"),
    )
    values: Annotated[tuple[Annotated[float, Field(ge=0)], ...], Field(min_length=1, max_length=10_000)] | None = Field(
        None,
        description="Exactly these lambdas instead of sampled ones.",
        json_schema_extra=instead("must be a list of lambdas, such as [0.001, 0.01]"),
    )

    _tuples = field_validator("values", mode="before")(as_tuple)


class Coarse(Stage):
    """The first look: lambda = 10^l, l in [l_min, l_max]."""

    l_min: Exponent = -5.0
    l_max: Exponent = -1.0


class Fine(Stage):
    """The closer look: more cycles on a range that an earlier search found, or a given one."""

    cycles: Count = 4
    range: Literal["between best two"] | Annotated[str, StringConstraints(pattern=r"^best [1-9][0-9]{0,3}$")] = Field(
        "best 3",
        description="best K: spanned by the K best earlier trials, widened by half their mean distance on both sides, "
        "within the earlier range; or between best two.",
        json_schema_extra=instead("must be text such as best 3, or between best two"),
    )
    l_min: Exponent | None = Field(None, description="With l_max: this range, whatever the earlier search found.")
    l_max: Exponent | None = None
    include_best: bool = Field(True, description="The first trial is the earlier best, trained for longer.")


class Final(Model):
    """The training of best.yaml."""

    train: Literal["all"] | Annotated[tuple[Batch, ...], Field(min_length=1)] = "all"
    validation: Count = 1000
    cycles: Count = 3
    n_s: Steps = Field("4 epochs", description="As in the schedule.", json_schema_extra=STEPS)

    _tuples = field_validator("train", mode="before")(as_tuple)


class Search(Model):
    """What `search-lambda` and `search` do."""

    over: dict[str, Axis] = Field(
        {},
        description="For `search`: the settings to try, by dotted key, each with log10, linear or values.",
        json_schema_extra=instead("must be dotted keys of numbers, such as network.hidden: {values: [50, 100]}"),
    )
    coarse: Coarse = Coarse()
    fine: Fine = Fine()
    final: Final = Final()

    @field_validator("over", mode="before")
    @classmethod
    def _dotted(cls, value: Any) -> Any:
        return dict(dotted(value)) if isinstance(value, dict) else value


def dotted(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Axes by dotted key, from {training.lambda: axis} and from {training: {lambda: axis}}, as --set writes it."""
    for key, value in tree.items():
        if isinstance(value, dict) and not set(value) & set(Axis.model_fields) and value:
            yield from dotted(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def contradictions(search: Search) -> Iterator[tuple[tuple[str, ...], Any, str]]:
    """What is wrong with a search whose every value is fine by itself: keys, value, what would be right."""
    for name, stage in ("coarse", search.coarse), ("fine", search.fine):
        low, high = stage.l_min, stage.l_max
        keys = (f"search.{name}.l_min", f"search.{name}.l_max")
        if (low is None) != (high is None):
            yield keys, low, "must be given together with l_max, or neither of them"
        elif low is not None and high is not None and low > high:
            yield keys, low, f"must be at most l_max, which is {high:g}"
    for key, axis in search.over.items():
        given = [name for name in Axis.model_fields if getattr(axis, name) is not None]
        if len(given) != 1:
            yield ("search.over",), key, "must have one of log10, linear and values"
        if any(low > high for low, high in filter(None, (axis.log10, axis.linear))):
            yield ("search.over",), key, "must have the lower end of its interval first"
