"""What several files of tests use: Python in a process of its own, the files of a folder, all commands, settings."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import click

from cifarnet import config
from cifarnet.cli import cli
from cifarnet.data import Dataset, Split
from cifarnet.runs import Run

ROOT = Path(__file__).parent.parent
SHORT = {  # the assignment's network on synthetic images: 20 updates
    "data": {"source": "synthetic", "limit": 1000, "validation": 1000},
    "training": {"schedule": {"n_s": 10}},
}
RUN_FILES = {".lock", "config.yaml", "environment.json", "log.txt", "run.html", "run.json"}  # of any run
MACHINE = {"numpy": "2", "blas": [{"num_threads": 2}], "data": {"fingerprint": "x"}, "threads": 2}
DIFFERING = ("run.json", "environment.json", "log.txt", "run.html")  # they tell when and how a run went


def started(*words, cwd=None, **environment):
    """Start Python with these words in a process that finds this clone."""
    env = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, *map(str, words)], cwd=cwd, env=env, **streams)


def python(*words, cwd=None, **environment):
    """Run Python, which must succeed; return what it prints on each of its streams."""
    process = started(*words, cwd=cwd, **environment)
    out, err = process.communicate()
    assert process.returncode == 0, out + err
    return out, err


def files(folder):
    """The names of all files under a folder."""
    return {str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file()}


def contents(path):
    """What of a run folder must be the same each time: a hash of each file; of a search the trials, in their order."""
    names = {name for name in files(path) if Path(name).name not in DIFFERING} - {"trials.csv"}
    found = {name: hashlib.sha256((path / name).read_bytes()).hexdigest() for name in names}
    rows = sorted(Run(path).read_rows("trials.csv"), key=lambda row: int(row["index"]))
    return found | {"trials": [{key: value for key, value in row.items() if key != "seconds"} for row in rows]}


def commands(group=cli, name="cifarnet"):
    """Every command with its full name."""
    yield name, group
    if isinstance(group, click.Group):
        for word in group.list_commands(click.Context(group)):
            yield from commands(group.get_command(click.Context(group), word), f"{name} {word}")


def changed(settings, *deviations, **values):
    """Settings with deviations, and with other values at keys such as training__average."""
    values = {key.replace("__", "."): value for key, value in values.items()}
    return config.override(settings, {f"deviations.{name}": True for name in deviations} | values, "test")


def in_float64(split):
    return Split(split.X.astype(float), split.y)


def alike(split):
    """A data set in which the same images train, validate and test."""
    return Dataset.of(split, split, split)
