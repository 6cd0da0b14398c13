"""A diagnosis: its run folder, the trainings that fill it, and how a stopped one goes on."""

from __future__ import annotations

import math
import threading
from collections.abc import Generator, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from cifarnet import config, data, pages
from cifarnet.causes.answer import answer
from cifarnet.causes.candidates import Candidate, candidates
from cifarnet.causes.evidence import Task
from cifarnet.causes.numbers import Number, Problem, first_step, values
from cifarnet.causes.stages import Stages
from cifarnet.errors import ConfigError, RunError
from cifarnet.experiments import pool, train
from cifarnet.experiments.pool import Executor, Job
from cifarnet.runs import Run

TABLE, PLAN = "trainings.csv", "plan.json"
RULE = 7  # raised by whoever changes what is tried, or how it is judged: no answer is taken over across it
Known = Mapping[str, Mapping[str, float]]  # what trainings measured, by their keys


class Progress(NamedTuple):
    """How many trainings are done, about which fraction of the work that is, and what ended last."""

    done: int
    fraction: float
    what: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """Candidates for numbers that differ, and the run folder that has what they give."""

    run: Run
    stages: Stages


def plan_of(problem: Problem, effort: float | None = None) -> dict[str, Any]:
    """Return plan.json: the rows, their numbers, and what is tried; ``effort`` limits the work (see `Stages`)."""
    finest = {(n.row, n.measure): n for n in sorted(problem.numbers[::-1], key=lambda n: -n.half)}
    numbers = [n for n in problem.numbers if finest[n.row, n.measure] is n]  # once, as printed with the most digits
    tried = candidates(problem.trained, numbers, problem.likelier)
    return {
        "rows": {row: config.plain(stated) for row, stated in problem.rows.items()},
        "numbers": [number._asdict() for number in numbers],
        "candidates": [asdict(candidate) for candidate in tried],
        "effort": effort,
        "rule": RULE,
    }


def start(problem: Problem, executor: Executor, runs_dir: Path, effort: float | None = None) -> Diagnosis:
    """Make the run folder of a diagnosis; ConfigError where there is no number."""
    if not problem.numbers:
        raise ConfigError("there is nothing to explain: no accuracy, cost or loss of a training")
    settings = next(iter(problem.rows.values()))
    files, dataset = {PLAN: plan_of(problem, effort)}, executor.dataset(settings.data)
    return read(train.create(settings, dataset, runs_dir, "diagnose", threads=executor.threads, files=files))


def read(run: Run) -> Diagnosis:
    """Return the diagnosis of a run folder; RunError if it is none, or cannot be read."""
    if run.kind != "diagnose":
        raise RunError(f"{run.path}: this is no diagnosis but a run of kind {run.kind}")
    plan, table = run.read_json(PLAN), run.read_rows(TABLE)
    try:
        rows = {row: config.Settings.model_validate(stated) for row, stated in plan["rows"].items()}
        problem = Problem(rows, [Number(**number) for number in plan["numbers"]])
        tried = [Candidate(**{**c, "parts": tuple(c["parts"])}) for c in plan["candidates"]]
        done = {row["key"]: {name: float(row[name] or "nan") for name in problem.columns} for row in table}
        effort = plan["effort"] or math.inf
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{run.path}: not a diagnosis that can be read ({str(error)[:150]!r}); make it again") from error
    images = run.environment["data"]
    official = images["official"] or images["source"] == "synthetic"  # others have the very same ones
    return Diagnosis(run, Stages(problem, tried, {**done}, official, effort=effort))


def resume(run: Run, executor: Executor) -> Diagnosis:
    """Take over the folder of a diagnosis that was stopped; RunError if it is none, or would become another one."""
    with run.take():
        found = read(run)
        dataset = executor.dataset(run.settings.data)
        if changed := "; ".join(train.contradictions(run, run.settings, dataset)):
            raise RunError(f"{run.path}: cannot go on, as it would become another diagnosis: {changed}; undo that")
        run.reopen(len(found.stages.done), "trainings")
    return found


def execute(
    diagnosis: Diagnosis, executor: Executor, data_dir: Path | None = None, known: Known | None = None
) -> Generator[Progress | None, None, None]:
    """Do the trainings that are missing, add a row as each ends, and at the end write the answer.

    ``known`` has what is measured of trainings elsewhere, by their keys: these are not done again. Yields now and then,
    so that the caller may leave: the running trainings are then stopped, those that ended are written, and the run is
    marked as interrupted.
    """
    run, stop = diagnosis.run, threading.Event()
    ends = trained(diagnosis, executor, data_dir, stop, known or {})
    with pages.live_page(run), pool.stopping(stop, ends):
        yield from ends
        results = answer(diagnosis.stages)
        run.write("best.yaml", best(diagnosis, results))
        run.finish("completed", results=results)


def best(diagnosis: Diagnosis, results: Mapping[str, Any]) -> str:
    """Return the config of the first candidate, in the row whose numbers are the strangest as stated."""
    stages, first = diagnosis.stages, results["candidates"][0]
    chosen = next(candidate for candidate in stages.tried if candidate.name == first["name"])
    stated = stages.problem.rows[stages.hardest]
    return f"# {first['name']}: {first['says']}\n" + config.dump(chosen.settings(stages.hardest, stated, stated.seed))


def trained(
    diagnosis: Diagnosis, executor: Executor, data_dir: Path | None, stop: threading.Event, known: Known
) -> Iterator[Progress | None]:
    """Do the trainings of one stage after the other, and write a row as each ends."""

    def order(task: Task) -> tuple[str, str, float]:  # those on the same images together, the long ones first
        return task.settings.data.model_dump_json(), " ".join(task.settings.deviations.on("inputs")), -task.work

    stages, fingerprint, work = diagnosis.stages, data.fingerprints(data_dir), 0.0
    while not stop.is_set() and (tasks := stages.todo()):
        for task in tasks:
            found = known.get(task.key, {})
            if found.keys() >= set(stages.problem.columns):
                write(diagnosis, task, "completed", 0.0, found)
        tasks = [task for task in tasks if task.key not in stages.done]
        left = sum(task.work for task in tasks)
        jobs = [Job(t, t.settings, fingerprint(t.settings.data), scored=t.scored) for t in sorted(tasks, key=order)]
        for end in pool.run(jobs, executor, stop):
            if not end or end[1].status == "left":
                yield None
                continue
            task, outcome = end[0].key, end[1]
            if outcome.status not in ("completed", "diverged"):
                raise RunError(f"{task.what}: {outcome.status}: {outcome.note}")
            measured = values(outcome, stages.problem.columns, first_step(task.settings))
            write(diagnosis, task, outcome.status, outcome.seconds, measured)
            work, left = work + task.work, left - task.work
            yield Progress(len(stages.done), work / max(work + left, stages.expected), task.what)


def write(diagnosis: Diagnosis, task: Task, status: str, seconds: float, found: Mapping[str, float]) -> None:
    """Add the row of a training."""
    own = {name: found[name] for name in diagnosis.stages.problem.columns}
    diagnosis.run.append({"key": task.key, "what": task.what, "status": status, "seconds": seconds, **own}, TABLE)
    diagnosis.stages.done[task.key] = own
