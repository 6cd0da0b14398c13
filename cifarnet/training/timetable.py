"""Which update steps are measured, end a cycle, or are averaged: what the settings say, in steps."""

from __future__ import annotations

from dataclasses import dataclass

from cifarnet.config import Settings
from cifarnet.nn.schedules import Place

EVERY = 20  # updates between two samples of an average; each one costs as much as a quarter of an update


@dataclass(frozen=True)
class Timetable:
    """The steps of a training with ``epoch`` updates in an epoch.

    An epoch has floor(n / batch_size) updates: the images left over are not used in it, as in the reports. A network is
    measured before the first update, some times in each cycle, and after the last update.
    """

    settings: Settings
    epoch: int

    @property
    def updates(self) -> int:
        """The number of updates."""
        return self.settings.training.schedule.updates(self.epoch)

    def eta(self, step: int) -> float:
        """Return the learning rate of an update."""
        return self.settings.training.schedule.eta(step, self.epoch)

    def last(self, step: int) -> Place:
        """Return where the update is that was made last, after ``step`` updates; the first one after none."""
        return self.settings.training.schedule.place(max(step - 1, 0), self.epoch)

    def measured(self, step: int) -> bool:
        """Return whether the curves have a point after ``step`` updates."""
        per_cycle = self.settings.evaluation.per_cycle or self.settings.training.schedule.measurements
        _, within, length = self.last(step)
        return step == 0 or (within + 1) * per_cycle // length != within * per_cycle // length

    def ends_cycle(self, step: int) -> bool:
        """Return whether a cycle is over after ``step`` updates."""
        _, within, length = self.last(step)
        return step > 0 and within + 1 == length

    def sample(self, step: int) -> int:
        """Return which sample of a cycle's average theta is after ``step`` updates: 1 is the first, 0 none."""
        _, within, length = self.last(step)
        left, window = length - within - 1, int(self.settings.training.average * length)
        if left >= window or left % EVERY:
            return 0
        return (window - 1) // EVERY - left // EVERY + 1


def ends_cycle(settings: Settings, step: int) -> bool:
    """Return whether a cycle is over after ``step`` updates."""
    return Timetable(settings, settings.steps_per_epoch).ends_cycle(step)


def lockstep_key(settings: Settings) -> str:
    """Return what trainings in lockstep have in common: all their settings but eta, lambda and the label."""
    schedule = settings.training.schedule.model_copy(update={"eta_min": 0, "eta_max": 0})
    training = settings.training.model_copy(update={"lam": 0, "schedule": schedule})
    return settings.model_copy(update={"training": training, "label": "", "search": None}).model_dump_json()
