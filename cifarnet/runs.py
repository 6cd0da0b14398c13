"""The run folder: the only writer under runs/. Files are written whole; metrics.csv and log.txt grow by lines."""

import contextlib
import csv
import io
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifarnet.errors import RunError


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a reader finds the old content or the new, never a part.

    Raises
    ------
    RunError
        If it cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise RunError(
            f"{path}: cannot be written: {error.strerror}; free some space or choose another --runs-dir"
        ) from error


class Run:
    """A run folder that this process made and writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.started = time.monotonic()
        self.info: dict[str, Any] = {}

    def write(self, name: str, content: bytes | str) -> None:
        """Write a file of the folder, whole; ``name`` may lead into a subfolder."""
        path = self.path / name
        path.parent.mkdir(exist_ok=True)
        write_whole(path, content.encode() if isinstance(content, str) else content)

    def write_json(self, name: str, value: Any) -> None:
        self.write(name, json.dumps(value, indent=2) + "\n")

    def write_arrays(self, name: str, **arrays: Any) -> None:
        """Write an .npz: arrays of numbers and text, no objects; the same arrays give the same bytes."""
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        self.write(name, buffer.getvalue())

    def append(self, row: Mapping[str, Any], name: str = "metrics.csv") -> None:
        """Add a row to a table, with a header where the table is new."""
        header = not (self.path / name).exists()
        lines = ([",".join(row)] if header else []) + [",".join("" if v != v else str(v) for v in row.values())]
        self.append_line(name, "\n".join(lines))

    def log(self, text: str) -> None:
        """Add a line to log.txt with the time."""
        self.append_line("log.txt", f"{now()} {text}")

    def append_line(self, name: str, line: str) -> None:
        try:
            with (self.path / name).open("a", encoding="utf-8", newline="\n") as file:
                file.write(line + "\n")
        except OSError as error:
            raise RunError(f"{self.path / name}: cannot be written: {error.strerror}") from error

    def update(self, **info: Any) -> None:
        """Set entries of run.json."""
        self.info |= info
        self.write_json("run.json", self.info)

    def finish(self, status: str, **info: Any) -> None:
        """Set the final status: completed, interrupted, diverged or failed."""
        self.log(status)
        self.update(status=status, ended=now(), seconds=round(time.monotonic() - self.started, 3), **info)


def now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


def create(runs_dir: Path, kind: str, label: str, config: str, **info: Any) -> Run:
    """Make a new run folder, named by time, kind and label; a name that is taken gets -2, -3, ...

    Raises
    ------
    RunError
        If it cannot be made.
    """
    name = f"{datetime.now():%Y%m%d-%H%M%S}-{kind}-{label}"
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        path = next(path for n in range(1, 10_000) if (path := made(runs_dir / (name if n == 1 else f"{name}-{n}"))))
    except OSError as error:
        raise RunError(f"{runs_dir}: no run folder can be made: {error.strerror}; choose another --runs-dir") from error
    run = Run(path)
    run.write("config.yaml", config)
    run.update(
        kind=kind, label=label, status="running", pid=os.getpid(), host=socket.gethostname(), started=now(), **info
    )
    point_latest(runs_dir, path.name)
    return run


def made(path: Path) -> Path | None:
    try:
        path.mkdir()
    except FileExistsError:
        return None
    return path


def point_latest(runs_dir: Path, name: str) -> None:
    """Let runs/latest name a run: a symlink, or a text file where links are not to be had."""
    part = runs_dir / f".latest.{os.getpid()}.{name}"
    try:
        part.symlink_to(name, target_is_directory=True)
        part.replace(runs_dir / "latest")
    except OSError:
        write_whole(runs_dir / "latest", name.encode())


def find(name: str, runs_dir: Path) -> Path:
    """Find a run by its path, by ``latest``, or by a unique beginning of its name.

    Raises
    ------
    RunError
        If there is none, or more than one.
    """
    if name == "latest":
        latest = runs_dir / "latest"
        name = latest.read_text().strip() if latest.is_file() else latest.resolve().name
    for path in (Path(name), runs_dir / name):
        if (path / "run.json").is_file():
            return path
    found = [path.parent for path in sorted(runs_dir.glob("*/run.json")) if path.parent.name.startswith(name)]
    if len(found) != 1:
        names = ", ".join(path.name for path in found[-5:]) or "none"
        raise RunError(f"{name}: {len(found)} runs in {runs_dir} begin like this ({names}); name one of them")
    return found[0]


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file of a run folder.

    Raises
    ------
    RunError
        If it is not there or broken.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read ({error}); is this a run folder?") from error
    if not isinstance(value, dict):
        raise RunError(f"{path}: not a JSON object; is this a run folder?")
    return value


def read_table(path: Path) -> dict[str, NDArray[np.float64]]:
    """Read metrics.csv as columns; what was not measured is NaN, and a last line cut short is left out.

    Raises
    ------
    RunError
        If it is not there or broken.
    """
    try:
        text = path.read_text(encoding="utf-8")
        header, *rows = csv.reader(text[: text.rfind("\n")].splitlines())
        values = np.array([[float(v or "nan") for v in row] for row in rows]).reshape(len(rows), len(header))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read ({error})") from error
    return dict(zip(header, values.T, strict=True))


def read_arrays(path: Path, names: Iterable[str]) -> dict[str, NDArray[Any]]:
    """Read arrays of an .npz of a run folder; nothing in it can run code.

    Raises
    ------
    RunError
        If the file is not there, broken, or lacks one of the names.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in names}
    except Exception as error:  # a broken zip raises a dozen kinds
        raise RunError(f"{path}: cannot be read ({error}); train again, or take a checkpoint of the run") from error


def environment() -> dict[str, Any]:
    """What a result may depend on besides its settings: versions, BLAS and its threads, CPU, git state."""
    import platform

    import threadpoolctl

    from cifarnet import __version__

    return {
        "cifarnet": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": [
            {key: pool.get(key) for key in ("internal_api", "version", "num_threads", "architecture")}
            for pool in threadpoolctl.threadpool_info()
        ],
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "argv": sys.argv,
        "git_commit": git("rev-parse", "HEAD"),
        "git_diff": git("diff", "HEAD"),
    }


def cpu_name() -> str:
    import platform

    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def git(*arguments: str) -> str | None:
    """What git says of the source tree that this package runs from, or None where it is not one."""
    folder = Path(__file__).parent
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
