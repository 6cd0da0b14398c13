"""A search and its run folder: rows as trials finish, and at the end the figure and the config of the best."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from dataclasses import replace as replaced
from pathlib import Path
from statistics import fmean
from typing import Any

from cifarnet import config, experiment, plots, resume, runs
from cifarnet.data import Dataset
from cifarnet.errors import CifarnetError, RunError
from cifarnet.runs import Run
from cifarnet.search import halving
from cifarnet.search.space import LAMBDA
from cifarnet.search.study import CYCLES, PLAN, TABLE, Found, Study, Trial, read
from cifarnet.search.trials import Outcome
from cifarnet.search.workers import Group, Workers

PATIENCE = 0.1  # seconds after which a caller may leave again
EARLIER = "earlier.json"  # what a fine search started from, so that the folder can be drawn alone

Futures = dict[Future[list[Outcome]], Group]  # of those that wait or run


def start(study: Study, dataset: Dataset, runs_dir: Path, earlier: Found | None, threads: int = 1) -> Run:
    """Make the run folder of a search."""
    files = {PLAN: study.plan()}
    if earlier:
        points = [{"values": s.values, "accuracy": s.accuracy, "spread": s.spread} for s in earlier.standings()]
        files[EARLIER] = {"stage": earlier.study.stage, "trials": points}
    return experiment.start(study.settings, dataset, runs_dir, "search", files, threads)


def reopen(path: Path, dataset: Dataset, *, retry_failed: bool) -> tuple[Found, Run]:
    """Go on with a search: the rows that are whole stay; those that failed go if they are to be tried again.

    Raises
    ------
    RunError
        If it is no search, a living process runs it, or it would become another one: what differs is named.
    """
    run = runs.take(path)
    try:
        found = read(path)
        before = runs.read_environment(path)
        if changed := "; ".join(resume.contradictions(run, before, found.study.settings, dataset)):
            raise RunError(f"{path}: cannot go on, as it would become another search: {changed}; undo that")
        rows = [row for row in found.rows if not (retry_failed and row["status"] == "failed")]
        run.go_on(len(rows), "trials")
        if len(rows) < len(found.rows):
            lines = [",".join(row.values()) for row in rows]
            run.write(TABLE, "".join(f"{line}\n" for line in [",".join(found.rows[0]), *lines]))
    except BaseException:
        run.release()
        raise
    return found._replace(rows=rows), run


def execute(
    found: Found, run: Run, workers: Workers, *, fail_fast: bool
) -> Generator[tuple[Trial, Outcome] | None, None, None]:
    """Run the trials that are missing, write a row as each ends, and at the end all that a finished search has.

    Yields the trials as they end, and None now and then, so that the caller may leave. Left before the end, by
    ``close()`` or an exception, the running trials are stopped, those that ended are written, and the run is marked as
    what it is: interrupted or failed.

    Raises
    ------
    RunError
        When the folder cannot be written; with fail_fast, when a trial fails.
    DataError
        When a worker has not the images of the search.
    """
    part, futures, so_far = found.study.part, Futures(), dict[Trial, Outcome]()

    def submit(group: Group) -> None:
        before = [so_far.get(trial) for trial, _ in group]
        futures[workers.executor.submit(workers.work, [settings for _, settings in group], before=before)] = group

    try:
        for cycles in range(1 if part.halving else part.cycles, part.cycles + 1):
            last = cycles == part.cycles
            todo = [(trial, found.study.trial_settings(trial, None if last else cycles)) for trial in found.missing()]
            for group in workers.groups(todo):
                submit(group)
            while futures:
                for future in wait(futures, PATIENCE, FIRST_COMPLETED).done:
                    group = futures.pop(future)
                    answers = outcomes(future, group)
                    ended = {t: o for t, o in answers.items() if o.bad or (last and o.status == "completed")}
                    for trial, outcome in ended.items():
                        write(found, run, trial, outcome, cycles)
                    yield from ended.items()
                    if fail_fast:
                        refuse(ended)
                    so_far |= {trial: outcome for trial, outcome in answers.items() if trial not in ended}
                    if paused := [one for one in group if answers[one[0]].status == "paused"]:
                        submit(paused)
                    for one in group:
                        if answers[one[0]].status == "alone":
                            submit([one])
                yield None
            for trial, outcome in hopeless(found, so_far, cycles):
                write(found, run, trial, outcome, cycles)
                yield trial, outcome
        finish(found, run)
    except BaseException as error:
        left = isinstance(error, GeneratorExit | KeyboardInterrupt)
        with contextlib.suppress(RunError):  # where the folder is the trouble, the first error says so
            stop(found, run, workers, futures)
            run.finish("interrupted" if left else "failed", **({} if left else {"error": str(error)}))
        raise


def hopeless(found: Found, so_far: Mapping[Trial, Outcome], cycles: int) -> list[tuple[Trial, Outcome]]:
    """The trials that successive halving stops after so many cycles, of those that could go on."""
    waiting = [trial for trial in found.missing() if trial in so_far]
    by_index: dict[int, list[float]] = {}
    for trial in waiting:
        by_index.setdefault(trial.index, []).append(so_far[trial].validation_accuracy)
    accuracy = {index: fmean(values) for index, values in by_index.items()}
    staying = halving.kept(found, accuracy, cycles)
    note = f"not among the best {len(staying)} after {cycles} of {found.study.part.cycles} cycles"
    return [
        (trial, replaced(so_far[trial], status="stopped", note=note)) for trial in waiting if trial.index not in staying
    ]


def outcomes(future: Future[list[Outcome]], group: Group) -> dict[Trial, Outcome]:
    """What trials found; an error of those who run them, such as a worker lost again and again, fails them."""
    trials = [trial for trial, _ in group]
    try:
        return dict(zip(trials, future.result(), strict=True))
    except CifarnetError:
        raise
    except CancelledError as error:
        raise RunError("the scheduler dropped a trial: is it gone? --resume goes on with this search") from error
    except Exception as error:
        return dict.fromkeys(trials, Outcome("failed", note=f"{type(error).__name__}: {error}"))


def refuse(ended: Mapping[Trial, Outcome]) -> None:
    """Raise RunError if one of these trials has failed or diverged."""
    for trial, outcome in ended.items():
        if outcome.bad:
            raise RunError(f"trial {trial.index} {outcome.status}, and --fail-fast was given: {outcome.note}")


def write(found: Found, run: Run, trial: Trial, outcome: Outcome, cycles: int) -> None:
    """Add the row of a trial that has ended."""
    figures = {
        "cycles": trial.values.get(CYCLES, cycles),
        "best_validation_accuracy": outcome.best_validation_accuracy,
        "validation_accuracy": outcome.validation_accuracy,
        "validation_loss": outcome.validation_loss,
        "seconds": outcome.seconds,
        "status": outcome.status,
    }
    row = found.study.row(trial, figures)
    run.append(row, TABLE)
    found.rows.append({name: str(value) for name, value in row.items()})
    if outcome.note:
        run.log(f"trial {trial.index}, seed {trial.seed}: {outcome.note}")


def stop(found: Found, run: Run, workers: Workers, futures: Futures) -> None:
    """Stop the trials that run and drop those that wait; write those that ended before they heard of it."""
    workers.stop.set()
    for future in futures:
        future.cancel()
    workers.executor.shutdown()
    for future, group in futures.items():
        if future.done() and not future.cancelled() and not future.exception():
            for trial, outcome in outcomes(future, group).items():
                if outcome.bad or (outcome.status == "completed" and not found.study.part.halving):
                    write(found, run, trial, outcome, found.study.part.cycles)


def finish(found: Found, run: Run) -> None:
    """Write what a finished search has: best.yaml, the figure and the results."""
    ranked = found.standings()
    results: dict[str, Any] = {
        "trials": len({trial.index for trial in found.study.trials}),
        "failed": found.ended("failed"),
        "diverged": found.ended("diverged"),
    }
    if ranked:
        best = ranked[0]
        settings = found.study.final_settings(best.values)
        why = f"# The best of {len(ranked)} trials: number {best.index}, validation accuracy {best.accuracy:.2%}.\n"
        run.write("best.yaml", why + config.dump(settings))
        experiment.save(run, {"search": draw(found, run.path)}, found.study.settings.data.source)
        results |= {"best": found.study.summary(best), "validation_accuracy": best.accuracy}
    run.finish("completed", results=results)


def draw(found: Found, path: Path) -> Any:
    """The figure of a search, from its folder alone."""
    stages: dict[str, Sequence[dict[str, Any]]] = {}
    if (path / EARLIER).is_file():
        earlier = runs.read_json(path / EARLIER)
        stages["earlier search" if earlier["stage"] == found.study.stage else earlier["stage"]] = earlier["trials"]
    ranked = found.standings()
    stages[found.study.stage] = [{"values": s.values, "accuracy": s.accuracy, "spread": s.spread} for s in ranked]
    scales = {key: bool(axis.log10) or key == LAMBDA for key, axis in found.study.space.items()}
    return plots.search(stages, scales)
