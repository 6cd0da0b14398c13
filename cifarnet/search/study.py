"""A search: its trials, how they did, and the run folder that all this is in."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from cifarnet import config, pages, plots
from cifarnet.config import Settings
from cifarnet.config.search import Axis, Coarse, Fine, Search
from cifarnet.errors import RunError
from cifarnet.experiments import pool, train
from cifarnet.experiments.pool import Executor, Job, Outcome
from cifarnet.readable import csv_text, percent
from cifarnet.runs import FORMATS, Run
from cifarnet.runs.catalog import short_names
from cifarnet.runs.trials import by_index, rank
from cifarnet.search import tpe
from cifarnet.search.space import Values, is_list, listed, values_at

CYCLES, N_S, TRAIN, VALIDATION = "training.schedule.cycles", "training.schedule.n_s", "data.train", "data.validation"
LOG = logging.getLogger(__name__)
TABLE, PLAN = "trials.csv", "plan.json"
COMMON = {  # what all trials have, unless it is searched
    CYCLES: "cycles",
    N_S: "n_s",
    "training.schedule.eta_min": "eta_min",
    "training.schedule.eta_max": "eta_max",
    "training.batch_size": "batch size",
    "network.hidden": "hidden",
    "seed": "seed",
}
EARLIER = "earlier.json"  # what a fine search started from, so that the folder can be drawn alone

Row = dict[str, str]  # of trials.csv


class Trial(BaseModel, frozen=True):
    """One training: trials of one index differ in the seed alone."""

    index: int
    seed: int
    values: Values


class Study(BaseModel, frozen=True):
    """A search, coarse or fine, over `search.over` where it is general and else over lambda; its trials and rows.

    ``earlier`` is the search that a fine one starts from: its stage, and its trials, the best first. ``sources`` says
    where the schedule, and the split and schedule of the final training, come from.
    """

    settings: Settings
    stage: Literal["coarse", "fine"]
    general: bool
    space: dict[str, Axis] = {}
    trials: list[Trial] = []
    earlier: dict[str, Any] | None = None
    sources: dict[str, str] = {}
    rows: list[Row] = []

    @property
    def search(self) -> Search:
        return self.settings.search or Search()

    @property
    def part(self) -> Coarse | Fine:
        return self.search.coarse if self.stage == "coarse" else self.search.fine

    @property
    def command(self) -> str:
        return "search" if self.general else "search-lambda"

    @cached_property
    def names(self) -> dict[str, str]:
        """Short names of the searched keys."""
        return short_names(self.space)

    @property
    def learns(self) -> bool:
        """Whether later trials are suggested from how the earlier ones end."""
        return self.part.sampling == "tpe" and not is_list(self.space)

    @property
    def total(self) -> int:
        """How many trainings there are, with those that are not suggested yet."""
        return max(len(self.trials), self.part.trials * self.part.seeds) if self.learns else len(self.trials)

    @property
    def left(self) -> int:
        """How many trainings have no row."""
        return self.total - len(self.rows)

    @property
    def values(self) -> dict[int, Values]:
        """The searched values of each index."""
        return {trial.index: trial.values for trial in self.trials}

    def named(self, values: Values) -> Values:
        """Return values by the short names of their keys."""
        return {name: values[key] for key, name in self.names.items()}

    def add(self, points: Iterable[Values]) -> None:
        """Add the trials at some values, one for each seed; ConfigError if their settings are wrong."""
        for index, values in enumerate(points, len(self.values)):
            for seed in range(self.settings.seed, self.settings.seed + self.part.seeds):
                trial = Trial(index=index, seed=seed, values=values)
                self.trial_settings(trial)
                self.trials.append(trial)

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

    def summaries(self) -> list[dict[str, Any]]:
        """Return every trial by index: its values, how it did where it was completed, and how it ended."""
        named = {index: self.named(values) for index, values in self.values.items()}
        return [{"index": trial["index"], **trial.pop("values"), **trial} for trial in by_index(named, self.rows)]

    def standings(self) -> list[dict[str, Any]]:
        """Return the ranked trials."""
        return rank(self.summaries())

    def points(self) -> list[dict[str, Any]]:
        """Return the completed trials as a figure shows them, the best first."""
        return [
            {"values": trial["values"], "accuracy": trial["validation_accuracy"], "spread": trial["spread"]}
            for trial in rank(by_index(self.values, self.rows))
        ]

    def describe(self) -> str:
        """Name the settings that all trials have."""
        settings = self.trial_settings(self.trials[0])
        known = config.flatten(config.plain(settings))
        texts = [f"{name} {known[key]}" for key, name in COMMON.items() if key not in self.space]
        return ", ".join([*texts, f"{settings.data.n_train:,} training images"])

    def plan(self) -> dict[str, Any]:
        """Return the content of plan.json."""
        return self.model_dump(mode="json", exclude={"settings", "earlier", "rows"}, exclude_none=True)


def read(run: Run, *, without_failed: bool = False) -> Study:
    """Return the search of a run folder, or that without its failed trials; RunError if it is none, or is broken."""
    if run.kind != "search":
        raise RunError(f"{run.path}: this is no search but a run of kind {run.kind}; name the folder of a search")
    plan, table = run.read_json(PLAN), run.read_rows(TABLE)
    rows = [row for row in table if not (without_failed and row.get("status") == "failed")]
    for row in rows:
        row.pop(CYCLES, None)  # a second column, beside cycles, that earlier versions wrote where these are searched
    earlier = run.read_json(EARLIER) if (run.path / EARLIER).is_file() else None
    try:
        study = Study.model_validate({**plan, "settings": run.settings, "earlier": earlier, "rows": rows})
        study.missing(), study.standings()  # whatever does not fit shows here
    except (KeyError, TypeError, ValueError) as error:
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

    RunError if it is no search, a living process runs it, or it would become another one: what differs is named.
    """
    with run.take():
        study = read(run, without_failed=retry_failed)
        if study.learns:
            tpe.library()
        dataset = executor.dataset(study.settings.data)
        if any(value for key, value in run.choices.items() if key.endswith(".halving")):
            raise RunError(f"{run.path}: cannot go on: it began with halving, which is gone; search again")
        if changed := "; ".join(train.contradictions(run, study.settings, dataset)):
            raise RunError(f"{run.path}: cannot go on, as it would become another search: {changed}; undo that")
        run.reopen(len(study.rows), "trials")
        if (run.path / TABLE).exists():
            run.write(TABLE, csv_text([*study.rows[:1], *(row.values() for row in study.rows)]))
    run.formats = formats
    return study


def execute(
    study: Study, run: Run, executor: Executor, *, fail_fast: bool = False
) -> Generator[tuple[Trial, Outcome] | None, None, None]:
    """Run the trials that are missing, write a row as each ends, and at the end all that a finished search has.

    Yields the trials as they end, and None now and then, so that the caller may leave. Left before the end, by
    ``close()`` or an exception, the running trials are stopped, those that ended are written, and the run is marked as
    what it is: interrupted or failed. RunError when the folder cannot be written or, with fail_fast, a trial fails or
    diverges; DataError when a worker does not have the images.
    """
    stop = threading.Event()
    ends = trained(study, run, executor, stop)
    with pages.live_page(run) as refresh, pool.stopping(stop, ends):
        for end in ends:
            refresh()
            yield end
            if end and fail_fast and end[1].status != "completed":
                trial, outcome = end
                raise RunError(f"trial {trial.index} {outcome.status}, and --fail-fast was given: {outcome.note}")
        finish(study, run)


def trained(
    study: Study, run: Run, executor: Executor, stop: threading.Event
) -> Iterator[tuple[Trial, Outcome] | None]:
    """Run the trials that are missing, then those that are suggested, and write a row as each ends."""
    images = run.environment["data"]["fingerprint"]
    while not stop.is_set() and (trials := study.missing() or suggested(study, run)):
        jobs = [Job(trial, study.trial_settings(trial), images, scored="validation") for trial in trials]
        for end in pool.run(jobs, executor, stop):
            if end and end[1].status != "left":
                write(study, run, end[0].key, end[1])
            yield end and (end[0].key, end[1])


def suggested(study: Study, run: Run) -> list[Trial]:
    """Add the next round of a search that learns to its plan, if there is one, and return its trials."""
    if len(study.trials) < study.total:
        study.add([values_at(study.space, point, study.settings) for point in tpe.suggest(study)])
        run.write_json(PLAN, study.plan())
    return study.missing()


def write(study: Study, run: Run, trial: Trial, outcome: Outcome) -> None:
    """Add the row of a trial."""
    scores = [r.validation for r in outcome.records if r.validation] if outcome.status == "completed" else []
    searched = {name: value for name, value in study.named(trial.values).items() if name != "cycles"}
    row = {
        "index": trial.index,
        "seed": trial.seed,
        **searched,
        "cycles": trial.values.get(CYCLES, study.part.cycles),
        "best_validation_accuracy": max((s.accuracy for s in scores), default=math.nan),
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
        why = f"number {best['index']}, validation accuracy {percent(accuracy)}"
        run.write(
            "best.yaml",
            f"# The best of {len(ranked)} trials: {why}.\n"
            + config.dump(study.final_settings(study.values[best["index"]])),
        )
        for warning in plots.draw(run):
            run.log(warning)
            LOG.warning(warning)
        results |= {"best": best, "validation_accuracy": accuracy}
    run.finish("completed", results=results)
