"""What all settings share: frozen, strict classes that hold a part of a config and do what it says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler, StringConstraints
from pydantic_core import CoreSchema, PydanticCustomError, ValidationError, core_schema


def whole(value: Any) -> Any:
    """Take 1e3 for the whole number that it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(whole)  # after the bounds, Annotated[int, Field(ge=1), WHOLE], or the JSON Schema lacks them
Count = Annotated[int, Field(ge=1, le=10**9), WHOLE]  # bounded, so that a product of counts fits into 64 bits
Growth = Annotated[int, Field(ge=1, le=10), WHOLE]
Rate = Annotated[float, Field(gt=0)]
Factor = Annotated[float, Field(gt=0, le=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Amount = Annotated[float, Field(ge=0, le=1)]


def wrong(sentence: str) -> PydanticCustomError:
    """Return the error of a value that has to be otherwise."""
    return PydanticCustomError("sentence", "{sentence}", {"sentence": sentence})


@dataclass(frozen=True)
class Says:
    """What to say of a value that does not fit; editors read it from the JSON Schema.

    ``inside`` says that one of the types is a mapping: of a mapping is said what is wrong in it.
    """

    sentence: str
    inside: bool = False

    def validate(self, value: Any, handler: Callable[[Any], Any]) -> Any:
        """Replace all that is wrong, such as every type that a value could have had, by the sentence."""
        try:
            return handler(value)
        except ValidationError as error:
            if self.inside and isinstance(value, dict):
                raise
            raise wrong(self.sentence) from error

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], CoreSchema]) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(self.validate, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(core), "errorMessage": self.sentence}


Steps = Annotated[
    Count | Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,5} epochs?$")],
    Says("must be a whole number of steps, from 1 to 1e9, or text such as 2 epochs"),
]


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

    def changed(self, **parts: Mapping[str, Any]) -> Self:
        """Return settings with other values, which are not validated, in some of their parts."""
        return self.model_copy(update={k: getattr(self, k).model_copy(update=v) for k, v in parts.items()})

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Show what is not as by default."""
        for name, value in super().__repr_args__():
            field = type(self).model_fields.get(str(name))
            if not field or value != field.get_default(call_default_factory=True, validated_data={}):
                yield name, value


def as_tuple(value: Any) -> Any:
    """Take a list of YAML or JSON for a tuple."""
    return tuple(value) if isinstance(value, list) else value


LIST = BeforeValidator(as_tuple)


@dataclass(frozen=True)
class Kind:
    """A word is the kind, with the defaults of its other keys; a mapping without a kind has the default one."""

    default: str

    def complete(self, value: Any) -> Any:
        """Return the value as it is written in full."""
        value = {"kind": value} if isinstance(value, str) else value
        return {"kind": self.default} | value if isinstance(value, dict) else value

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], CoreSchema]) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.complete, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        node = handler(core)
        return {"anyOf": [{"type": "string", "enum": list(node["discriminator"]["mapping"])}, node]}


def in_steps(value: int | str, epoch: int) -> int:
    """Return a number of update steps given as such or as "K epochs", with ``epoch`` updates in an epoch."""
    return value if isinstance(value, int) else int(re.findall(r"\d+", value)[0]) * epoch
