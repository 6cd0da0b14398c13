"""What incompatible numbers may come from: a diagnosis of each exhibit that has one, other steps, and causes.json."""

from __future__ import annotations

import json
import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cifarnet import causes, data
from cifarnet.causes import Diagnosis, Number, Problem
from cifarnet.causes.numbers import compared, first_step, value
from cifarnet.errors import ConfigError
from cifarnet.experiments import train
from cifarnet.experiments.pool import Executor
from cifarnet.reports import steps
from cifarnet.reports.chapter import Chapter
from cifarnet.reports.jobs import CAUSES, Progress
from cifarnet.reports.page import Report
from cifarnet.runs import Folder, Run, folders
from cifarnet.studies.spec import Exhibit, Row, Study
from cifarnet.verdicts.claims import same_weights
from cifarnet.verdicts.compare import decides

FOLDER = "diagnoses"  # in the reports' folder
EFFORT = 1.8e13  # weights times images of all diagnoses together, beside what each needs; larger exhibits get more
Known = dict[str, dict[str, float]]


def problem(study: Study, exhibits: Sequence[str], seed: int | None = None) -> Problem:
    """Return the trainings of some exhibits, or of all, and the numbers printed of them; ConfigError if one is none."""
    known = [exhibit.id for exhibit in study.exhibits]
    if missing := [name for name in exhibits if name not in known]:
        raise ConfigError(f"--exhibit {', '.join(missing)}: not known; name one of {', '.join(known)}")
    label = ".".join([study.id, *exhibits] if len(exhibits) == 1 else [study.id])
    rows, numbers = {}, list[Number]()
    for exhibit in study.exhibits:
        for row in exhibit.rows if exhibit.id in (exhibits or known) else ():
            if found := list(numbers_of(study, exhibit, row)):
                numbers += found
                more = {"label": label} if seed is None else {"label": label, "seed": seed}
                rows[row.name] = row.settings.model_copy(update=more)
    readings = [a.other for a in study.assumptions if any(a.concerns(study.rows[name]) for name in rows)]
    return Problem(rows, numbers, {"reading": readings})


def numbers_of(study: Study, exhibit: Exhibit, row: Row) -> Iterator[Number]:
    """Yield the numbers of a training that can be compared, and points of its curves, evenly spread."""
    if row.check or row.alternative:
        return
    unit = {"step": 1, "epoch": row.settings.steps_per_epoch}.get(exhibit.x, 0)
    for r in row.reported:
        if r.measure in causes.MEASURES and not (r.reason or r.bound) and not math.isnan(r.quantity):
            yield Number(row.name, row.measured(r), r.quantity, r.half)
    shown = [curve for curve in study.curves_of(row) if unit and curve.column in causes.MEASURES]
    for curve in shown:
        there = curve.x * unit <= row.settings.updates  # beyond the training there is nothing
        for i in np.flatnonzero(there)[compared(int(there.sum()), len(shown))]:
            yield Number(row.name, f"{curve.column}@{curve.x[i] * unit:g}", float(curve.y[i]), curve.reading)


def explain(
    studies: Sequence[Study], folder: Path, executor: Executor, data_dir: Path | None, source: Path | None = None,
    only: Sequence[str] = (),
) -> Generator[Progress, None, None]:  # fmt: skip
    """Diagnose every exhibit with a number or curve that differs, write causes.json, and yield as the work goes on.

    All rows of an exhibit are diagnosed together; gradients that differ are checked with other steps. What is recorded
    is not done again. ``source`` is where the studies were read from; ``only`` names studies, or STUDY/EXHIBIT.
    """
    report, asked = Report(studies, folder), tuple(f"{name}/" for name in only) or ""
    found = {name: cause for name, cause in report.records.causes.items() if not name.startswith(asked)}
    exhibits = [one for one in targets(report.chapters) if f"{one[0].study.id}/{one[1].id}/".startswith(asked)]
    gradients = [(c, e) for c, e in wrong_gradients(report.chapters) if f"{c.study.id}/{e.id}/".startswith(asked)]
    total = len(exhibits) + len(gradients)
    yield from diagnosed(folder, exhibits, found, total, executor, data_dir, source)
    fingerprint = data.fingerprints(data_dir)
    for number, (chapter, exhibit) in enumerate(gradients, len(exhibits)):
        done = Progress(number, total, number / total, f"{chapter.study.id}/{exhibit.id}")
        found |= yield from steps.explain(chapter, exhibit, executor, fingerprint, done)
    Folder(folder).write_json(CAUSES, found)  # also where nothing differs any more


def diagnosed(
    folder: Path, exhibits: Sequence[tuple[Chapter, Exhibit, int]], found: dict[str, Any], total: int,
    executor: Executor, data_dir: Path | None, source: Path | None,
) -> Generator[Progress, None, None]:  # fmt: skip
    """Diagnose exhibits, and add what explains their numbers to ``found``.

    What explains one exhibit of a report is likelier in the next ones, as one program made all. Trainings of the
    reports, of other diagnoses, and of one that was stopped are not done again.
    """
    runs, known = list(earlier(folder / FOLDER, executor)), dict[str, Mapping[str, float]]()
    for run in runs:
        known |= causes.read(run).stages.done
    problems = [problem(chapter.study, [exhibit.id], seed) for chapter, exhibit, seed in exhibits]
    works = [math.sqrt(sum(map(causes.work, asked.rows.values()))) for asked in problems]
    others: dict[str, list[Mapping[str, Any]]] = {chapter.study.id: [] for chapter, _, _ in exhibits}
    for number, (chapter, exhibit, _) in enumerate(exhibits):
        study, asked = chapter.study, problems[number]
        asked = replace(asked, likelier={**asked.likelier, "known": others[study.id]})
        name = f"{study.id}/{exhibit.id}"
        diagnosis = begun(asked, EFFORT * works[number] / sum(works), runs, folder / FOLDER, executor)
        if diagnosis.run.status != "completed":
            for step in causes.execute(diagnosis, executor, data_dir, known | trained(chapter, diagnosis)):
                if step:
                    yield Progress(number, total, (number + step.fraction) / total, f"{name}, {step.what}")
        known |= diagnosis.stages.done
        first = diagnosis.run.results["candidates"][0]
        if first["fits"] and len(set(map(str, first["changes"].values()))) == 1:  # no misprints, which differ by row
            others[study.id] += [*first["changes"].values()][:1]
        path = source / f"{study.id}.yaml" if source and source.is_dir() else source or study.id
        found |= causes_of(diagnosis, study, f"cifarnet diagnose --study {path} --exhibit {exhibit.id}")
        Folder(folder).write_json(CAUSES, found)
        yield Progress(number + 1, total, (number + 1) / total, name)


def begun(asked: Problem, effort: float, runs: Sequence[Run], folder: Path, executor: Executor) -> Diagnosis:
    """Return the one of these diagnoses that has the same plan, to go on if it was stopped, or else a new one."""
    plan = causes.plan_of(asked, effort)
    written = json.loads(json.dumps(plan))
    same = next((run for run in runs if run.read_json("plan.json") == written), None)
    if not same:
        return causes.start(asked, executor, folder, plan["effort"])
    return causes.read(same) if same.status == "completed" else causes.resume(same, executor)


def targets(chapters: Sequence[Chapter]) -> Iterator[tuple[Chapter, Exhibit, int]]:
    """Yield the exhibits with a number or a curve that differs and that a training has, and the seed of the first."""
    for chapter in chapters:
        for exhibit in chapter.study.exhibits:
            rows = [row for row in exhibit.rows if any(numbers_of(chapter.study, exhibit, row))]
            if chapter.differing & {row.name for row in rows}:
                runs = [run for row in rows for run in chapter.runs_of(row)]
                yield chapter, exhibit, runs[0].settings.seed


def wrong_gradients(chapters: Sequence[Chapter]) -> Iterator[tuple[Chapter, Exhibit]]:
    """Yield the exhibits with an error of a gradient that differs."""
    for chapter in chapters:
        for exhibit in chapter.study.exhibits:
            if chapter.differing & {row.name for row in exhibit.rows if row.check and not row.alternative}:
                yield chapter, exhibit


def earlier(folder: Path, executor: Executor) -> Iterator[Run]:
    """Yield the diagnoses of a folder that are of the same images and numerics."""
    for run in map(Run.listed, folders(folder)):
        if run.kind == "diagnose":
            dataset = executor.dataset(run.settings.data)
            if not any(train.contradictions(run, run.settings, dataset)):
                yield run


def trained(chapter: Chapter, diagnosis: Diagnosis) -> Known:
    """Return what the report's own trainings measured, as those of the settings as stated."""
    found, stages = Known(), diagnosis.stages
    for row in stages.problem.rows:
        for run in (run for run in chapter.runs_of(chapter.study.rows[row]) if run.status == "completed"):
            task = stages.task(stages.stated, row, run.settings.seed - stages.problem.rows[row].seed)
            if same_weights(run.settings, task.settings):
                step = first_step(task.settings)
                found[task.key] = {name: value(name, run.results, run.records, step) for name in stages.problem.columns}
    return found


def causes_of(diagnosis: Diagnosis, study: Study, command: str) -> dict[str, Any]:
    """Return causes as causes.json has them: what explains an exhibit's numbers together, or more than as stated."""
    results = diagnosis.run.results
    ranked: list[dict[str, Any]] = results["candidates"]
    stated = next(c for c in ranked if c["kind"] == "as stated")
    before = ranked[: ranked.index(stated)]
    better = [c for c in before if c["fits"]] or [c for c in before if c["compatible"] > stated["compatible"]]
    found = {}
    for i, number in enumerate(results["reported"]):
        measure, _, step = number["measure"].partition("@")  # a curve has one cause
        chosen = next((c for c in better if step or explains(c, i, measure)), None)
        own: dict[str, Any] = {"tried": results["tried"], "deviation": None, "says": "", "value": number["value"]}
        if chosen:
            at = {} if step else {name: chosen["numbers"][i][name] for name in ("mean", "low", "high")}
            own |= at | {"deviation": chosen["name"], "n": chosen["seeds"], "command": command}
            own["says"] = pattern(chosen, stated, results)
        elif stated["numbers"][i]["compatible"] and not step:
            own["says"] = "As one training, by the deviation of all that its diagnosis did, it is compatible as stated."
        quantity = measure.replace(".", " ").replace("_", " ") + " curve" * bool(step)
        found[f"{study.id}/{number['row']} {quantity}"] = own
    return found


def explains(candidate: Mapping[str, Any], i: int, measure: str) -> bool:
    """Return whether a number is compatible; an accuracy by itself needs an interval narrow enough to say something."""
    found, alone = candidate["numbers"][i], "accuracy" in measure and not candidate["fits"]
    return found["compatible"] and not (alone and not decides(measure, found["low"], found["high"]))


def pattern(chosen: Mapping[str, Any], stated: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    """Say what a candidate is, and how many numbers of its exhibit are compatible under it and as stated."""
    others = [name for name in results["explanations"] if name != chosen["name"]]
    text = f"{chosen['says']} Of {len(results['reported'])} numbers {chosen['compatible']} are compatible under it, "
    text += f"{stated['compatible']} as stated{'' if chosen['fits'] else '; it does not explain all together'}."
    if chosen["name"] in results["explanations"] and others:
        text += f" As likely: {', '.join(others[:3])}{' and others' if len(others) > 3 else ''}."
    return text
