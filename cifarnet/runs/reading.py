"""Run folders as they are found: whole, half written, damaged or hostile. Nothing here writes or trusts."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import zipfile
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from cifarnet.errors import RunError
from cifarnet.runs import disk

if TYPE_CHECKING:  # a thousand runs are listed before numpy would be imported
    import numpy as np
    from numpy.typing import NDArray

JSON_LIMIT = 2_000_000  # bytes; run.json has a thousand, environment.json as many as the git diff in it
TABLE_LIMIT = 20_000_000  # bytes; a measurement has 150
ROWS_LIMIT = 1_000_000  # bytes; a trial has 100
LINES_LIMIT = 200_000
LINE_LIMIT = 10_000  # bytes
MEMBERS_LIMIT = 100  # arrays in a file
LOCK = ".lock"
NOTES = "notes.txt"
METRICS = "metrics.csv"
CURVES = ("step", *(f"{split}_{name}" for name in ("cost", "loss", "accuracy") for split in ("train", "validation")))
STEPS_LIMIT = 1e12
LATEST = "checkpoints/latest.npz"
END = 42  # bytes of a zip's end record and of the locator of a longer one before it
FIELDS: dict[str, type] = {  # of run.json; the first three are always there
    "kind": str,
    "label": str,
    "status": str,
    "results": dict,
    "settings": dict,
    "resumed": list,
    "seconds": float,
}
STATUSES = ("running", "completed", "interrupted", "diverged", "failed")


def find(name: str, runs_dir: Path) -> Path:
    """Find a run by its path, by ``latest``, or by a unique beginning of its name.

    Raises
    ------
    RunError
        If there is none, or more than one.
    """
    try:
        if name == "latest":
            name = latest(runs_dir)
        for path in (Path(name), runs_dir / name) if name else ():
            if (path / "run.json").is_file():
                return path
        known = folders(runs_dir)
    except (OSError, ValueError):  # a name that no file system takes
        known = []
    found = [path for path in known if path.name.startswith(name)]
    if len(found) != 1:
        names = ", ".join(path.name for path in found[-5:]) or "none"
        raise RunError(
            f"{disk.shown(name)}: {len(found)} runs in {disk.shown(runs_dir)} begin like this ({names}); name one of "
            "them, or its folder"
        )
    return found[0]


def latest(runs_dir: Path) -> str:
    """The name of the run that was made last."""
    path = runs_dir / "latest"
    return disk.read(path, 1000).decode().strip() if path.is_file() else path.resolve().name


def folders(runs_dir: Path) -> list[Path]:
    """All run folders, by name: the oldest first."""
    return [path.parent for path in sorted(runs_dir.glob("[!.]*/run.json")) if not path.parent.is_symlink()]


def notes(path: Path) -> list[str]:
    """The notes of a run, each with its time."""
    return disk.read(path / NOTES, TABLE_LIMIT).decode(errors="replace").splitlines() if (path / NOTES).exists() else []


def read(path: Path) -> dict[str, Any]:
    """What run.json says, its status as it is: one that no process runs any more is ``stale``.

    Raises
    ------
    RunError
        If it is not there or broken.
    """
    info = read_json(path / "run.json")
    needed = dict.fromkeys(("kind", "label", "status"))
    wrong = [name for name, kind in FIELDS.items() if not isinstance((needed | info).get(name, kind()), kind)]
    if wrong or not all(info[name].isprintable() for name in needed):
        what = ", ".join(wrong or needed)
        raise RunError(f"{disk.shown(path / 'run.json')}: {what} is not what a run has there; is this a run folder?")
    if info["status"] not in STATUSES:
        raise RunError(f"{disk.shown(path / 'run.json')}: unknown status; a newer cifarnet may have written it")
    if info["status"] == "running" and disk.locked(path / LOCK) is False:
        info["status"] = "stale"
    return info


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file of a run folder.

    Raises
    ------
    RunError
        If it is not there or broken.
    """
    try:
        value = json.loads(disk.read(path, JSON_LIMIT))
    except (ValueError, RecursionError) as error:
        raise RunError(f"{disk.shown(path)}: not JSON ({disk.why(error)}); is this a run folder?") from error
    if not isinstance(value, dict):
        raise RunError(f"{disk.shown(path)}: not a JSON object; is this a run folder?")
    return value


def read_table(path: Path) -> dict[str, NDArray[np.float64]]:
    """Read metrics.csv as columns; what was not measured is NaN, and a last line cut short is left out.

    Raises
    ------
    RunError
        If it is not there or broken.
    """
    try:
        return table(disk.read(path, TABLE_LIMIT))
    except ValueError as error:
        raise RunError(
            f"{disk.shown(path)}: not a table ({disk.why(error)}); take it from a copy, or train again"
        ) from error


def read_figure(path: Path) -> bytes:
    """The content of a figure.

    Raises
    ------
    RunError
        If it is not there, or longer than any figure of ours.
    """
    return disk.read(path, TABLE_LIMIT)


def read_curves(path: Path) -> dict[str, NDArray[np.float64]]:
    """The metrics.csv of a run folder, with all that a training measures, in the order of the steps.

    Raises
    ------
    RunError
        If it is not there or broken, or lacks something.
    """
    import numpy as np

    columns = read_table(path / METRICS)
    steps, accuracies = columns.get("step"), [columns[name] for name in columns if name.endswith("accuracy")]
    if missing := [name for name in CURVES if name not in columns]:
        why = f"there is no column {', '.join(missing)}"
    elif steps is None or not (np.diff(steps, prepend=-1) > 0).all() or not (steps < STEPS_LIMIT).all():
        why = "the steps do not rise from 0"
    elif any((column < 0).any() or (column > 1).any() for column in accuracies):
        why = "an accuracy is not between 0 and 1"
    else:
        return columns
    raise RunError(
        f"{disk.shown(path / METRICS)}: not the curves of a training: {why}; take it from a copy, or train again"
    )


def read_environment(path: Path) -> dict[str, Any]:
    """The environment.json of a run folder.

    Raises
    ------
    RunError
        If it is not there or broken.
    """
    known = read_json(path / "environment.json")
    pools = known.get("blas", [])
    whole = isinstance(known.get("data", {}), dict) and isinstance(pools, list)
    if not whole or not all(isinstance(pool, dict) for pool in pools):
        raise RunError(
            f"{disk.shown(path / 'environment.json')}: data or blas is not as a run has it; is this a run folder?"
        )
    return known


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read a table with text in it, such as trials.csv, row by row; a last line cut short is left out.

    Raises
    ------
    RunError
        If it is broken; where it is not there yet, there are no rows.
    """
    try:
        rows = csv.reader(lines(disk.read(path, ROWS_LIMIT))) if os.path.lexists(path) else iter(())
        header = next(rows, [])
        return [dict(zip(header, row, strict=True)) for row in rows]
    except (ValueError, csv.Error) as error:
        raise RunError(
            f"{disk.shown(path)}: not a table ({disk.why(error)}); take it from a copy, or search again"
        ) from error


def table(content: bytes) -> dict[str, NDArray[np.float64]]:
    """The columns of a table; ValueError if it is none."""
    import numpy as np

    values = array("d")
    try:
        rows = csv.reader(lines(content))
        header = next(rows, [])
        if not header or len(set(header)) < len(header):
            raise ValueError("no header of distinct names")
        for row in rows:
            if len(row) != len(header):
                raise ValueError(f"line {rows.line_num} has {len(row)} of {len(header)} values")
            values.extend([float(value or "nan") for value in row])
    except csv.Error as error:
        raise ValueError(str(error)) from error
    columns = np.frombuffer(values).reshape(-1, len(header)) if values else np.empty((0, len(header)))
    return dict(zip(header, columns.T, strict=True))


def lines(content: bytes) -> Iterator[str]:
    """The whole lines of a table; ValueError where there are more, or longer ones, than a table has."""
    whole = io.BytesIO(content[: content.rfind(b"\n") + 1])
    for number, line in enumerate(whole, 1):
        if number > LINES_LIMIT or len(line) > LINE_LIMIT:
            raise ValueError(f"line {number} is one too many, or too long")
        yield line.decode()


def read_arrays(
    path: Path, names: Iterable[str], cure: str = "train again, or take a checkpoint of the run"
) -> dict[str, NDArray[Any]]:
    """Read arrays of an .npz of a run folder; nothing in it can run code, and nothing is larger than the file.

    Raises
    ------
    RunError
        If the file is not there, broken, or lacks one of the names.
    """
    try:
        if not path.is_file():
            raise ValueError("there is no such file")
        with path.open("rb") as file:
            check_end(file, path.stat().st_size)
            with zipfile.ZipFile(file) as members:
                return {name: member(members, f"{name}.npy") for name in names}
    except Exception as error:  # a broken zip raises a dozen kinds
        raise RunError(f"{disk.shown(path)}: cannot be read ({disk.why(error)}); {cure}") from error


def check_end(file: IO[bytes], size: int) -> None:
    """Refuse a zip whose list of members is long, which the zip reader would read whole."""
    file.seek(max(0, size - END))
    end = file.read()
    count, length = int.from_bytes(end[-12:-10], "little"), int.from_bytes(end[-10:-6], "little")
    if end[-22:-18] != b"PK\5\6" or count > MEMBERS_LIMIT or length > 1000 * MEMBERS_LIMIT:
        raise ValueError("it does not end as an .npz does")
    if end[-42:-38] == b"PK\6\7" and size < 2**32:
        raise ValueError("it says that it is larger than it is")


def member(members: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """One array, not compressed, exactly as long as its header says."""
    import numpy as np
    from numpy.lib import format as npy

    info = members.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
        raise ValueError(f"{name} is compressed, as no array of a run is")
    content = members.read(info)
    file = io.BytesIO(content)
    if npy.read_magic(file) != (1, 0):
        raise ValueError(f"{name} has a header of another version")
    shape, fortran, dtype = npy.read_array_header_1_0(file)
    if dtype.hasobject:
        raise ValueError(f"Object arrays are refused: {name} could run code")
    if dtype.itemsize * math.prod(shape) != len(content) - file.tell() or min(shape, default=0) < 0:
        raise ValueError(f"{name} has not the {shape} values of its header")
    values = np.frombuffer(content, dtype, offset=file.tell())
    return values.reshape(shape, order="F" if fortran else "C").copy()
