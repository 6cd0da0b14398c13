"""What all settings share: the kind of model, counts and rates, and what is said of a value that fits no type."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Batch = Annotated[int, Field(ge=1, le=5)]
Count = Annotated[int, Field(ge=1, le=10**9)]  # bounded, so that no product of counts is beyond an int64 or a lifetime
Steps = Count | Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,5} epochs?$")]
Rate = Annotated[float, Field(gt=0)]
Factor = Annotated[float, Field(gt=0, le=1)]


class Model(BaseModel):
    """What all settings share: unknown keys are errors, values do not change, text is never taken for a number."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        validate_default=True,
        allow_inf_nan=False,
        validate_by_alias=True,
        validate_by_name=True,
    )


def instead(sentence: str) -> dict[str, Any]:
    """What is said of a value that fits none of a field's types; editors that read the JSON Schema say it too."""
    return {"errorMessage": sentence}


def as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
