"""Write the files of run folders so that what breaks leaves the old content or the new, never a part; lock folders."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import json
import os
import shutil
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifarnet.errors import RunError, shown
from cifarnet.readable import csv_text

if TYPE_CHECKING:  # a thousand runs are listed before these would be imported
    import numpy as np
    from filelock import FileLock
    from numpy.typing import NDArray

# Descriptors are of bytes, and never those of a link that leads out of the folder.
FLAGS = getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
CURE = "take it from a copy, or run it again"
PATIENCE = 0.5  # seconds: whoever asks whether a run is alive holds its lock for a moment
CURES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "free some space, or choose another folder"),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), "make it writable, or choose another folder"),
    **dict.fromkeys((errno.EEXIST, errno.ENOTDIR), "choose another folder"),
    errno.ENOENT: "its folder was moved or deleted; start again",
    errno.EIO: "the disk fails; copy the run folder to another one and go on there",
    errno.ELOOP: "a link stands where a file belongs; remove it",
}


def failed(path: Path, error: OSError, what: str = "cannot be written") -> RunError:
    """Return the error that a user sees, with the cure for its cause."""
    cure = CURES.get(error.errno or 0, "check that it is there and can be written, or choose another folder")
    return RunError(f"{shown(path)}: {what}: {error.strerror or error}; {cure}")


@contextlib.contextmanager
def reading(path: Path, kind: str = "", cure: str = "is this a run folder?") -> Iterator[None]:
    """Turn whatever is wrong with a file that is read, as JSON or another kind, into one RunError with the cure."""
    try:
        yield
    except Exception as error:  # a broken zip alone raises a dozen kinds
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        what = f"cannot be read as {kind}" if kind else "cannot be read"
        raise RunError(f"{shown(path)}: {what}: {shown(why)}; {cure}") from error


@contextlib.contextmanager
def opened(path: Path, flags: int) -> Iterator[int]:
    """Open a file to write; ``os`` alone is used, so that tests can break every call."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | flags | FLAGS, 0o666)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def write_all(descriptor: int, content: bytes | str) -> None:
    """Write to the end: the system may take less than it is given. Of text, what is no character is escaped."""
    rest = memoryview(content.encode(errors="backslashreplace") if isinstance(content, str) else content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def write_file(path: Path, content: bytes | str) -> None:
    """Write a file; a reader, and who comes after a power loss, finds the old content or the new."""
    part = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        with opened(part, os.O_TRUNC) as descriptor:
            write_all(descriptor, content)
            os.fsync(descriptor)
        part.replace(path)
    except OSError as error:
        discard(part)
        raise failed(path, error) from error


def append(path: Path, line: str, header: str = "") -> None:
    """Add a line to a file, below a header where the file is new; who reads it leaves out a line that has no end."""
    try:
        with opened(path, os.O_APPEND) as descriptor:
            is_new = not os.fstat(descriptor).st_size
            write_all(descriptor, header * is_new + line)
    except OSError as error:
        raise failed(path, error) from error


def make_folder(path: Path, *, parents: bool = False) -> None:
    """Make a folder; in a run folder without its parents, which somebody may have deleted, and never behind a link."""
    try:
        path.mkdir(parents=parents, exist_ok=True)
        if path.is_symlink() and not parents:
            raise OSError(errno.ELOOP, "it is a link")
    except OSError as error:
        raise failed(path, error) from error


def claim(part: Path, path: Path) -> Path:
    """Rename a complete folder to a name that nobody has: the given one, or with -2, -3, ..."""
    n, target = 1, path
    while True:
        try:
            return part.rename(target)  # onto a folder with something in it, this fails
        except OSError:
            if not os.path.lexists(target):
                raise
        n += 1
        target = path.with_name(f"{path.name}-{n}")


def discard(path: Path) -> None:
    """Remove a file, a link or a folder, if it can be."""
    shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        path.unlink()


def folders(runs_dir: Path) -> list[Path]:
    """Return the run folders by name, the oldest first; neither links nor a copy that is called ``latest``."""
    paths = sorted(path.parent for path in runs_dir.glob("[!.]*/run.json"))
    return [path for path in paths if path.name != "latest" and not path.is_symlink()]


def named(name: str, runs_dir: Path) -> Path:
    """Return the run of a path, or of a beginning that one name alone has; RunError if there is none, or more."""
    known: list[Path] = []
    with contextlib.suppress(OSError, ValueError, RuntimeError):  # a name that no file system takes, the home of nobody
        for path in (Path(name).expanduser(), runs_dir / name) if name else ():
            if (path / "run.json").is_file():
                return path.parent / path.readlink() if path.is_symlink() else path  # such as another folder's latest
        known = [path for path in folders(runs_dir) if path.name.startswith(name)]
    if not known:
        raise RunError(f"{shown(name)}: no run in {shown(runs_dir)} begins like this; see cifarnet runs list")
    if len(known) > 1:
        names = ", ".join(path.name for path in known[-5:])
        found = f"{len(known)} runs in {shown(runs_dir)} begin like this"
        raise RunError(f"{shown(name)}: {found} ({names}); name one of them, or its folder")
    return known[0]


def latest(runs_dir: Path) -> Path | None:
    """Return the run that the link ``latest`` names, if it does."""
    link = runs_dir / "latest"
    path = runs_dir / link.readlink().name if link.is_symlink() else None
    return path if path and (path / "run.json").is_file() else None


def link_latest(runs_dir: Path, name: str) -> None:
    """Let the link ``latest`` name a run, at every instant, where there are links.

    A folder in its place, as a copy or an archive of the runs has it, stays.
    """
    path, part = runs_dir / "latest", runs_dir / f".latest.{name}.part"
    if path.is_dir() and not path.is_symlink():
        return
    try:
        part.symlink_to(name, target_is_directory=True)
        part.replace(path)
    except OSError:
        discard(part)
        discard(path)  # without it the newest run by name is the latest


def lock(path: Path) -> FileLock | None:
    """Take a lock that ends with this process and that any thread may release; None where another process has it.

    On a file system without locks, everybody gets one.
    """
    from filelock import FileLock, Timeout

    found = FileLock(path, timeout=PATIENCE, poll_interval=0.01, thread_local=False)
    try:
        found.acquire()
    except Timeout:
        return None
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOTSUP):
            raise failed(path, error) from error
    return found


def locked(path: Path) -> bool:
    """Return whether a living process holds a lock; true where that cannot be found out."""
    from filelock import lock_descriptor

    mode = "r+b" if os.access(path, os.W_OK) else "rb"  # NFS locks writable descriptors alone
    with contextlib.suppress(OSError), path.open(mode) as file:
        return not lock_descriptor(file.fileno(), blocking=False)
    return path.exists()


class Folder:
    """A folder whose files are read, and replaced at once; RunError names the one where that fails, and the cure."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read_bytes(self, name: str) -> bytes:
        with reading(self.path / name):
            return (self.path / name).read_bytes()

    def read_json(self, name: str) -> dict[str, Any]:
        content = self.read_bytes(name)
        with reading(self.path / name, "JSON"):
            return dict(json.loads(content))

    def read_rows(self, name: str) -> list[dict[str, str]]:
        """Return the rows of a table such as trials.csv; none where its header is not there yet."""
        begun = os.path.lexists(self.path / name) and b"\n" in self.read_bytes(name)
        header, rows = self._table(name) if begun else ([], [])
        return [dict(zip(header, row, strict=True)) for row in rows]

    def read_table(self, name: str) -> dict[str, NDArray[np.float64]]:
        """Return the columns of a table of numbers, (n,) each; what was not measured is NaN."""
        import numpy as np

        header, rows = self._table(name)
        with reading(self.path / name, "a table of numbers", CURE):
            values = [[float(cell or "nan") for cell in row] for row in rows]
        return dict(zip(header, np.array(values).reshape(-1, len(header)).T, strict=True))

    def _table(self, name: str) -> tuple[list[str], list[list[str]]]:
        """Return the header and the rows of a table, without a last line that has no end."""
        content = self.read_bytes(name)
        with reading(self.path / name, "a table", CURE):
            text = content[: content.rfind(b"\n") + 1].decode()
            header, *rows = csv.reader(io.StringIO(text), strict=True)
            if len(set(header)) < len(header):
                raise ValueError("two columns have one name")
            for line, row in enumerate(rows, 2):
                if len(row) != len(header):
                    raise ValueError(f"line {line} has {len(row)} of {len(header)} values")
            return header, rows

    def read_arrays(self, name: str, names: Iterable[str]) -> dict[str, NDArray[Any]]:
        """Return arrays of an .npz; nothing in it can run code."""
        import numpy as np

        content = self.read_bytes(name)
        with reading(self.path / name, "arrays"), np.load(io.BytesIO(content), allow_pickle=False) as file:
            if missing := [key for key in names if key not in file]:
                raise ValueError(f"it has no {', '.join(missing)}")
            return {key: file[key] for key in names}

    def write(self, name: str, content: bytes | str) -> None:
        """Write a file of the folder; ``name`` may lead into a subfolder."""
        path = self.path / name
        if path.parent != self.path:
            make_folder(path.parent)
        write_file(path, content)

    def write_json(self, name: str, value: Any) -> None:
        self.write(name, json.dumps(value, indent=2) + "\n")

    def write_arrays(self, name: str, arrays: Mapping[str, Any]) -> None:
        """Write an .npz: arrays of numbers and text, no objects; the same arrays give the same bytes."""
        import numpy as np

        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        self.write(name, buffer.getvalue())

    def append(self, row: Mapping[str, Any], name: str = "metrics.csv") -> None:
        """Add a row to a table, with a header where the table is new."""
        append(self.path / name, csv_text([row.values()]), header=csv_text([row]))
