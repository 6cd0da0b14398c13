"""A diagnosis: its run folder, the trainings that fill it, and how a stopped one goes on."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from cifarnet import config, data, pages
from cifarnet.causes.answer import answer
from cifarnet.causes.candidates import Candidate, candidates
from cifarnet.causes.evidence import Task
from cifarnet.causes.numbers import Number, Problem, distinct, first_step, values
from cifarnet.causes.race import Race
from cifarnet.errors import RunError
from cifarnet.experiments import pool, train
from cifarnet.experiments.pool import Executor, Outcome
from cifarnet.runs import Run

TABLE, PLAN = "trainings.csv", "plan.json"


class Progress(NamedTuple):
    """How many trainings are done, about which fraction of the work that is, and what ended last."""

    done: int
    fraction: float
    what: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """Candidates for numbers that differ, and the run folder that has what they give."""

    run: Run
    race: Race

    @property
    def problem(self) -> Problem:
        return self.race.problem


def start(problem: Problem, executor: Executor, runs_dir: Path) -> Diagnosis:
    """Make the run folder of a diagnosis."""
    problem = Problem(problem.rows, distinct(problem.numbers))
    settings = next(iter(problem.rows.values()))
    tried = candidates(problem.trained, [number.measure for number in problem.numbers])
    plan = {
        "rows": {row: config.plain(stated) for row, stated in problem.rows.items()},
        "numbers": [number._asdict() for number in problem.numbers],
        "candidates": [asdict(candidate) for candidate in tried],
    }
    dataset = executor.dataset(settings.data)
    run = train.create(settings, dataset, runs_dir, "diagnose", threads=executor.threads, files={PLAN: plan})
    return Diagnosis(run, Race(problem, tried, official=is_official(run)))


def is_official(run: Run) -> bool:
    """Return whether others have the very images of a run."""
    images = run.environment["data"]
    return bool(images["official"] or images["source"] == "synthetic")


def read(run: Run) -> Diagnosis:
    """Return the diagnosis of a run folder; RunError if it is none, or cannot be read."""
    if run.kind != "diagnose":
        raise RunError(f"{run.path}: this is no diagnosis but a run of kind {run.kind}")
    plan, table = run.read_json(PLAN), run.read_rows(TABLE)
    try:
        rows = {row: config.load(stated) for row, stated in plan["rows"].items()}
        problem = Problem(rows, [Number(**number) for number in plan["numbers"]])
        tried = [Candidate(**{**c, "parts": tuple(c["parts"])}) for c in plan["candidates"]]
        done = {row["key"]: {name: float(row[name] or "nan") for name in problem.columns} for row in table}
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{run.path}: not a diagnosis that can be read ({str(error)[:150]!r}); make it again") from error
    return Diagnosis(run, Race(problem, tried, dict(done), is_official(run)))


def resume(run: Run, executor: Executor) -> Diagnosis:
    """Take over the folder of a diagnosis that was stopped; RunError if it is none, or would become another one."""
    run.take()
    try:
        found = read(run)
        dataset = executor.dataset(run.settings.data)
        if changed := "; ".join(train.contradictions(run, run.settings, dataset)):
            raise RunError(f"{run.path}: cannot go on, as it would become another diagnosis: {changed}; undo that")
        run.reopen(len(found.race.done), "trainings")
    except BaseException:
        run.release()
        raise
    return found


def execute(
    diagnosis: Diagnosis, executor: Executor, data_dir: Path | None = None
) -> Generator[Progress | None, None, None]:
    """Do the trainings that are missing, add a row as each ends, and at the end write the answer.

    Yields now and then, so that the caller may leave: the running trainings are then stopped, those that ended are
    written, and the run is marked as interrupted.
    """
    run, stop = diagnosis.run, threading.Event()
    ends = trained(diagnosis, executor, data_dir, stop)
    with pages.page_of(run):
        try:
            yield from ends
            results = answer(diagnosis.race)
            run.write("best.yaml", best(diagnosis, results))
            run.finish("completed", results=results)
        except BaseException as error:
            stop.set()
            with contextlib.suppress(RunError):  # where the folder is the trouble, the first error says so
                for _ in ends:  # rows of those that ended
                    pass
                left = isinstance(error, GeneratorExit | KeyboardInterrupt)
                run.finish("interrupted" if left else "failed", **({} if left else {"error": str(error)}))
            run.release()
            raise


def best(diagnosis: Diagnosis, results: Mapping[str, Any]) -> str:
    """Return the config of the most probable candidate, in the row whose numbers are the strangest as stated."""
    race, first = diagnosis.race, results["candidates"][0]
    chosen = next(candidate for candidate in race.tried if candidate.name == first["name"])
    stated = race.problem.rows[race.hardest]
    return f"# {first['name']}: {first['says']}\n" + config.dump(chosen.settings(race.hardest, stated, stated.seed))


def trained(
    diagnosis: Diagnosis, executor: Executor, data_dir: Path | None, stop: threading.Event
) -> Iterator[Progress | None]:
    """Do the trainings of one stage after the other, and write a row as each ends."""
    race, fingerprint, work = diagnosis.race, data.fingerprints(data_dir), 0.0
    while not stop.is_set() and (tasks := race.todo()):
        left = sum(task.work for task in tasks)
        jobs = [pool.Job(task, task.settings, fingerprint(task.settings.data)) for task in sorted(tasks, key=order)]
        for end in pool.run(jobs, executor, stop):
            if not end or end[1].status == "left":
                yield None
                continue
            task: Task = end[0].key
            write(diagnosis, task, end[1])
            work, left = work + task.work, left - task.work
            yield Progress(len(race.done), work / max(work + left, race.expected), task.what)


def order(task: Task) -> tuple[str, str, float]:
    """Return what trainings are sorted by: those on the same images together, the long ones first."""
    images = task.settings.data
    return images.model_dump_json(), " ".join(task.settings.deviations.on("inputs")), -task.work


def write(diagnosis: Diagnosis, task: Task, outcome: Outcome) -> None:
    """Add the row of a training."""
    if outcome.status not in ("completed", "diverged"):
        raise RunError(f"{task.what}: {outcome.status}: {outcome.note}")
    found = values(outcome, diagnosis.problem.columns, first_step(task.settings))
    head = {"key": task.key, "what": task.what, "status": outcome.status, "seconds": outcome.seconds}
    diagnosis.run.append({**head, **found}, TABLE)
    diagnosis.race.done[task.key] = found
