"""A run folder while a process writes it: made, taken over, filled and finished."""

from __future__ import annotations

import io
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

from cifarnet.errors import RunError
from cifarnet.runs import disk, reading
from cifarnet.runs.reading import LATEST, LOCK, NOTES

LOG = logging.getLogger(__name__)
# A disk takes longer to be sure of a checkpoint (6 ms here) than an update takes, so training goes on meanwhile.
WRITER = ThreadPoolExecutor(1, "checkpoint")
FORMATS = ("png", "svg")  # of figures


class Run:
    """A run folder that this process writes; its figures in all of the ``formats``."""

    def __init__(self, path: Path, info: Mapping[str, Any] | None = None, formats: Sequence[str] = FORMATS) -> None:
        self.path = path
        self.formats = formats
        self.info: dict[str, Any] = dict(info or {})
        self.started = time.monotonic() - self.info.get("seconds", 0)
        self.resumed = info is not None
        self.lock: int | None = None
        self.pending: Future[None] | None = None

    def write(self, name: str, content: bytes | str) -> None:
        """Write a file of the folder, whole; ``name`` may lead into a subfolder."""
        path = self.path / name
        if path.parent != self.path:
            disk.make_subfolder(path.parent)
        disk.write_whole(path, content.encode() if isinstance(content, str) else content)

    def write_json(self, name: str, value: Any) -> None:
        self.write(name, json.dumps(value, indent=2) + "\n")

    def write_arrays(self, name: str, **arrays: Any) -> None:
        """Write an .npz: arrays of numbers and text, no objects; the same arrays give the same bytes."""
        import numpy as np

        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        self.write(name, buffer.getvalue())

    def checkpoint(self, **arrays: Any) -> None:
        """Let checkpoints/latest.npz be written, with the metrics so far; the arrays must not change any more.

        Raises
        ------
        RunError
            If the one before could not be written.
        """
        import numpy as np

        self.settle()
        metrics = np.frombuffer(disk.read(self.path / "metrics.csv", None), np.uint8)
        self.pending = WRITER.submit(self.write_arrays, LATEST, **arrays, metrics=metrics)

    def settle(self) -> None:
        """Wait for the last checkpoint; RunError if it could not be written."""
        pending, self.pending = self.pending, None
        if pending:
            pending.result()

    def append(self, row: Mapping[str, Any], name: str = "metrics.csv") -> None:
        """Add a row to a table, with a header where the table is new."""
        disk.append(self.path / name, ",".join("" if v != v else str(v) for v in row.values()), ",".join(row))

    def log(self, text: str) -> None:
        """Add a line to log.txt with the time."""
        disk.append(self.path / "log.txt", f"{now()} {text}")

    def note(self, text: str) -> None:
        """Add a line to notes.txt: a file of its own, as another process may be writing run.json."""
        disk.append(self.path / NOTES, f"{now()} {' '.join(text.split())}")

    def update(self, **info: Any) -> None:
        """Set entries of run.json."""
        self.info |= info
        self.write_json("run.json", self.info)

    def go_on(self, step: int, what: str = "updates") -> None:
        """Begin to write a folder that another process left; what it left half written is removed."""
        self.sweep()
        for grown in (*self.path.glob("*.csv"), *self.path.glob("log.txt")):
            disk.cut(grown)
        for outdated in ("ended", "error", "updates"):
            self.info.pop(outdated, None)
        self.log(f"resumed after {step} {what}")
        self.update(status="running", **me(), resumed=[*self.info.get("resumed", []), step])

    def sweep(self) -> None:
        """Remove what another process left half written."""
        inner = (folder for folder in self.path.iterdir() if folder.is_dir() and not folder.is_symlink())
        for folder in (self.path, *inner):
            for part in folder.glob(".*.part"):
                disk.remove(part)

    def finish(self, status: str, **info: Any) -> None:
        """Set the final status: completed, interrupted, diverged or failed; whoever comes next may take the folder."""
        try:
            self.settle()
            self.log(status)
            self.update(status=status, ended=now(), seconds=round(time.monotonic() - self.started, 3), **info)
        finally:
            self.release()

    def release(self) -> None:
        """Let the folder go."""
        if self.lock is not None:
            os.close(self.lock)
        self.lock = None


def now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


def me() -> dict[str, Any]:
    """The process that runs it."""
    return {"pid": os.getpid(), "host": socket.gethostname()}


def create(
    runs_dir: Path, kind: str, label: str, config: str, files: Mapping[str, Any] | None = None, **info: Any
) -> Run:
    """Make a new run folder, named by time, kind and label; a name that is taken gets -2, -3, ...

    It is filled under a hidden name and renamed, so that a folder has its settings, and the ``files`` given by name and
    value (JSON), from its first instant: whenever it is left, it can be resumed.

    Raises
    ------
    RunError
        If it cannot be made.
    """
    name = f"{datetime.now():%Y%m%d-%H%M%S}-{kind}-{label}"
    part = runs_dir / f".{name}.{os.getpid()}-{threading.get_ident()}.part"
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        part.mkdir()
        run = Run(part)
        run.write("config.yaml", config)
        for file, content in (files or {}).items():
            run.write_json(file, content)
        run.update(kind=kind, label=label, status="running", **me(), started=now(), **info)
        run.path = disk.claim(part, runs_dir / name)
        run.lock = disk.lock(run.path / LOCK)
    except (OSError, RunError) as error:
        disk.remove(part)
        if isinstance(error, RunError):
            raise
        raise disk.failed(runs_dir, error, "no run folder can be made") from error
    try:
        disk.link(runs_dir / "latest", run.path.name)
    except BaseException:
        run.release()
        raise
    LOG.info("run folder %s", run.path)
    return run


def take(path: Path) -> Run:
    """Take over the folder of a run that no process runs; nothing in it is changed yet.

    Raises
    ------
    RunError
        If a living process has it, or it cannot be read or written.
    """
    info = reading.read(path)
    lock = disk.lock(path / LOCK)
    if lock is None:
        raise RunError(
            f"{path}: process {info.get('pid')} on {info.get('host')} is running it; wait for it, or stop it first"
        )
    run = Run(path, reading.read_json(path / "run.json"))
    run.lock = lock
    return run


def remove(path: Path) -> None:
    """Remove a run folder; ``latest`` then names the newest of those that are left.

    Raises
    ------
    RunError
        If a living process has it, or it cannot be removed.
    """
    path = path.resolve()
    lock = disk.lock(path / LOCK)
    if lock is None:
        raise RunError(f"{path}: a process is running it; wait for it, or stop it first")
    os.close(lock)
    latest, doomed = path.parent / "latest", path.with_name(f".{path.name}.{os.getpid()}.part")
    named = reading.latest(path.parent)
    try:
        path.replace(doomed)  # at once, so that no half of a folder is ever listed
    except OSError as error:
        raise disk.failed(path, error, "cannot be removed") from error
    disk.remove(doomed)
    if named == path.name:
        disk.remove(latest)
        if left := reading.folders(path.parent):
            disk.link(latest, left[-1].name)
