"""The numbers that reports print: what a text means, where it stands, and what of ours it is compared with."""

from __future__ import annotations

import math
import re
from typing import Annotated, Literal, TypeVar

from pydantic import BeforeValidator, Field, model_validator

from cifarnet.setting import Setting, as_tuple
from cifarnet.studies.check import Method

T = TypeVar("T")
Several = Annotated[tuple[T, ...], BeforeValidator(as_tuple)]
Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
Printed = dict[str, Annotated[tuple[Text, ...], BeforeValidator(lambda v: tuple(v) if isinstance(v, list) else (v,))]]
Measure = Literal[
    "test_accuracy", "test_loss", "test_cost",
    "validation_accuracy", "validation_loss", "validation_cost",
    "train_accuracy", "train_loss", "train_cost",
    "loss_gap", "rises", "seconds",
    "norm_relative_error", "max_absolute_error", "mean_absolute_error", "mean_signed_error",
]  # fmt: skip


def quantity(text: str, *, large: bool = True) -> float:
    """Return the number that a printed text means.

    "46.72%" is 0.4672, "2 min 39 sec" 159, "-2,5395" -2.5395, "–" NaN and "45,000" 45000, or 45 where the number can
    not be ``large``, as an accuracy or a loss.

    Raises
    ------
    ValueError
        If the text is none of these; the study then has to give the value itself.
    """
    if text and (time := re.fullmatch(r"(?:([\d.]+) min(?:utes)? ?)?(?:([\d.]+) sec(?:onds)?)?", text)):
        return 60 * float(time[1] or 0) + float(time[2] or 0)
    if text == "–":
        return math.nan
    if large and re.fullmatch(r"\d{1,3}([,.]000)+", text):
        return float(re.sub("[,.]", "", text))
    return float(text.rstrip(" %").replace(",", ".")) / (100 if text.endswith("%") else 1)


def result(measure: str, text: str) -> float:
    """Return a printed accuracy, cost or loss; ValueError if it is none, or lacks its percent sign or has one."""
    try:
        value = quantity(text, large=False)
    except ValueError as error:
        raise ValueError("is no number") from error
    if measure.endswith("_accuracy") and value > 1:
        raise ValueError("write 38.2% or 0.382")
    if not measure.endswith("_accuracy") and "%" in text:
        raise ValueError("is no percentage")
    if not 0 <= value < math.inf:
        raise ValueError("must be a number, at least 0")
    return value


def resolution(text: str, value: float | None = None) -> float:
    """Return half a unit of the last digit of a printed number: .005 for "45 %", "0.82" and, as .45, "about 45"."""
    found = re.search(r"\d+(?:[.,]\d+)?(?:e[-+]?\d+)?", text.lower())
    number = found[0].replace(",", ".") if found else "0"
    mantissa, _, exponent = number.partition("e")
    half = 0.5 * 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
    if value and float(number):  # in the unit of the value
        return half * abs(value) / float(number)
    return half / 100 if "%" in text else half


class Number(Setting):
    """A number that a report prints, and where."""

    text: Text = Field(description="The number as the report prints it.")
    value: float | None = Field(None, description="What the text means, where that cannot be read off it.")
    place: str = ""
    reason: str = Field("", description="Why it is not compared, where it is not.")

    @model_validator(mode="after")
    def _readable(self) -> Number:
        _ = self.quantity
        return self

    @property
    def quantity(self) -> float:
        return quantity(self.text) if self.value is None else self.value

    @property
    def half(self) -> float:
        """Half a unit of its last digit."""
        return resolution(self.text, self.value)


class Reported(Number):
    """A result of a training or of a gradient check."""

    measure: Measure
    at: Literal["first", "end"] = Field("end", description="The first measurement after the start, or the last.")
    method: Method | None = None
    parameter: str | None = Field(None, description="W1, b1, ...; by default the worst of all.")
    bound: bool = Field(False, description='The report says "less than".')
    best: int | None = Field(None, ge=1, description="It is this one of its exhibit's trials, from the best down.")
    explanation: str = Field("", description="What was found, shown where it is incompatible; see FILLED.")

    @property
    def quantity(self) -> float:
        return quantity(self.text, large=False) if self.value is None else self.value

    @model_validator(mode="after")
    def _possible(self) -> Reported:
        compared = not self.reason and self.value is None and not math.isnan(self.quantity)
        if compared and self.measure.endswith(("accuracy", "loss", "cost")):
            try:
                result(self.measure, self.text)
            except ValueError as error:
                raise ValueError(f"{self.measure} {self.text}: {error}") from error
        return self


class Remark(Number):
    """A number that is no result of ours."""

    what: Text
