"""What all settings share: frozen, strict classes that hold a part of a config and do what it says."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints


def whole(value: Any) -> Any:
    """Take 1e3 for the whole number that it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(whole)  # after the bounds, Annotated[int, Field(ge=1), WHOLE], or the JSON Schema lacks them
Count = Annotated[int, Field(ge=1, le=10**9), WHOLE]  # bounded, so that a product of counts fits into 64 bits
Steps = Count | Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,5} epochs?$")]
Growth = Annotated[int, Field(ge=1, le=10), WHOLE]
Rate = Annotated[float, Field(gt=0)]
Factor = Annotated[float, Field(gt=0, le=1)]
Share = Annotated[float, Field(ge=0, lt=1)]


class Setting(BaseModel):
    """Unknown keys are errors, values never change, text is never taken for a number."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        validate_default=True,
        allow_inf_nan=False,
        validate_by_alias=True,
        validate_by_name=True,
    )


def message(sentence: str) -> dict[str, Any]:
    """What to say of a value that fits none of a field's types; editors read it from the JSON Schema."""
    return {"errorMessage": sentence}


def as_tuple(value: Any) -> Any:
    """Take a list of YAML or JSON for a tuple."""
    return tuple(value) if isinstance(value, list) else value


def in_steps(value: int | str, epoch: int) -> int:
    """Return a number of update steps given as such or as "K epochs", with ``epoch`` updates in an epoch."""
    return value if isinstance(value, int) else int(re.findall(r"\d+", value)[0]) * epoch
