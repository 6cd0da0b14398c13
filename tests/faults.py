"""Breaks the operating system under cifarnet.runs, in this process or, run as a script, under a real command.

python -m tests.faults '{"kind": "slow", "seconds": 0.02}' train --config quick
"""

import json
import os
import pathlib
import random
import sys
import time
from contextlib import contextmanager

import pytest

from cifarnet.runs import storage


class Crash(BaseException):
    """The process is dead: nothing that comes after this may have an effect."""


class Faults:
    """Stands in for ``os`` in `storage` and counts what writes: open, write, fsync, rename, link, mkdir.

    Parameters
    ----------
    kind : what happens at call number ``at``.
        "before", "half": the process dies before or amid it. An errno: the call fails, and with ``lasting`` every
        later one. "short": every write takes some bytes only. "slow": every write and fsync takes ``seconds``.
    """

    def __init__(self, kind=None, at=-1, *, lasting=False, seconds=0.0, seed=0):
        self.kind, self.at, self.lasting, self.seconds = kind, at, lasting, seconds
        self.random = random.Random(seed)
        self.count, self.happened, self.dead = 0, False, False

    def __getattr__(self, name):
        return getattr(os, name)

    def call(self, function, *arguments, half=None):
        if self.dead:
            raise Crash
        number, self.count = self.count, self.count + 1
        hit = number == self.at or (self.lasting and self.happened)
        self.happened |= hit
        if hit and isinstance(self.kind, int):
            raise OSError(self.kind, os.strerror(self.kind))
        if hit and self.kind == "half":
            (half or (lambda: function(*arguments)))()  # what has no half is done
        if hit and self.kind in ("before", "half"):
            self.dead = True
            raise Crash
        return function(*arguments)

    def open(self, path, flags, mode=0o777):
        if not flags & (os.O_WRONLY | os.O_RDWR):
            return os.open(path, flags, mode)
        return self.call(os.open, path, flags, mode)

    def write(self, descriptor, content):
        if self.kind == "slow":
            time.sleep(self.seconds)
            content = content[: max(1000, len(content) // 3)]
        if self.kind == "short":
            content = content[: self.random.randint(1, max(1, len(content) // 2))]
        half = content[: len(content) // 2]
        return self.call(os.write, descriptor, content, half=lambda: os.write(descriptor, half))

    def fsync(self, descriptor):
        if self.kind == "slow":
            time.sleep(self.seconds)
            os.fsync(descriptor)
        return self.call(lambda d: None, descriptor)


@contextmanager
def injected(faults):
    """Let `storage` write through ``faults``."""

    def through(function):
        return lambda path, *arguments, **options: faults.call(lambda: function(path, *arguments, **options))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "os", faults)
        for name in ("replace", "rename", "symlink_to", "mkdir"):
            patch.setattr(pathlib.Path, name, through(getattr(pathlib.Path, name)))
        yield faults


class Trainings:
    """Trainings of the tiny settings as run folders, in milliseconds: figures are empty, and git is not asked."""

    files = ("model.npz", "metrics.csv", "checkpoints/cycle-1.npz", "checkpoints/cycle-2.npz", "checkpoints/best.npz")

    def __init__(self, settings, dataset, folder, monkeypatch):
        from cifarnet import data, plots
        from cifarnet.experiments import train
        from cifarnet.plots import style

        monkeypatch.setattr(plots, "draw", lambda _: [])
        monkeypatch.setattr(style, "render", lambda *_: b"")
        monkeypatch.setattr(train, "this_machine", lambda: {"numpy": "any"})
        monkeypatch.setattr(data, "load", lambda *_, **__: self.dataset)
        self.settings, self.dataset, self.folder, self.experiment = settings, dataset, folder, train
        self.full = self.train(self.start("never stopped"))

    def start(self, name="runs"):
        return self.experiment.start(self.settings, runs_dir=self.folder / name, threads=1)

    def train(self, training, updates=None):
        """Train to the end, or leave after this many updates; returns the run."""
        for record in training:
            if record.step == updates:
                break
        return training.run

    def resume(self, path, updates=None):
        from cifarnet.runs import Run

        return self.train(self.experiment.resume(Run(path)), updates)

    def same(self, path):
        """Whether a folder ended with the bytes and results of the run that was never stopped."""
        equal = all((path / name).read_bytes() == (self.full.path / name).read_bytes() for name in self.files)
        return equal and json.loads((path / "run.json").read_text())["results"] == self.full.results


if __name__ == "__main__":
    from cifarnet.cli import main

    with injected(Faults(**json.loads(sys.argv.pop(1)))):
        main()
