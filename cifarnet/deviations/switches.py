"""The deviations as switches of a config, by name; those that are on make up the steps of a training."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import Field, create_model, model_serializer

from cifarnet.deviations.classes import DEVIATIONS
from cifarnet.deviations.practice import Place, Practice
from cifarnet.setting import Setting


@cache
def practice(names: tuple[str, ...] = ()) -> Practice:
    """Return what has the steps of these deviations, and all others as the assignment has them."""
    found: Practice = type("Practice", tuple(DEVIATIONS[name] for name in names) or (Practice,), {})()
    return found


class Switches(Setting):
    """Mistakes and habits of others' programs: what it is, how it comes about, how it shows, how to correct it."""

    def on(self, *places: Place) -> tuple[str, ...]:
        """Return the switches that are on, of these places or of all."""
        return tuple(k for k, d in DEVIATIONS.items() if getattr(self, k) and (not places or d.place in places))

    @property
    def practice(self) -> Practice:
        """The steps with these deviations."""
        return practice(self.on())

    @model_serializer
    def _only_on(self) -> dict[str, bool]:
        return dict.fromkeys(self.on(), True)

    def clashes(self) -> Iterator[tuple[str, str]]:
        """Yield pairs of switches that cannot both be on."""
        first: dict[str, str] = {}
        for name in self.on():
            group = DEVIATIONS[name].group
            if group and (other := first.setdefault(group, name)) != name:
                yield name, other


def switch(deviation: type[Practice]) -> Any:
    """Return the field of a deviation: what it is, how it comes about, how it shows, and the cure."""
    sentences = [str(deviation.__doc__), deviation.origin, deviation.sign, deviation.cure]
    return bool, Field(False, description=" ".join(sentences))


if TYPE_CHECKING:
    Deviations = Switches
else:
    switches = {name: switch(deviation) for name, deviation in DEVIATIONS.items()}
    Deviations = create_model(
        "Deviations", __base__=Switches, __doc__=Switches.__doc__, __module__=__name__, **switches
    )
