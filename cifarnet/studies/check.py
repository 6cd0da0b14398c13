"""The gradient check of a report."""

from __future__ import annotations

import threading
from typing import Annotated, Literal

from pydantic import Field

from cifarnet.config import Settings
from cifarnet.data import Split
from cifarnet.experiments.gradients import problem
from cifarnet.setting import LIST, Setting

Method = Literal["forward", "centred", "complex-step"]


class Check(Setting):
    """A gradient check of a report: by which methods and step, on how many images, the first or random ones."""

    methods: Annotated[tuple[Method, ...], LIST]
    samples: Annotated[int, Field(ge=1)]
    random: bool = False
    step: Annotated[float, Field(gt=0)]

    def results(self, settings: Settings, split: Split, stop: threading.Event) -> dict[str, float] | None:
        """Return the errors by method.parameter.measure, ``all`` for the worst parameter; None when it is stopped."""
        found, compared = dict[str, float](), problem(settings, split, self.samples, random_samples=self.random)
        for method in self.methods:
            numerical = []
            for derivative in compared.derivatives(method, self.step):
                numerical.append(derivative)
                if stop.is_set():
                    return None
            table = [errors._asdict() for errors in compared.errors(numerical)]
            measures = [name for name in table[0] if name != "name"]
            found |= {f"{method}.{row['name']}.{measure}": row[measure] for row in table for measure in measures}
            found |= {f"{method}.all.{measure}": max(row[measure] for row in table) for measure in measures}
        return found
