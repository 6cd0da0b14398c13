"""A training that was stopped, taken up again: the same bytes at its end as if nothing had happened, or a refusal."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cifarnet import config, data, runs
from cifarnet.config.settings import Settings
from cifarnet.data import Dataset
from cifarnet.errors import RunError
from cifarnet.nested import flat
from cifarnet.runs import Run
from cifarnet.training import NUMERICS, Plan, State


@dataclass(frozen=True)
class Resumed:
    """A run that can go on, and what of the machine is another than at its start."""

    settings: Settings
    dataset: Dataset
    run: Run
    changes: list[str]


def take(path: Path, data_dir: Path | None = None, threads: int = 1) -> Resumed:
    """Take over the run of a training that was stopped, to give it to `execute` on so many threads.

    Raises
    ------
    RunError
        If it is being run, is no training, or has become another one: what differs is named.
    """
    run = runs.take(path)
    try:
        check_kind(path, run.info)
        settings = config.saved(path / "config.yaml")
        dataset = data.load(settings.data, data_dir)
        before = runs.read_environment(path)
        if found := "; ".join(contradictions(run, before, settings, dataset)):
            raise RunError(f"{path}: cannot go on, as it would become another run: {found}; undo that, or train anew")
        return Resumed(settings, dataset, run, runs.differences(before, runs.environment() | {"threads": threads}))
    except BaseException:
        run.release()
        raise


def check_kind(path: Path, info: Mapping[str, Any]) -> None:
    """Raise RunError if a run is no training."""
    if info["kind"] != "train":
        raise RunError(f"{path}: a {info['kind']} run, not a training; only trainings are resumed like this")


def contradictions(run: Run, before: Mapping[str, Any], settings: Settings, dataset: Dataset) -> Iterator[str]:
    """What is not as it was when the run began, of all that its result follows from."""
    was, now = flat(run.info.get("settings", {})), flat(config.plain(settings))
    for key in [key for key in was | now if was.get(key) != now.get(key)]:
        yield f"{key} was {was.get(key)} and is {now.get(key)} (config.yaml)"
    if before.get("data", {}).get("fingerprint") != dataset.fingerprint:
        yield "the images are not those that it began with (their fingerprint differs)"
    if before.get("numerics") != NUMERICS:
        yield f"it began with version {before.get('numerics')} of the numerics and this is version {NUMERICS}"


def identity(settings: Settings, dataset: Dataset) -> str:
    """What a checkpoint is of: a SHA-256, in hex, of all that a training follows from."""
    parts = [config.plain(settings), dataset.fingerprint, NUMERICS]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def restore(state: State, run: Run, todo: Plan, identity: str) -> None:
    """Bring a state and metrics.csv to where the run's checkpoint was taken; to the start where there is none.

    Raises
    ------
    RunError
        If the checkpoint is damaged or of another run.
    """
    try:
        path = run.path / runs.LATEST
        metrics = checkpointed(path, state, todo, identity) if path.exists() else b""
        run.go_on(state.step)
        run.write("metrics.csv", metrics)
    except BaseException:
        run.release()
        raise


def checkpointed(path: Path, state: State, todo: Plan, identity: str) -> bytes:
    """Bring a state to that of a checkpoint; return metrics.csv as it was then."""
    cure = "remove it, and the run is done again from its start"
    arrays = runs.read_arrays(path, [*state.arrays(), "metrics", "identity"], cure)
    try:
        if arrays["identity"].tolist() != identity:
            raise ValueError("it is of another run")
        state.restore(arrays)
        metrics = arrays["metrics"].tobytes()
        steps = runs.table(metrics).get("step")
        if not 0 < state.step <= todo.updates or steps is None or not len(steps) or steps[-1] > state.step:
            raise ValueError(f"step {state.step} of {todo.updates} does not fit its metrics")
    except ValueError as error:
        raise RunError(f"{path}: cannot be used ({error}); {cure}") from error
    return metrics
