"""A run for other tools: its network as ONNX, its curves and figures for TensorBoard, all of its numbers as CSV."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cifarnet.errors import ConfigError
from cifarnet.export import onnx, tables, tensorboard
from cifarnet.runs import Run

FORMS: Mapping[str, Callable[[Run], Mapping[str, bytes | str]]] = {
    "onnx": onnx.files,
    "tensorboard": tensorboard.files,
    "csv": tables.files,
}


def export(run: Run, to: str) -> list[str]:
    """Write a run in one of the FORMS into its own folder; return the names of the files.

    Raises
    ------
    ConfigError
        The library that it takes is not installed; the message says which.
    RunError
        The run cannot be read, or the files cannot be written.
    """
    try:
        files = FORMS[to](run)
    except ImportError as error:
        raise ConfigError(f"--to {to} needs more: pip install 'cifarnet[{to}]' ({error})") from error
    for name, content in files.items():
        run.write(name, content)
    return list(files)
