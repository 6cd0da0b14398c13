"""A run folder: found, made, read and written by the one class `Run`."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifarnet.errors import RunError, shown
from cifarnet.readable import flatten, is_number
from cifarnet.runs import storage
from cifarnet.runs.environment import now, process
from cifarnet.runs.storage import Folder, reading
from cifarnet.runs.trials import best_values

if TYPE_CHECKING:  # a thousand runs are listed before numpy would be imported
    import numpy as np
    from filelock import FileLock
    from numpy.typing import NDArray

    from cifarnet.config import Settings
    from cifarnet.nn.model import Model

LOG = logging.getLogger(__name__)
FORMATS = ("png",)
LATEST = "checkpoints/latest.npz"
LOCK = ".lock"
CURVES = ("step", *(f"{split}_{name}" for name in ("cost", "loss", "accuracy") for split in ("train", "validation")))
FACTS = ("kind", "label", "status", "started", "seconds")  # of run.json
FIELDS = {"kind": str, "label": str, "status": str, "settings": dict, "results": dict}
NUMBERS = ("accuracy", "cost", "loss")  # how the names of results end that are numbers
STATUSES = ("running", "completed", "interrupted", "diverged", "failed")
STOPPED = {"interrupted": "was interrupted", "stale": "was killed", "failed": "has failed", "diverged": "has diverged"}
KINDS = {"train": "training", "gradcheck": "gradient check", "find-eta": "range test", "diagnose": "diagnosis"}
HOLDS = {"network": "model.npz", "checkpoint": "checkpoints/*.npz"}  # what runs have in files


class Run(Folder):
    """A run folder: read when something of it is asked for, and written by the process that made it or takes it.

    Whatever is missing or broken, or cannot be written, is a RunError that names the file.
    """

    def __init__(self, path: Path, info: Mapping[str, Any] | None = None) -> None:
        super().__init__(path)
        self.formats: Sequence[str] = FORMATS  # of the figures that are written
        self._info = None if info is None else dict(info)  # None: read run.json each time, as others may write it
        self._started = time.monotonic()
        self._lock: FileLock | None = None

    @classmethod
    def listed(cls, path: Path) -> Run:
        """Return a run as run.json describes it now; a damaged one has the status ``unreadable`` and no more."""
        try:
            return cls(path, cls(path).info)
        except RunError:
            return cls(path, {"status": "unreadable"})

    @classmethod
    def find(cls, name: str, runs_dir: Path, need: str | None = None) -> Run:
        """Find a run by its path, by a unique beginning of its name, or by ``latest``.

        ``need`` is what it must have, a ``network`` or a ``checkpoint``, or be: a ``training``, ``search`` or
        ``diagnosis``. ``latest`` is the newest such run; of trainings, the newest that was stopped.
        """
        runs_dir = Path(runs_dir).expanduser()
        found = cls._latest(runs_dir, need) if name == "latest" else cls(storage.named(name, runs_dir))
        if need and not found.has(need):
            others, lacks = name == "latest", f"{'has' if need in HOLDS else 'is'} no {need}: it {found.describe()}"
            raise RunError(f"{'no other run will do, and the newest ' * others}{shown(found.path)} {lacks}")
        return found

    @classmethod
    def _latest(cls, runs_dir: Path, need: str | None) -> Run:
        paths, linked = storage.folders(runs_dir)[::-1], storage.latest(runs_dir)
        if not paths:
            raise RunError(f"{shown(runs_dir)}: there are no runs yet; cifarnet train makes one")
        runs = [cls.listed(path) for path in sorted(paths, key=lambda path: path != linked)]
        fit = [run for run in runs if not need or run.has(need)] or runs
        return cls(next((run for run in fit if need == "training" and run.is_stopped), fit[0]).path)

    @classmethod
    def create(
        cls,
        runs_dir: Path,
        kind: str,
        settings: Settings,
        *,
        environment: Mapping[str, Any],
        files: Mapping[str, Any] | None = None,
        **info: Any,
    ) -> Run:
        """Make a run folder, named by time, kind and label, for this process to write; ``latest`` then names it.

        It is filled under a hidden name and renamed, so that a folder has its settings, its environment and the JSON
        ``files`` from its first instant: whenever it is left, it can be resumed. ``info`` goes into run.json.
        """
        from cifarnet import config

        runs_dir = Path(runs_dir).expanduser()
        name = f"{datetime.now():%Y%m%d-%H%M%S}-{kind}-{settings.label}"
        part = runs_dir / f".{name}.{os.getpid()}-{threading.get_ident()}.part"
        run = cls(part, {"kind": kind, "label": settings.label, "status": "running", **process(), "started": now()})
        try:
            part.mkdir(parents=True)
            run.write("config.yaml", config.dump(settings))
            for file, value in {"environment.json": environment, **(files or {})}.items():
                run.write_json(file, value)
            run.update(settings=config.plain(settings), **info)
            run.path = storage.claim(part, runs_dir / name)
            run._lock = storage.lock(run.path / LOCK)
            storage.link_latest(runs_dir, run.name)
        except BaseException as error:
            run.release()
            storage.discard(part)
            if isinstance(error, OSError):
                raise storage.failed(runs_dir, error, "no run folder can be made") from error
            raise
        LOG.info("run folder %s", run.path)
        return run

    @contextlib.contextmanager
    def take(self) -> Iterator[Run]:
        """Take over a folder that no process writes, without a change in it; an error in the block lets it go."""
        info = Run(self.path).info
        self._lock = storage.lock(self.path / LOCK)
        if self._lock is None:
            who = f"process {info.get('pid')} on {info.get('host')}"
            raise RunError(f"{shown(self.path)}: {who} is running it; wait for it, or stop it first")
        try:
            self._info = self.read_json("run.json")
            self._started = time.monotonic() - self._info.get("seconds", 0)
            yield self
        except BaseException:
            self.release()
            raise

    @property
    def info(self) -> dict[str, Any]:
        """What run.json says; the status is ``stale`` where it says running and no process does."""
        if self._info is not None:
            return self._info
        info = self.read_json("run.json")
        with reading(self.path / "run.json", "that of a run"):
            wrong = [key for key, kind in FIELDS.items() if not isinstance(info.get(key, {}), kind)]
            scores = {} if wrong else info.get("results", {})
            wrong += [key for key, value in scores.items() if key.endswith(NUMBERS) and not is_number(value)]
            if wrong or info["status"] not in STATUSES:
                raise ValueError(f"{', '.join(wrong) or 'status'} is not as this version of cifarnet writes it")
        if info["status"] == "running" and not storage.locked(self.path / LOCK):
            info["status"] = "stale"
        return info

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def kind(self) -> str:
        """train, search, gradcheck, find-eta or diagnose."""
        return str(self.info.get("kind", ""))

    @property
    def label(self) -> str:
        return str(self.info.get("label", ""))

    @property
    def status(self) -> str:
        """running, completed, interrupted, diverged, failed, or stale: its process is gone."""
        return str(self.info["status"])

    @property
    def is_stopped(self) -> bool:
        """Whether it was left before its end, and can go on."""
        return self.status in ("interrupted", "stale", "failed")

    @property
    def results(self) -> dict[str, Any]:
        """Cost, loss and accuracy on each split, and more; empty before the end."""
        return dict(self.info.get("results", {}))

    @property
    def scores(self) -> dict[str, float]:
        """The results that are single numbers."""
        return {key: value for key, value in self.results.items() if isinstance(value, (int, float))}

    @cached_property
    def choices(self) -> dict[str, Any]:
        """What was set, as run.json has it: dotted keys, by their present names, and values."""
        settings = flatten(self.info.get("settings", {}))
        return {key.replace("training.jitter", "training.augmentation"): value for key, value in settings.items()}

    @cached_property
    def values(self) -> dict[str, Any]:
        """All that a run is filtered, sorted and shown by; a result named like a setting is ``results.NAME``.

        In place of what a search tries it has the values of its best trial, and no length, as its stages have theirs.
        """
        scores = {f"results.{key}" if key in self.choices else key: value for key, value in self.scores.items()}
        facts = {key: self.info[key] for key in FACTS if key in self.info}
        searched = best_values(self.results.get("best", {}), self.choices) if self.kind == "search" else {}
        return self.choices | searched | scores | facts | {"run": self.name}

    @property
    def is_synthetic(self) -> bool:
        """Whether its images are synthetic; a check of a student's code has none."""
        return bool(self.choices.get("data.source") == "synthetic")

    def has(self, need: str) -> bool:
        """Return whether it has, or is, what `find` needs."""
        return any(self.path.glob(HOLDS[need])) if need in HOLDS else need == KINDS.get(self.kind, self.kind)

    def describe(self) -> str:
        """Say what it is and how to go on with it: the rest of a sentence that begins with "it"."""
        if self.kind != "train":
            return f"is a {KINDS.get(self.kind, self.kind)}" if self.kind else "cannot be read"
        if self.status not in STOPPED:
            return f"is a {self.status} training"
        done = f" after {self.info['updates']:,} updates" if "updates" in self.info else ""
        ways = [f"cifarnet train --resume {shown(self.path)}"] if self.status != "diverged" else []
        if cycles := len([*self.path.glob("checkpoints/cycle-*.npz")]):
            ways.append(f"cifarnet evaluate {shown(self.path)} --checkpoint cycle-{cycles}")
        return STOPPED[self.status] + done + (": " if ways else "") + ", or ".join(ways)

    @cached_property
    def settings(self) -> Settings:
        """All settings, validated."""
        from cifarnet import config

        return config.load_saved(self.path / "config.yaml")

    @property
    def records(self) -> dict[str, NDArray[np.float64]]:
        """The columns of metrics.csv, (n,) each; NaN stands for what was not measured."""
        columns = self.read_table("metrics.csv")
        lacks = ", ".join(name for name in CURVES if name not in columns)
        if not lacks and self.status == "completed" and columns["step"].max(initial=0) < self.results.get("updates", 0):
            lacks = "row of the last update"
        if lacks:
            raise RunError(f"{shown(self.path / 'metrics.csv')}: has no {lacks}; {storage.CURE}")
        return columns

    @property
    def environment(self) -> dict[str, Any]:
        """What environment.json says of versions, machine, code and images."""
        return self.read_json("environment.json")

    @property
    def notes(self) -> list[str]:
        """The notes, each with its time."""
        there = (self.path / "notes.txt").exists()
        return self.read_bytes("notes.txt").decode(errors="replace").splitlines() if there else []

    @cached_property
    def model(self) -> Model:
        """The network after the last update."""
        return self.load_model()

    @property
    def classifier(self) -> Model:
        """The network for pictures of any kind; RunError where it needs each to be normalised by its own values."""
        if self.settings.data.practice.basis == "image":
            raise RunError(f"{shown(self.path)} cannot classify pictures: deviations.statistics_of_image is on")
        return self.model

    def load_model(self, file: str = "model.npz") -> Model:
        """Return the network of a file, which may be a checkpoint such as ``checkpoints/cycle-1.npz``."""
        from cifarnet.nn.model import ARRAYS, Model

        if file == "model.npz" and not self.has("network"):
            raise RunError(f"{shown(self.path)} has no network: it {self.describe()}")
        arrays, sizes = self.read_arrays(file, ARRAYS), self.settings.sizes
        with reading(self.path / file, "a network", "train again, or evaluate a checkpoint with --checkpoint"):
            model = Model.from_arrays(arrays)
            if model.sizes != sizes:
                raise ValueError(f"its layers are {model.sizes}, and those of config.yaml {sizes}")
        return model

    def log(self, text: str) -> None:
        """Add a line to log.txt with the time."""
        storage.append(self.path / "log.txt", f"{now()} {text}\n")

    def note(self, text: str) -> None:
        """Add a line to notes.txt: a file of its own, as another process may be writing run.json."""
        storage.append(self.path / "notes.txt", f"{now()} {' '.join(text.split())}\n")

    def update(self, **info: Any) -> None:
        """Set entries of run.json."""
        self._info = self.info | info
        self.__dict__.pop("values", None)
        self.write_json("run.json", self._info)

    def reopen(self, step: int, what: str = "updates") -> None:
        """Begin to write a folder that was taken; what another process left half written is removed."""
        self.remove_parts()
        for path in (*self.path.glob("*.csv"), *self.path.glob("log.txt")):
            if not (content := path.read_bytes()).endswith(b"\n"):  # a kill leaves a last line without its end
                storage.write_file(path, content[: content.rfind(b"\n") + 1])
        self._info = {key: value for key, value in self.info.items() if key not in ("ended", "error", "updates")}
        self.log(f"resumed after {step} {what}")
        self.update(status="running", **process(), resumed=[*self._info.get("resumed", []), step])

    def remove_parts(self) -> None:
        """Remove the files that another process left half written."""
        for part in [*self.path.rglob(".*.part")]:
            storage.discard(part)

    def finish(self, status: str, **info: Any) -> None:
        """Set the final status: completed, interrupted, diverged or failed; whoever comes next may take the folder."""
        try:
            self.log(status)
            ended = {"status": status, "ended": now(), "seconds": round(time.monotonic() - self._started, 3)}
            self.update(**(ended | info))
        finally:
            self.release()

    def release(self) -> None:
        """Let the folder go."""
        if self._lock:
            self._lock.release()
        self._lock = None

    def remove(self) -> None:
        """Remove the folder, if no process writes it; ``latest`` then names the newest of those that are left."""
        path = self.path.resolve()
        if not (lock := storage.lock(path / LOCK)):
            raise RunError(f"{shown(path)}: a process is running it; wait for it, or stop it first")
        lock.release()
        was_latest, part = storage.latest(path.parent) == path, path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            path.replace(part)  # at once for those who list
        except OSError as error:
            raise storage.failed(path, error, "cannot be removed") from error
        storage.discard(part)
        if was_latest:
            storage.discard(path.parent / "latest")
            if left := storage.folders(path.parent):
                storage.link_latest(path.parent, left[-1].name)
