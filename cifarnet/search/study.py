"""What a search is: its space and trials, what was found so far, and which of them is the best."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from cifarnet import config, runs
from cifarnet.config import Settings
from cifarnet.config.search import Axis, Number, Search, Stage
from cifarnet.config.settings import Cyclic
from cifarnet.errors import ConfigError, RunError
from cifarnet.search import space as spaces
from cifarnet.search.space import Space, Values

CYCLES = "training.schedule.cycles"
TABLE, PLAN = "trials.csv", "plan.json"
FIGURES = ("best_validation_accuracy", "validation_accuracy", "validation_loss", "seconds")

Row = dict[str, str]  # of trials.csv


@dataclass(frozen=True)
class Trial:
    """One training: trials of one index differ in the seed alone."""

    index: int
    seed: int
    values: Values = field(hash=False)


@dataclass(frozen=True)
class Standing:
    """How a trial did: means over its seeds, and the standard deviation of the accuracies that it is ranked by."""

    index: int
    values: Values
    accuracy: float
    spread: float
    best_accuracy: float
    loss: float
    seeds: int


@dataclass(frozen=True)
class Study:
    """A search: its settings, coarse or fine, where it looks, and its trials."""

    settings: Settings
    stage: str
    general: bool
    space: Space
    trials: tuple[Trial, ...]

    @property
    def search(self) -> Search:
        """What the settings say of a search, or the defaults."""
        return self.settings.search or Search()

    @property
    def part(self) -> Stage:
        return self.search.coarse if self.stage == "coarse" else self.search.fine

    @property
    def command(self) -> str:
        return "search" if self.general else "search-lambda"

    @property
    def names(self) -> dict[str, str]:
        """Short names of the searched keys: their last parts, where those differ and are no other column's."""
        last = [key.rpartition(".")[2] for key in self.space]
        clear = len(set(last) - {"cycles"}) == len(last)
        return dict(zip(self.space, last if clear else self.space, strict=True))

    def trial_settings(self, trial: Trial, cycles: int | None = None) -> Settings:
        """What one trial trains, for fewer cycles if that is said."""
        schedule = {CYCLES: cycles or self.part.cycles, "training.schedule.n_s": self.part.n_s}
        alone = self.settings.model_copy(update={"search": None, "seed": trial.seed})
        return config.override(alone, schedule | listed(alone, trial.values), self.command)

    def final_settings(self, values: Values) -> Settings:
        """The final training with the values of a trial: more images, the cycles that `search.final` says."""
        final = self.search.final
        alone = self.settings.model_copy(update={"search": None, "label": f"{self.settings.label[:59]}-best"})
        changes: dict[str, Any] = {
            "data.train": final.train if final.train == "all" else list(final.train),
            "data.validation": final.validation,
            CYCLES: final.cycles,
            "training.schedule.n_s": final.n_s,
        }
        return config.override(alone, changes | listed(alone, values), "search.final")

    def row(self, trial: Trial, figures: Mapping[str, Any]) -> dict[str, Any]:
        """A row of trials.csv."""
        return {"index": trial.index, "seed": trial.seed, **self.named(trial.values), **figures}

    def named(self, values: Values) -> Values:
        """Values by the short names of their keys."""
        return {name: values[key] for key, name in self.names.items()}

    def summary(self, found: Standing) -> dict[str, Any]:
        """A trial's figures by the names that people use."""
        return {
            "index": found.index,
            **self.named(found.values),
            "validation_accuracy": found.accuracy,
            "best_validation_accuracy": found.best_accuracy,
            "validation_loss": found.loss,
            "spread": found.spread,
            "seeds": found.seeds,
        }

    def plan(self) -> dict[str, Any]:
        """The content of plan.json."""
        return {
            "stage": self.stage,
            "general": self.general,
            "space": {key: axis.model_dump(mode="json", exclude_none=True) for key, axis in self.space.items()},
            "trials": [asdict(trial) for trial in self.trials],
        }


class Found(NamedTuple):
    """A search, the rows that it has so far, and the folder that they are read from, if they are."""

    study: Study
    rows: list[Row]
    path: Path | None = None

    def standings(self) -> list[Standing]:
        """The trials that were completed, the best one first: by mean final validation accuracy, then by index.

        The final accuracy, not the best on the way: it is the one that the trained network has.
        """
        groups: dict[int, list[Row]] = {}
        for row in self.rows:
            if row["status"] == "completed":
                groups.setdefault(int(row["index"]), []).append(row)
        values = {trial.index: trial.values for trial in self.study.trials}
        found = [standing(index, values[index], group) for index, group in groups.items()]
        return sorted(found, key=lambda s: (-s.accuracy, s.index))

    def missing(self) -> list[Trial]:
        done = {(int(row["index"]), int(row["seed"])) for row in self.rows}
        return [trial for trial in self.study.trials if (trial.index, trial.seed) not in done]

    def ended(self, status: str) -> list[int]:
        """Indices of the trials that ended so with any of their seeds."""
        return sorted({int(row["index"]) for row in self.rows if row["status"] == status})

    def summaries(self) -> list[dict[str, Any]]:
        """Every trial in the order of its index: its values and status, and its figures where it was completed."""
        figures = {s.index: self.study.summary(s) for s in self.standings()}
        status = {int(row["index"]): row["status"] for row in reversed(self.rows)}
        for bad in "diverged", "failed":
            status |= dict.fromkeys(self.ended(bad), bad)
        values = {trial.index: trial.values for trial in self.study.trials}
        return [
            {"index": index, **self.study.named(values[index]), "validation_accuracy": None}
            | figures.get(index, {})
            | {"status": status.get(index, "missing")}
            for index in values
        ]


def standing(index: int, values: Values, rows: Sequence[Row]) -> Standing:
    """The figures of one trial from the rows of its seeds."""
    best, final, loss = ([float(row[name]) for row in rows] for name in FIGURES[:3])
    spread = statistics.stdev(final) if len(final) > 1 else 0.0
    mean = statistics.fmean
    return Standing(index, values, mean(final), spread, mean(best), mean(loss), len(rows))


def design(settings: Settings, stage: str, *, general: bool, earlier: Found | None = None) -> Study:
    """Lay out the trials of a search, all of them checked.

    Parameters
    ----------
    stage
        ``"coarse"`` or ``"fine"``.
    general
        Whether over `search.over`, or over lambda.
    earlier
        The search that a fine one starts from.

    Raises
    ------
    ConfigError, RunError
        If the settings of a trial or of the final training are wrong, or the earlier search has found too little.
    """
    if not isinstance(settings.training.schedule, Cyclic):
        kind = settings.training.schedule.kind
        raise ConfigError(f"training.schedule.kind = {kind}: a search trains in cycles; take cyclic")
    draft = Study(settings, stage, general, {}, ())
    space, first = place(draft, earlier)
    if "seed" in space:
        raise ConfigError(f"search.over: seed: take search.{stage}.seeds instead, which ranks by the mean")
    if draft.part.halving and CYCLES in space:
        raise ConfigError(f"search.{stage}.halving: trials of different cycles cannot be compared after each cycle")
    part = draft.part.model_copy(update={"trials": max(draft.part.trials - len(first), 1)})
    found = spaces.points(space, part, stage, settings.seed)
    sampled = (
        {key: spaces.at(axis, u) for (key, axis), u in zip(space.items(), point, strict=True)} for point in found
    )
    whole = all(axis.values for axis in space.values())
    points = islice(chain(first, sampled), None if whole else draft.part.trials)
    return Study(settings, stage, general, space, tuple(settled(draft, points)))


def place(draft: Study, earlier: Found | None) -> tuple[Space, list[Values]]:
    """The space of a search, and the values of its first trial if those are given."""
    fine = draft.search.fine
    given = not draft.general and (fine.values or fine.l_min is not None)
    if draft.stage == "coarse" or earlier is None:
        if draft.stage == "fine" and draft.general:
            raise ConfigError("search fine: no range; give --from RUN")
        return spaces.named(draft.search, draft.stage, general=draft.general), []
    ranked = [s.values for s in earlier.standings()]
    trials = len({trial.index for trial in earlier.study.trials})
    space = (
        spaces.named(draft.search, "fine", general=False)
        if given
        else spaces.narrow(earlier.study.space, fine, ranked, trials)
    )
    return space, ranked[:1] if fine.include_best else []


def settled(draft: Study, points: Iterable[Values]) -> Iterator[Trial]:
    """The trials at some points, as checked settings: a number for a setting that is a whole one is rounded."""
    for index, point in enumerate(points):
        values = {key: whole(draft.settings, key, value) for key, value in point.items()}
        if index == 0:  # now, not when the search has run
            draft.final_settings(values)
        for seed in range(draft.settings.seed, draft.settings.seed + draft.part.seeds):
            trial = Trial(index, seed, values)
            draft.trial_settings(trial)
            yield trial


def current(settings: Settings, key: str) -> Any:
    """The plain value at a dotted key; NaN if there is none."""
    tree: Any = config.plain(settings)
    for part in key.split("."):
        tree = tree.get(part, math.nan) if isinstance(tree, dict) else math.nan
    return tree


def whole(settings: Settings, key: str, value: Number) -> Number:
    """The value for a setting, rounded where that is a count, given as such, as text ("2 epochs") or in a list."""
    return round(value) if isinstance(current(settings, key), int | str | list) else value


def listed(settings: Settings, values: Values) -> dict[str, Any]:
    """The values as their settings have them: those of a list, such as the hidden layers, alone in one."""
    return {key: [value] if isinstance(current(settings, key), list) else value for key, value in values.items()}


def read(path: Path) -> Found:
    """The search of a run folder.

    Raises
    ------
    RunError
        If it is none, or cannot be read.
    """
    kind = runs.read(path)["kind"]
    if kind != "search":
        raise RunError(f"{path}: this is no search but a run of kind {kind}; name the folder of a search")
    plan = runs.read_json(path / PLAN)
    try:
        study = Study(
            settings=config.saved(path / "config.yaml"),
            stage=plan["stage"],
            general=plan["general"],
            space={key: Axis.model_validate(axis) for key, axis in plan["space"].items()},
            trials=tuple(Trial(int(t["index"]), int(t["seed"]), dict(t["values"])) for t in plan["trials"]),
        )
        found = Found(study, runs.read_rows(path / TABLE), path)
        found.missing(), found.summaries()  # whatever does not fit shows here
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{path}: not a search that can be read ({str(error)[:150]!r}); search again") from error
    return found
