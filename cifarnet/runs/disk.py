"""Every call to the operating system that writes a run folder, so that what breaks here breaks in one known way."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import sys
import threading
import time
from pathlib import Path

from cifarnet.errors import RunError

# Descriptors are of bytes, are not left to child processes, and never those of a link that leads out of the folder.
FLAGS = getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
PATIENCE = 0.5  # seconds: whoever asks whether a run is alive holds its lock for a moment

SPACE = "free some space, or choose another --runs-dir"
ACCESS = "make it writable, or choose another --runs-dir"
CURES = {
    errno.ENOSPC: SPACE,
    errno.EDQUOT: SPACE,
    errno.EFBIG: SPACE,
    errno.EEXIST: "choose another --runs-dir",
    errno.ENOTDIR: "choose another --runs-dir",
    errno.EROFS: ACCESS,
    errno.EACCES: ACCESS,
    errno.EPERM: ACCESS,
    errno.ENOENT: "its folder was moved or deleted; start again",
    errno.EIO: "the disk fails; copy the run folder to another one and go on there",
    errno.ELOOP: "a link stands where a file belongs; remove it",
}


def failed(path: Path, error: OSError, what: str = "cannot be written") -> RunError:
    """The error that a user sees, with the cure for its cause."""
    cure = CURES.get(error.errno or 0, "check that it is there and can be written, or choose another --runs-dir")
    return RunError(f"{shown(path)}: {what}: {error.strerror or error}; {cure}")


def why(error: Exception) -> str:
    """What an exception says, on one line."""
    return shown(getattr(error, "strerror", None) or str(error) or type(error).__name__)


def shown(path: Path | str) -> str:
    """A path, or other text from outside, on one line and not for ever, whatever it is made of."""
    text = str(path)
    text = text if text.isprintable() else ascii(text)
    return text if len(text) <= 300 else f"{text[:150]}...{text[-100:]}"


def write_all(descriptor: int, content: bytes) -> None:
    """Write all of it: the system may take less than it is given."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or who comes after a power loss, finds the old content or the new, never a part.

    Raises
    ------
    RunError
        If it cannot be written; the old content is left.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | FLAGS, 0o666)
        try:
            write_all(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise failed(path, error) from error


def append(path: Path, line: str, header: str = "") -> None:
    """Add a line to a file, below a header where the file is new; a line that cannot be written whole is taken back.

    Raises
    ------
    RunError
        If it cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | FLAGS, 0o666)
        try:
            size = os.fstat(descriptor).st_size
            try:
                write_all(descriptor, ((header + "\n" if header and not size else "") + line + "\n").encode())
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)
    except OSError as error:
        raise failed(path, error) from error


def cut(path: Path) -> None:
    """Take back a last line that was not written whole.

    Raises
    ------
    RunError
        If it cannot be done.
    """
    content = read(path, limit=None)
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        write_whole(path, whole)


def make_subfolder(path: Path) -> None:
    """Make a folder inside a run folder; never the run folder itself, which somebody may have deleted.

    Raises
    ------
    RunError
        If it cannot be made, or is a link.
    """
    try:
        with contextlib.suppress(FileExistsError):
            path.mkdir()
        if path.is_symlink():
            raise OSError(errno.ELOOP, "it is a link")
    except OSError as error:
        raise failed(path, error) from error


def claim(part: Path, path: Path) -> Path:
    """Rename a finished folder to a name that nobody has: the given one, or with -2, -3, ..."""
    for n in range(1, 1_000_000):
        target = path if n == 1 else path.with_name(f"{path.name}-{n}")
        try:
            return part.rename(target)  # onto a folder with something in it, this fails
        except OSError:
            if not os.path.lexists(target):
                raise
    raise FileExistsError(errno.EEXIST, "a million runs have this name")


def link(path: Path, name: str) -> None:
    """Let a symlink name a neighbour of its own, at every instant; or a text file where links are not to be had.

    Raises
    ------
    RunError
        If neither can be written.
    """
    part = path.with_name(f".{path.name}.{name}")
    try:
        part.symlink_to(name, target_is_directory=True)
        part.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink()
        write_whole(path, name.encode())


def remove(path: Path) -> None:
    """Remove a file or a folder that is only half made, if it can be."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def read(path: Path, limit: int | None) -> bytes:
    """The content of an ordinary file.

    Raises
    ------
    RunError
        If it is not there, is a device or a pipe, is longer than ``limit`` bytes, or cannot be read.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise RunError(f"{shown(path)}: no ordinary file; is this a run folder?")
        if limit is not None and status.st_size > limit:
            raise RunError(f"{shown(path)}: {status.st_size:,} bytes are more than such a file has; is it from a run?")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise RunError(f"{shown(path)}: cannot be read: {why(error)}; is this a run folder?") from error


if sys.platform == "win32":
    import msvcrt

    def seize(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def seize(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


BUSY = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK}


def lock(path: Path) -> int | None:
    """Take a lock that ends with this process, however it ends.

    Returns
    -------
    A descriptor, which keeps the lock until it is closed; None where another holds it. On a file system without
    locks, everybody gets one.

    Raises
    ------
    RunError
        If the file cannot be made.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | FLAGS, 0o666)
    except OSError as error:
        raise failed(path, error) from error
    end = time.monotonic() + PATIENCE
    while True:
        try:
            seize(descriptor)
            return descriptor
        except OSError as error:
            if error.errno not in BUSY:
                return descriptor
            if time.monotonic() > end:
                os.close(descriptor)
                return None
        time.sleep(0.01)


def locked(path: Path) -> bool | None:
    """Whether a living process holds a lock; None on a file system without locks."""
    try:
        descriptor = os.open(path, os.O_RDONLY | FLAGS)
    except OSError:
        return False
    try:
        seize(descriptor)
        return False
    except OSError as error:
        return True if error.errno in BUSY else None
    finally:
        os.close(descriptor)
