"""A search: its trials, how they did, and the run folder that all this is in."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from cifarnet import config, pages, plots
from cifarnet.config import Settings
from cifarnet.config.search import Axis, Search, Stage
from cifarnet.errors import RunError
from cifarnet.experiments import pool, train
from cifarnet.experiments.pool import Executor, Job, Outcome
from cifarnet.runs import FORMATS, Run
from cifarnet.search.space import LAMBDA, Space, Values, listed

CYCLES, N_S, TRAIN, VALIDATION = "training.schedule.cycles", "training.schedule.n_s", "data.train", "data.validation"
TABLE, PLAN = "trials.csv", "plan.json"
EARLIER = "earlier.json"  # what a fine search started from, so that the folder can be drawn alone
MEASURES = ("validation_accuracy", "best_validation_accuracy", "validation_loss")

Row = dict[str, str]  # of trials.csv


@dataclass(frozen=True)
class Trial:
    """One training: trials of one index differ in the seed alone."""

    index: int
    seed: int
    values: Values = field(hash=False)


@dataclass(frozen=True)
class Study:
    """A search, coarse or fine, over `search.over` where it is general and else over lambda; its trials and rows.

    ``earlier`` is the search that a fine one starts from: its stage, and its trials, the best first. ``sources`` says
    where the schedule, and the split and schedule of the final training, come from.
    """

    settings: Settings
    stage: str
    general: bool
    space: Space = field(default_factory=dict)
    trials: tuple[Trial, ...] = ()
    earlier: Mapping[str, Any] | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)

    @property
    def search(self) -> Search:
        return self.settings.search or Search()

    @property
    def part(self) -> Stage:
        return self.search.coarse if self.stage == "coarse" else self.search.fine

    @property
    def command(self) -> str:
        return "search" if self.general else "search-lambda"

    @cached_property
    def names(self) -> dict[str, str]:
        """Short names of the searched keys: their last parts, where those differ and are no other column's."""
        last = [key.rpartition(".")[2] for key in self.space]
        clear = len(set(last) - {"cycles"}) == len(last)
        return dict(zip(self.space, last if clear else self.space, strict=True))

    @cached_property
    def values(self) -> dict[int, Values]:
        """The searched values of each index."""
        return {trial.index: trial.values for trial in self.trials}

    def named(self, values: Values) -> Values:
        """Return values by the short names of their keys."""
        return {name: values[key] for key, name in self.names.items()}

    def trial_settings(self, trial: Trial) -> Settings:
        """Return what one trial trains."""
        schedule = {CYCLES: self.part.cycles, N_S: self.part.n_s}
        alone = self.settings.model_copy(update={"search": None, "seed": trial.seed})
        return config.override(alone, schedule | listed(alone, trial.values), self.command)

    def final_settings(self, values: Values) -> Settings:
        """Return the final training with the values of a trial, as `search.final` says."""
        final = self.search.final.model_dump(mode="json")
        changes = {key: final[key.rpartition(".")[2]] for key in (CYCLES, N_S, TRAIN, VALIDATION)}
        alone = self.settings.model_copy(update={"search": None, "label": f"{self.settings.label[:59]}-best"})
        return config.override(alone, changes | listed(alone, values), "search.final")

    def missing(self) -> list[Trial]:
        """Return the trials that have no row."""
        done = {(int(row["index"]), int(row["seed"])) for row in self.rows}
        return [trial for trial in self.trials if (trial.index, trial.seed) not in done]

    def ended(self, status: str) -> list[int]:
        """Return the indices of the trials that ended like this with any of their seeds."""
        return sorted({int(row["index"]) for row in self.rows if row["status"] == status})

    def standings(self) -> list[dict[str, Any]]:
        """Return how the completed trials did, the best first: by mean final validation accuracy, then by index.

        The final accuracy, not the best on the way: it is the one that the trained network has. Measures are means over
        the seeds; ``spread`` is the standard deviation of the accuracy.
        """
        groups: dict[int, list[Row]] = {}
        for row in self.rows:
            if row["status"] == "completed":
                groups.setdefault(int(row["index"]), []).append(row)
        found = []
        for index, rows in groups.items():
            columns = {name: [float(row[name]) for row in rows] for name in MEASURES}
            accuracies = columns["validation_accuracy"]
            spread = {"spread": stdev(accuracies) if len(rows) > 1 else 0.0, "seeds": len(rows)}
            means = {name: fmean(column) for name, column in columns.items()}
            found.append({"index": index} | self.named(self.values[index]) | means | spread)
        return sorted(found, key=lambda trial: (-trial["validation_accuracy"], trial["index"]))

    def summaries(self) -> list[dict[str, Any]]:
        """Return every trial by index: its values and status, and how it did where it was completed."""
        done = {trial["index"]: trial for trial in self.standings()}
        status = {int(row["index"]): row["status"] for row in reversed(self.rows)}
        for bad in "diverged", "failed":
            status |= dict.fromkeys(self.ended(bad), bad)
        return [
            {"index": index, **self.named(values), "validation_accuracy": None}
            | done.get(index, {})
            | {"status": status.get(index, "missing")}
            for index, values in self.values.items()
        ]

    def points(self) -> list[dict[str, Any]]:
        """Return the completed trials as a figure shows them, the best first."""
        return [
            {"values": self.values[trial["index"]], "accuracy": trial["validation_accuracy"], "spread": trial["spread"]}
            for trial in self.standings()
        ]

    def plan(self) -> dict[str, Any]:
        """Return the content of plan.json."""
        return {
            "stage": self.stage,
            "general": self.general,
            "space": {key: axis.model_dump(mode="json", exclude_none=True) for key, axis in self.space.items()},
            "trials": [asdict(trial) for trial in self.trials],
            "sources": self.sources,
        }


def read(run: Run) -> Study:
    """Return the search of a run folder; RunError if it is none, or cannot be read."""
    if run.kind != "search":
        raise RunError(f"{run.path}: this is no search but a run of kind {run.kind}; name the folder of a search")
    plan = run.read_json(PLAN)
    try:
        study = Study(
            settings=run.settings,
            stage=plan["stage"],
            general=plan["general"],
            space={key: Axis.model_validate(axis) for key, axis in plan["space"].items()},
            trials=tuple(Trial(int(t["index"]), int(t["seed"]), dict(t["values"])) for t in plan["trials"]),
            earlier=run.read_json(EARLIER) if (run.path / EARLIER).is_file() else None,
            sources=plan.get("sources", {}),
            rows=run.read_rows(TABLE),
        )
        study.missing(), study.summaries()  # whatever does not fit shows here
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{run.path}: not a search that can be read ({str(error)[:150]!r}); search again") from error
    return study


def start(study: Study, executor: Executor, runs_dir: Path, *, formats: Sequence[str] = FORMATS) -> Run:
    """Make the run folder of a search."""
    files = {PLAN: study.plan()} | ({EARLIER: study.earlier} if study.earlier else {})
    dataset = executor.dataset(study.settings.data)
    run = train.create(study.settings, dataset, runs_dir, "search", threads=executor.threads, files=files)
    run.formats = formats
    return run


def resume(run: Run, executor: Executor, *, retry_failed: bool = False, formats: Sequence[str] = FORMATS) -> Study:
    """Take over the folder of a search: its complete rows stay, but for those that failed if they are to be retried.

    Raises
    ------
    RunError
        If it is no search, a living process runs it, or it would become another one: what differs is named.
    """
    run.take()
    try:
        study = read(run)
        dataset = executor.dataset(study.settings.data)
        if changed := "; ".join(train.contradictions(run, study.settings, dataset)):
            raise RunError(f"{run.path}: cannot go on, as it would become another search: {changed}; undo that")
        rows = [row for row in study.rows if not (retry_failed and row["status"] == "failed")]
        run.resume(len(rows), "trials")
        if len(rows) < len(study.rows):
            lines = [",".join(row.values()) for row in rows]
            run.write(TABLE, "".join(f"{line}\n" for line in [",".join(study.rows[0]), *lines]))
    except BaseException:
        run.release()
        raise
    run.formats = formats
    return replace(study, rows=rows)


def execute(
    study: Study, run: Run, executor: Executor, *, fail_fast: bool = False
) -> Generator[tuple[Trial, Outcome] | None, None, None]:
    """Run the trials that are missing, write a row as each ends, and at the end all that a finished search has.

    Yields the trials as they end, and None now and then, so that the caller may leave. Left before the end, by
    ``close()`` or an exception, the running trials are stopped, those that ended are written, and the run is marked as
    what it is: interrupted or failed.

    Raises
    ------
    RunError
        When the folder cannot be written; with fail_fast, when a trial fails or diverges.
    DataError
        When a worker does not have the images of the search.
    """
    images, stop = run.environment["data"]["fingerprint"], threading.Event()
    jobs = [Job(trial, study.trial_settings(trial), images, validation_only=True) for trial in study.missing()]
    ends = pool.run(jobs, executor, stop)
    with pages.page_of(run):
        try:
            for end in ends:
                if end:
                    write(study, run, *end)
                yield end and (end[0].key, end[1])
                if end and fail_fast and end[1].status != "completed":
                    status, note = end[1].status, end[1].note
                    raise RunError(f"trial {end[0].key.index} {status}, and --fail-fast was given: {note}")
            finish(study, run)
        except BaseException as error:
            stop.set()
            with contextlib.suppress(RunError):  # where the folder is the trouble, the first error says so
                for end in filter(None, ends):
                    write(study, run, *end)
                left = isinstance(error, GeneratorExit | KeyboardInterrupt)
                run.finish("interrupted" if left else "failed", **({} if left else {"error": str(error)}))
            run.release()
            raise


def write(study: Study, run: Run, job: Job, outcome: Outcome) -> None:
    """Add the row of a trial, unless it was stopped."""
    if outcome.status == "left":
        return
    trial: Trial = job.key
    scores = [r.validation for r in outcome.records if r.validation] if outcome.status == "completed" else []
    best = max((s.accuracy for s in scores), default=math.nan)
    row = {
        "index": trial.index,
        "seed": trial.seed,
        **study.named(trial.values),
        "cycles": trial.values.get(CYCLES, study.part.cycles),
        "best_validation_accuracy": best,
        "validation_accuracy": scores[-1].accuracy if scores else math.nan,
        "validation_loss": scores[-1].loss if scores else math.nan,
        "seconds": outcome.seconds,
        "status": outcome.status,
    }
    run.append(row, TABLE)
    study.rows.append({name: str(value) for name, value in row.items()})
    if outcome.note:
        run.log(f"trial {trial.index}, seed {trial.seed}: {outcome.note}")


def finish(study: Study, run: Run) -> None:
    """Write what a finished search has: best.yaml, the figure and the results."""
    ranked, trials = study.standings(), len(study.values)
    results: dict[str, Any] = {"trials": trials} | {how: study.ended(how) for how in ("failed", "diverged")}
    if ranked:
        best, accuracy = ranked[0], ranked[0]["validation_accuracy"]
        why = f"# The best of {len(ranked)} trials: number {best['index']}, validation accuracy {accuracy:.2%}.\n"
        run.write("best.yaml", why + config.dump(study.final_settings(study.values[best["index"]])))
        plots.save(run, {"search": draw(study)}, study.settings.data.source == "synthetic")
        results |= {"best": best, "validation_accuracy": accuracy}
    run.finish("completed", results=results)


def draw(study: Study) -> Any:
    """Return the figure of a search, with the trials of the earlier one beside its own."""
    stages: dict[str, Sequence[Mapping[str, Any]]] = {}
    if before := study.earlier:
        stages["earlier search" if before["stage"] == study.stage else before["stage"]] = before["trials"]
    stages[study.stage] = study.points()
    return plots.search(stages, {key: bool(axis.log10) or key == LAMBDA for key, axis in study.space.items()})
