"""Which update steps are measured, end a cycle, or are averaged: what the settings say, in steps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from cifarnet.config import Settings
from cifarnet.deviations import Practice
from cifarnet.nn.schedules import Position

UPDATES_PER_SAMPLE = 20  # updates between two samples of an average; each one costs as much as a quarter of an update


@dataclass(frozen=True)
class Timetable:
    """The steps of a training with ``epoch`` updates in an epoch.

    An epoch has floor(n / batch_size) updates: the images left over are not used in it, as in the reports. A network is
    measured before the first update, some times in each cycle, and after the last update.
    """

    settings: Settings
    epoch: int

    @cached_property
    def practice(self) -> Practice:
        """The steps in which programs differ."""
        return self.settings.deviations.practice

    @cached_property
    def updates(self) -> int:
        """The number of updates."""
        return self.practice.updates(self.settings.training.schedule, self.epoch, self.settings.training.batch_size)

    def eta(self, step: int) -> float:
        """Return the learning rate of an update."""
        return self.practice.eta(self.settings.training.schedule, step, self.epoch)

    def last(self, step: int) -> Position:
        """Return where the update is that was made last, after ``step`` updates; the first one after none."""
        return self.settings.training.schedule.place(max(step - 1, 0), self.epoch)

    def measured(self, step: int) -> bool:
        """Return whether the curves have a point after ``step`` updates."""
        per_cycle = self.settings.evaluation.per_cycle or self.settings.training.schedule.measurements
        _, within, length = self.last(step)
        passed = (within + 1) * per_cycle // length != within * per_cycle // length
        return passed or step in (0, self.updates) or self.chooses(step)

    def chooses(self, step: int) -> bool:
        """Return whether the network after ``step`` updates may be the one that is scored at the end."""
        return self.practice.chooses(step > 0 and step % self.epoch == 0, self.ends_cycle(step))

    def ends_cycle(self, step: int) -> bool:
        """Return whether a cycle is over after ``step`` updates."""
        _, within, length = self.last(step)
        return step > 0 and within + 1 == length

    def sample(self, step: int) -> int:
        """Return which sample of a cycle's average theta is after ``step`` updates: 1 is the first, 0 none."""
        _, within, length = self.last(step)
        left, window = length - within - 1, int(self.settings.training.average * length)
        if left >= window or left % UPDATES_PER_SAMPLE:
            return 0
        return (window - 1) // UPDATES_PER_SAMPLE - left // UPDATES_PER_SAMPLE + 1


def lockstep_key(settings: Settings) -> str:
    """Return what trainings in lockstep have in common: the batches, and when they are measured.

    That is all their settings but eta, lambda, the initial weights, the deviations of an update, and the label.
    """
    free = dict.fromkeys(settings.deviations.on("update", "start"), False)
    rates = {name: 0 for name in ("eta0", "eta_min", "eta_max") if hasattr(settings.training.schedule, name)}
    schedule = settings.training.schedule.model_copy(update=rates)
    common = {"lam": 0, "schedule": schedule}
    alike = settings.changed(training=common, network={"init": "xavier"}, deviations=free)
    return alike.model_dump_json(exclude={"label", "search"})
