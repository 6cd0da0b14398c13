"""The run folder: the only writer under runs/. Files are written whole; metrics.csv and log.txt grow by lines."""

from cifarnet.runs.disk import write_whole
from cifarnet.runs.environment import differences, environment, threads
from cifarnet.runs.folder import FORMATS, Run, create, now, remove, take
from cifarnet.runs.reading import (
    LATEST,
    find,
    folders,
    notes,
    read,
    read_arrays,
    read_curves,
    read_environment,
    read_figure,
    read_json,
    read_rows,
    read_table,
    table,
)

__all__ = [
    "FORMATS",
    "LATEST",
    "Run",
    "create",
    "differences",
    "environment",
    "find",
    "folders",
    "notes",
    "now",
    "read",
    "read_arrays",
    "read_curves",
    "read_environment",
    "read_figure",
    "read_json",
    "read_rows",
    "read_table",
    "remove",
    "table",
    "take",
    "threads",
    "write_whole",
]
