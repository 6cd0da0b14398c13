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

from cifarnet.runs import disk


class Crash(BaseException):
    """The process is dead: nothing that comes after this may have an effect."""


class Faults:
    """Stands in for ``os`` in `disk` and counts what writes: open, write, fsync, rename, link, mkdir.

    Parameters
    ----------
    kind : what happens at call number ``at``.
        "before", "half", "after": the process dies before, amid or after it, and with ``kill`` it truly does.
        An errno: the call fails, and with ``lasting`` every later one.
        "short": every write takes some bytes only. "slow": every write and fsync takes so many ``seconds``.
    """

    def __init__(self, kind=None, at=-1, *, lasting=False, seconds=0.0, seed=0, kill=False):
        self.kind, self.at, self.lasting, self.seconds, self.kill = kind, at, lasting, seconds, kill
        self.random = random.Random(seed)
        self.count = 0
        self.happened = False
        self.dead = False

    def __getattr__(self, name):
        return getattr(os, name)

    def die(self):
        self.dead = True
        if self.kill:
            os._exit(137)
        raise Crash

    def call(self, function, *arguments, half=None):
        if self.dead:
            raise Crash
        number, self.count = self.count, self.count + 1
        hit = number == self.at or (self.lasting and self.happened)
        self.happened |= hit
        if hit and isinstance(self.kind, int):
            raise OSError(self.kind, os.strerror(self.kind))
        if hit and self.kind == "before":
            self.die()
        if hit and self.kind == "half" and half:
            half()
            self.die()
        try:
            return function(*arguments)
        finally:
            if hit and self.kind in ("half", "after"):
                self.die()

    def open(self, path, flags, mode=0o777):
        if not flags & (os.O_WRONLY | os.O_RDWR):
            return os.open(path, flags, mode)
        return self.call(os.open, path, flags, mode)

    def write(self, descriptor, content):
        if self.kind == "slow":
            time.sleep(self.seconds)
            content = content[: max(1000, len(content) // 3)]
        if self.kind == "short":
            self.happened = True
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
    """Let `disk` write through ``faults``."""
    before = {name: getattr(pathlib.Path, name) for name in ("replace", "rename", "symlink_to", "mkdir")}

    def through(function):
        return lambda path, *arguments, **options: faults.call(lambda: function(path, *arguments, **options))

    disk.os = faults
    for name, function in before.items():
        setattr(pathlib.Path, name, through(function))
    try:
        yield faults
    finally:
        disk.os = os
        for name, function in before.items():
            setattr(pathlib.Path, name, function)


if __name__ == "__main__":
    from cifarnet.cli import main

    options = json.loads(sys.argv.pop(1))
    with injected(Faults(**options)):
        main()
