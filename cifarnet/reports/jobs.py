"""The trainings and gradient checks that studies need: each once, as an ordinary run folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cifarnet import data
from cifarnet.causes import work
from cifarnet.config import BATCH_IMAGES, IMAGE_VALUES, Data, Settings
from cifarnet.errors import ConfigError, RunError
from cifarnet.experiments import pool
from cifarnet.experiments.pool import Executor, Outcome
from cifarnet.experiments.train import write_confusion
from cifarnet.nn.network import weight_count
from cifarnet.runs import Folder, Run, folders, this_machine
from cifarnet.studies.check import Check
from cifarnet.studies.spec import Row, Study
from cifarnet.training import NUMERICS, blas_threads, cores
from cifarnet.verdicts.compare import Entry

Fingerprint = Callable[[Data], str]
QUICK, FEW = 0.02, 2000  # scale of a first look on synthetic data, and its training images: half a minute
TRAININGS = "trainings"  # the run folders, in the folder of the reports
CAUSES = "causes.json"  # what cifarnet diagnose found for the numbers that are incompatible, where it was asked
PACE = 3e10  # weights times images a second and core, for an estimate


class Task(NamedTuple):
    """A training or gradient check, and the rows (STUDY/EXHIBIT/ROW) that need it."""

    key: str
    settings: Settings
    fingerprint: str
    check: Check | None
    users: tuple[str, ...]

    @property
    def work(self) -> float:
        """Roughly how long it takes, in weights times images."""
        if not self.check:
            return work(self.settings)
        return 2.0 * weight_count(self.settings.sizes) ** 2 * len(self.check.methods) * self.check.samples


class Progress(NamedTuple):
    """How far the work is: what is done, of how many, the fraction of the work, and the row that ended last."""

    done: int
    total: int
    fraction: float
    name: str


class Scope(NamedTuple):
    """Which part of the studies is asked for, and how; in pass k every row is trained with its seed plus k."""

    seeds: int = 3
    only: tuple[str, ...] = ()
    scale: float = 1.0
    synthetic: bool = False
    claims: bool = False  # rows that claims compare have as many seeds as these ask for

    def rows(self, studies: Sequence[Study]) -> dict[str, Row]:
        """Return the rows that are asked for, by STUDY/EXHIBIT/ROW."""
        rows = {name: row for study in studies for name, row in study.named_rows.items()}
        return {k: row for k, row in rows.items() if not self.only or any(k.startswith(f"{o}/") for o in self.only)}

    def passes(self, studies: Sequence[Study]) -> dict[str, int]:
        """Return how often each row is trained that is asked for; in a single pass no other readings are."""
        asked = {f"{s.id}/{name}": claim.seeds for s in studies for claim in s.claims for name in claim.rows}
        more = asked if self.claims else {}
        rows = self.rows(studies).items()
        return {k: max(self.seeds, more.get(k, 0)) for k, row in rows if not row.alternative or self.seeds > 1}

    def settings(self, row: Row, number: int) -> Settings:
        """Return what a row is trained with in pass ``number``.

        A report that names a seed starts from it. Images held out at random are others in each pass, so that the
        spread has the choice of them in it.
        """
        seed = number + (row.settings.seed if "seed" in row.settings.model_fields_set else 0)
        few = min(row.settings.data.limit or FEW, FEW)
        images: dict[str, Any] = {"source": "synthetic", "limit": few} if self.synthetic else {}
        if (holdout := row.settings.data.holdout_seed) is not None:
            images["holdout_seed"] = holdout + number
        settings = scaled(row, self.scale).changed(data=images)
        return settings.model_copy(update={"seed": seed})


def scope(
    studies: Sequence[Study], seeds: int | None, only: Sequence[str], scale: float | None, data_dir: Path | None
) -> Scope:
    """Return what is asked for; without CIFAR-10, by default one short pass on synthetic data.

    A number of seeds holds for all rows; by default it is 3, and for those of claims what decides them. ConfigError if
    ``only`` names what is not there.
    """
    known = {s.id for s in studies} | {f"{s.id}/{e.id}" for s in studies for e in s.exhibits}
    if missing := [name for name in only if name not in known]:
        names = ", ".join(s.id for s in studies)
        raise ConfigError(f"--only {', '.join(missing)}: not known; name one of {names}, or STUDY/EXHIBIT")
    synthetic = not data.available(data_dir)
    return Scope(
        seeds or (1 if synthetic else 3), tuple(only), scale or (QUICK if synthetic else 1), synthetic,
        claims=not seeds and not synthetic,
    )  # fmt: skip


def scaled(row: Row, factor: float) -> Settings:
    """Return shorter settings: n_s, epochs and measurements times ``factor``; for checks, fewer inputs."""
    settings = row.settings
    if factor == 1:
        return settings
    if row.check:
        return settings.changed(data={"dims": min(max(20, round(factor * settings.data.d)), IMAGE_VALUES)})
    shorter = settings.training.schedule.scaled(factor, settings.steps_per_epoch)
    fewer: dict[str, Any] = {"per_cycle": max(1, round(factor * (settings.evaluation.per_cycle or 10)))}
    if settings.data.n_train > BATCH_IMAGES:  # or scoring 45,000 images would take longer than a short training
        fewer["train_cost"] = "running_mean"
    return settings.changed(training={"schedule": shorter}, evaluation=fewer)


def key(settings: Settings, check: Check | None, fingerprint: str) -> str:
    """Return a digest of what a result depends on: the settings but for their label, the images, the numerics."""
    chosen = settings.model_dump(by_alias=True, exclude_defaults=True, exclude={"label", "search"})
    training = chosen.get("training", {})
    if "augmentation" in training:
        training["jitter"] = training.pop("augmentation")  # what it was called when the first records were made
    parts = [NUMERICS, fingerprint, chosen, check and check.model_dump()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:20]


def passes(studies: Sequence[Study], scope: Scope, fingerprint: Fingerprint) -> list[list[Task]]:
    """Return the tasks of each pass.

    Those on the same images follow each other, so that few copies are needed; small data first, then long trainings
    first, so that the last ones end together.
    """
    found, often = [], scope.passes(studies)
    for number in range(max(often.values())):
        tasks = dict[str, Task]()
        for name, row in scope.rows(studies).items():
            if number >= often.get(name, 0):
                continue
            settings = scope.settings(row, number)
            images = fingerprint(settings.data)
            k = key(settings, row.check, images)
            task = tasks.get(k, Task(k, settings, images, row.check, ()))
            tasks[k] = task._replace(users=(*task.users, name))
        order = [(t.settings.data.n_train, t.settings.data.model_dump_json(), -t.work, k) for k, t in tasks.items()]
        found.append([tasks[k] for *_, k in sorted(order)])
    return found


def carry_out(tasks: Sequence[Task], folder: Path, executor: Executor) -> Generator[Task | None, None, None]:
    """Do tasks, write their run folders into that of the reports, and yield each; None now and then.

    CifarnetError if a task failed; a training that diverged is a result like others.
    """
    with blas_threads(1):  # as the trainings have it
        machine = this_machine() | {"threads": 1, "numerics": NUMERICS}
    queue = [pool.Job(t, t.settings, t.fingerprint, t.check.results if t.check else None) for t in tasks]
    with closing(pool.run(queue, executor)) as outcomes:
        for ended in outcomes:
            if ended:
                write(folder / TRAININGS, ended[0].key, ended[1], machine)
            yield ended[0].key if ended else None


def write(folder: Path, task: Task, outcome: Outcome, machine: Mapping[str, Any]) -> None:
    """Write the outcome of a task as an ordinary run folder."""
    if outcome.status not in ("completed", "diverged"):
        raise RunError(f"{task.users[0]}: {outcome.status}: {outcome.note}")
    settings = task.settings.model_copy(update={"label": task.users[0].replace("/", ".")[:64]})
    info: dict[str, Any] = {"key": task.key} | ({"check": task.check.model_dump()} if task.check else {})
    kind = "gradcheck" if task.check else "train"
    images = {"data": outcome.provenance}
    run = Run.create(folder, kind, settings, environment={**machine, **images}, **info)
    for record in outcome.records:
        run.append(record.row())
    if outcome.model and outcome.confusion is not None:
        run.write_arrays("model.npz", outcome.model.arrays(outcome.updates))
        write_confusion(run, "test", outcome.confusion, outcome.model.classes)
    failure = {"error": outcome.note, "updates": outcome.updates}
    ended = failure if outcome.status == "diverged" else {"results": outcome.results}
    run.finish(outcome.status, seconds=outcome.seconds, **ended)


def recorded(folder: Path) -> dict[str, Run]:
    """Return the finished runs of the reports' folder by key; what is damaged or unfinished counts as not done."""
    runs = map(Run.listed, folders(folder / TRAININGS))
    return {run.info["key"]: run for run in runs if run.status in ("completed", "diverged") and "key" in run.info}


def measures(run: Run) -> dict[str, float]:
    """Return what a run measured, by the names that studies use; "first." is before those of the first measurement."""
    found = {name: float(value) for name, value in run.results.items()}
    if run.kind == "gradcheck":
        return found
    records = run.records
    found |= {f"first.{name}": float(column[1]) for name, column in records.items() if len(column) > 1}
    found["seconds"], loss = float(run.info["seconds"]), records["train_loss"]
    found["rises"] = float((np.diff(loss[np.isfinite(loss)]) > 0).sum())
    found["loss_gap"] = found.get("validation_loss", np.nan) - found.get("train_loss", np.nan)
    return found


def keys_by_row(passes: Sequence[Sequence[Task]]) -> dict[str, list[str]]:
    """Return the keys that each row, STUDY/EXHIBIT/ROW, stands on: one a pass."""
    found: dict[str, list[str]] = {}
    for task in (task for tasks in passes for task in tasks):
        for name in task.users:
            found.setdefault(name, []).append(task.key)
    return found


def read_plan(folder: Path) -> dict[str, Any]:
    """Return plan.json: the keys that each row stands on, one a seed, and how long the passes took."""
    empty = {"scale": 1, "synthetic": False, "rows": {}, "passes": []}
    return Folder(folder).read_json("plan.json") if (folder / "plan.json").exists() else empty


class Records:
    """The reports' folder: plan.json (``state``), the recorded runs by key, and what explains numbers (``causes``).

    ``rows`` are the keys of each row, STUDY/EXHIBIT/ROW, one a seed; by default those of plan.json.
    """

    def __init__(self, folder: Path, rows: Mapping[str, Sequence[str]] | None = None) -> None:
        self.folder = folder
        self.state = read_plan(folder)
        self.rows: Mapping[str, Sequence[str]] = self.state["rows"] if rows is None else rows
        self.runs = recorded(folder)
        self.measures = {key: measures(run) for key, run in self.runs.items()}
        self.causes = Folder(folder).read_json(CAUSES) if (folder / CAUSES).exists() else {}
        latest = max(self.runs.values(), key=lambda run: run.path, default=None)
        self.environment = latest.environment if latest else {}
        self.official = latest is not None and self.environment["data"]["official"]

    def runs_of(self, name: str) -> list[Run]:
        """Return the finished runs of a row, one a seed."""
        return [self.runs[key] for key in self.rows.get(name, ()) if key in self.runs]

    def results(self, name: str) -> list[Mapping[str, float]]:
        """Return what the runs of a row measured, seed by seed; nothing of one that is not recorded."""
        return [self.measures.get(key, {}) for key in self.rows.get(name, ())]

    def cause_of(self, entry: Entry) -> dict[str, Any]:
        """Return what explains a number, if that was found for the value that the report has now."""
        found: dict[str, Any] = self.causes.get(entry.name, {})
        return found if found.get("value", entry.reported) == entry.reported else {}

    @property
    def incomparable(self) -> str:
        """Why no number can be compared, where none can."""
        if self.state["synthetic"]:
            return "the data are synthetic"
        return f"trainings are shortened to {self.state['scale']:g} of their length" if self.state["scale"] != 1 else ""


def write_plan(folder: Path, scope: Scope, passes: Sequence[Sequence[Task]], effort: Mapping[str, float]) -> None:
    """Bring plan.json up to date after the last of these passes; ``effort`` is its jobs and seconds in this call.

    Rows that were not asked for keep what they had, unless that was of another scale or other data.
    """
    plan, same = read_plan(folder), {"scale": scope.scale, "synthetic": scope.synthetic}
    if not same.items() <= plan.items():
        plan = same | {"rows": {}, "passes": []}
    plan["rows"] |= keys_by_row(passes)
    number = len(passes) - 1
    if effort["jobs"]:
        before = plan["passes"][number] if len(plan["passes"]) > number else {"jobs": 0, "seconds": 0.0}
        plan["passes"][number : number + 1] = [{name: before[name] + effort[name] for name in effort}]
    Folder(folder).write_json("plan.json", plan)


def listing(studies: Sequence[Study], scope: Scope, folder: Path, data_dir: Path | None) -> Iterator[str]:
    """Yield a line for each task, what is recorded and what is to run, and about how long that takes."""
    done = recorded(folder)
    tasks = {t.key: t for tasks in passes(studies, scope, data.fingerprints(data_dir)) for t in tasks}.values()
    for task in tasks:
        ran = f"recorded in {done[task.key].path.name}" if task.key in done else None
        state = ran or "to run: no record of these settings and data"
        yield f"{task.users[0]}, seed {task.settings.seed} (rows: {len(task.users)}): {state}"
    left = [t for t in tasks if t.key not in done]
    minutes = sum(t.work for t in left) / PACE / cores() / 60
    yield f"{len(left)} of {len(tasks)} to run, about {minutes:.1f} minutes on an idle machine"
