"""Numbers as reports print them: what a text means, how exactly it says so, and what it is of."""

from __future__ import annotations

import math
import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from cifarnet.config.model import Model

Measure = Literal[
    "test_accuracy", "test_loss", "test_cost",
    "validation_accuracy", "validation_loss", "validation_cost",
    "train_accuracy", "train_loss", "train_cost",
    "loss_gap", "rises", "seconds",
    "norm_relative_error", "max_absolute_error", "mean_absolute_error", "mean_signed_error",
]  # fmt: skip
Method = Literal["forward", "centred", "complex-step"]
Text = Annotated[str, Field(min_length=1)]


def quantity(text: str) -> float:
    """The number that a printed text means: "46.72%" is 0.4672, "2 min 39 sec" 159, "-2,5395" -2.5395, "–" none.

    Raises
    ------
    ValueError
        If the text is none of these; the study then has to say the value itself.
    """
    if time := re.fullmatch(r"(?:([\d.]+) min(?:utes)? ?)?(?:([\d.]+) sec(?:onds)?)?", text):
        return 60 * float(time[1] or 0) + float(time[2] or 0)
    if text == "–":
        return math.nan
    if re.fullmatch(r"\d{1,3}([,.]000)+", text):
        return float(re.sub("[,.]", "", text))
    return float(text.rstrip(" %").replace(",", ".")) / (100 if text.endswith("%") else 1)


def resolution(text: str) -> float:
    """Half a unit of the last digit of a printed number: "45 %" allows 0.005, "0.82" too, "0.4612" 0.00005."""
    mantissa, _, exponent = text.rstrip(" %").replace(",", ".").lower().partition("e")
    decimals = len(mantissa.partition(".")[2]) - int(exponent or 0) + (2 if text.endswith("%") else 0)
    return 0.5 * 10.0**-decimals


class Number(Model):
    """A number that a report prints, and where."""

    text: Text = Field(description="The number as the report prints it.")
    value: float | None = Field(None, description="What the text means, where that cannot be read off it.")
    place: str = ""
    reason: str = Field("", description="Why it is not compared, where it is not.")

    @model_validator(mode="after")
    def _readable(self) -> Number:
        if self.value is None:
            quantity(self.text)
        return self

    @property
    def quantity(self) -> float:
        return quantity(self.text) if self.value is None else self.value


class Reported(Number):
    """A result of a training or of a gradient check."""

    measure: Measure
    at: Literal["first", "end"] = Field("end", description="The first measurement after the start, or the last.")
    method: Method | None = None
    parameter: str | None = Field(None, description="W1, b1, ...; by default the worst of all.")
    bound: bool = Field(False, description='The report says "less than".')
    explanation: str = Field("", description="What was found, shown where ours differs.")


class Remark(Number):
    """A number that is no result of ours."""

    what: Text
