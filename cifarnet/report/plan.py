"""The plan: which trainings and gradient checks the studies need, each once, and which of them are already recorded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cifarnet import experiment, runs
from cifarnet.config.settings import BATCH_IMAGES, IMAGE_VALUES, Cyclic, Data, Settings
from cifarnet.errors import ConfigError, RunError
from cifarnet.report.studies import Check, Exhibit, Row, Study


class Job(NamedTuple):
    """One training or gradient check, for one or several rows of the studies."""

    key: str
    settings: Settings
    check: Check | None
    users: tuple[str, ...]

    @property
    def dataset(self) -> str:
        """Jobs of the same name share one copy of the data in memory."""
        return self.settings.data.model_dump_json()


class Recorded(NamedTuple):
    """A finished job: its folder, and what it measured."""

    path: Path
    info: Mapping[str, Any]


Fingerprint = Callable[[Data], str]


def key(settings: Settings, check: Check | None, fingerprint: str) -> str:
    """What a result depends on: the settings but for their label, the bytes of the data, version of the numerics."""
    chosen = settings.model_dump(by_alias=True, exclude_defaults=True, exclude={"label", "search"})
    whole = [experiment.NUMERICS, fingerprint, chosen, check and check.model_dump()]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:20]


def seeded(row: Row, seed: int) -> Settings:
    """The settings of a row in one pass: a report that names a seed starts from it.

    Images that a study holds out at random are others in each pass, so that the spread has the choice of them in it.
    """
    first = row.settings.seed if "seed" in row.settings.model_fields_set else 0
    data = row.settings.data
    if data.holdout_seed is not None:
        data = data.model_copy(update={"holdout_seed": data.holdout_seed + seed})
    return row.settings.model_copy(update={"seed": first + seed, "data": data})


def scaled(settings: Settings, check: Check | None, factor: float) -> Settings:
    """Shorter: every n_s and number of epochs times ``factor``, with fewer measurements; checks on fewer inputs."""
    if factor == 1:
        return settings
    if check:
        dims = max(20, round(factor * settings.data.d))
        return settings.model_copy(update={"data": settings.data.model_copy(update={"dims": min(dims, IMAGE_VALUES)})})
    s = settings.training.schedule
    name, value = ("n_s", settings.steps(s.n_s)) if isinstance(s, Cyclic) else ("epochs", s.epochs)
    shorter = {name: max(1, round(factor * value))}
    measured = settings.evaluation.per_cycle or 10
    fewer: dict[str, Any] = {"per_cycle": max(1, round(factor * measured))}
    if settings.data.n_train > BATCH_IMAGES:  # or scoring 45,000 images would take longer than a short training
        fewer["train_cost"] = "running_mean"
    training = settings.training.model_copy(update={"schedule": s.model_copy(update=shorter)})
    return settings.model_copy(
        update={"training": training, "evaluation": settings.evaluation.model_copy(update=fewer)}
    )


def on_twin(settings: Settings) -> Settings:
    """The same on the synthetic twin."""
    return settings.model_copy(update={"data": settings.data.model_copy(update={"source": "synthetic"})})


class Scope(NamedTuple):
    """Which part of the studies is asked for, and how: the rest follows from it and the studies."""

    seeds: int = 3
    only: tuple[str, ...] = ()
    scale: float = 1.0
    synthetic: bool = False

    def whole(self, row: Row, seed: int) -> Settings:
        """The settings that a row is trained with in one pass."""
        settings = scaled(seeded(row, seed), row.check, self.scale)
        return on_twin(settings) if self.synthetic else settings

    def wants(self, study: Study, exhibit: Exhibit) -> bool:
        return not self.only or study.id in self.only or f"{study.id}/{exhibit.id}" in self.only

    def check(self, studies: Sequence[Study]) -> None:
        """Raise ConfigError where --only names what is not there."""
        known = [s.id for s in studies] + [f"{s.id}/{e.id}" for s in studies for e in s.exhibits]
        if missing := [name for name in self.only if name not in known]:
            names = ", ".join(s.id for s in studies)
            raise ConfigError(f"--only {', '.join(missing)}: not known; name one of {names}, or STUDY/EXHIBIT")


def jobs(studies: Sequence[Study], scope: Scope, fingerprint: Fingerprint) -> list[Job]:
    """Every job once, seed by seed, and for each seed in the order of the data, so that few copies are needed."""
    found: list[Job] = []
    for seed in range(scope.seeds):
        this_pass = dict[str, Job]()
        for name, row in rows(studies, scope):
            settings = scope.whole(row, seed)
            k = key(settings, row.check, fingerprint(settings.data))
            users = this_pass[k].users if k in this_pass else ()
            label = users[0] if users else name
            labelled = settings.model_copy(update={"label": label.replace("/", ".")[:64]})
            this_pass[k] = Job(k, labelled, row.check, (*users, name))
        earlier = {job.key for job in found}
        found += sorted((job for job in this_pass.values() if job.key not in earlier), key=order)
    return found


def order(job: Job) -> tuple[Any, ...]:
    """Small data first; within the same data the longest first, so that the last ones end together."""
    return job.settings.data.n_train, job.dataset, -work(job)


def rows(studies: Sequence[Study], scope: Scope) -> Iterator[tuple[str, Row]]:
    for study in studies:
        for exhibit in study.exhibits:
            if scope.wants(study, exhibit):
                yield from ((f"{study.id}/{exhibit.id}/{row.id}", row) for row in exhibit.rows)


def work(job: Job) -> float:
    """Roughly how many floating-point operations a job needs, those of its evaluations included."""
    s, settings = job.settings.training.schedule, job.settings
    weights = sum(a * b for a, b in zip(settings.sizes, settings.sizes[1:], strict=False))
    if job.check:
        passes = sum({"forward": 1, "centred": 2, "complex-step": 4}[method] for method in job.check.methods)
        return 2.0 * weights * weights * passes * job.check.samples
    images = settings.data.n_train
    if isinstance(s, Cyclic):
        seen = 2.0 * settings.steps(s.n_s) * s.cycles * settings.training.batch_size
        measured = 1 + s.cycles * (settings.evaluation.per_cycle or 10)
    else:
        seen, measured = float(s.epochs * images), 1 + (settings.evaluation.per_cycle or s.epochs)
    validation = settings.data.validation if isinstance(settings.data.validation, int) else 10_000
    scored = validation + (images if settings.evaluation.train_cost == "all" else 0)
    # forward and the weights' gradient are each 2 operations a weight, the hidden layers' gradient is small
    return weights * (4.0 * seen + 2.0 * measured * scored + 2.0 * 10_000)


def remembered(folder: Path) -> dict[str, Any]:
    """What plan.json holds of earlier calls: which jobs each row stands on, and how long the passes took."""
    path = folder / "plan.json"
    return runs.read_json(path) if path.exists() else {"scale": 1, "synthetic": False, "rows": {}, "passes": []}


def remember(
    folder: Path, studies: Sequence[Study], scope: Scope, fingerprint: Fingerprint, effort: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Bring plan.json up to date after pass ``scope.seeds``; ``effort`` is what that pass cost in this call.

    Rows that were not asked for keep what they had, unless that was of another scale or other data.
    """
    state = remembered(folder)
    if (state["scale"], state["synthetic"]) != (scope.scale, scope.synthetic):
        state = {"scale": scope.scale, "synthetic": scope.synthetic, "rows": {}, "passes": []}
    for name, row in rows(studies, scope):
        wholes = [scope.whole(row, seed) for seed in range(scope.seeds)]
        state["rows"][name] = [key(settings, row.check, fingerprint(settings.data)) for settings in wholes]
    if effort:
        before = state["passes"][scope.seeds - 1 :]
        sums = {k: effort[k] + (before[0][k] if before else 0) for k in ("jobs", "seconds", "flop")}
        state["passes"] = [*state["passes"][: scope.seeds - 1], {**effort, **sums}, *before[1:]]
    runs.write_whole(folder / "plan.json", json.dumps(state, indent=1).encode())
    return state


def recorded(folder: Path) -> dict[str, Recorded]:
    """The finished jobs under a folder, by key; what is broken or unfinished counts as not done."""
    found = {}
    for path in sorted(folder.glob("*/run.json")):
        try:
            info = runs.read_json(path)
        except RunError:
            continue
        if info.get("status") in ("completed", "diverged") and "key" in info:
            found[info["key"]] = Recorded(path.parent, info)
    return found


def measures(run: Recorded) -> dict[str, float]:
    """What a training measured, by the names that the studies use; ``first.`` before those of the first measurement."""
    found = {name: float(value) for name, value in run.info.get("results", {}).items()}
    if run.info["kind"] == "gradcheck":
        return found
    table = curves(run)
    found |= {f"first.{name}": float(column[1]) for name, column in table.items() if len(column) > 1}
    found["seconds"] = float(run.info["seconds"])
    loss = table["train_loss"]
    found["rises"] = float((np.diff(loss[np.isfinite(loss)]) > 0).sum())
    found["loss_gap"] = found.get("validation_loss", np.nan) - found.get("train_loss", np.nan)
    return found


def curves(run: Recorded) -> dict[str, Any]:
    return runs.read_table(run.path / "metrics.csv")
