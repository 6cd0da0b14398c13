"""From process start to the result, as a user waits for it; memory at its peak; and how much of a run is measuring."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cifarnet.data import release
from cifarnet.errors import DataError

FULL = ["data.train=all", "data.validation=1000", "training.schedule.n_s=2 epochs"]
LOAD = """
import sys, time
from cifarnet import config, data
settings = config.load(None, [*sys.argv[1:], "data.train=all", "data.validation=1000"]).data
data.load(settings)
started = time.perf_counter()
data.load(settings).test
print(time.perf_counter() - started)
"""
BOOKKEEPING = """
import sys, time
from cifarnet import config, data, experiment
from cifarnet.parallel import blas_threads, cores
from cifarnet.training import loop
settings = config.load(sys.argv[1], sys.argv[2:])
images, measured, measure = data.load(settings.data), [], loop.measure
def timed(*arguments):
    started = time.perf_counter()
    try:
        return measure(*arguments)
    finally:
        measured.append(time.perf_counter() - started)
loop.measure = timed
with blas_threads(1):
    started = time.perf_counter()
    state, plan = experiment.initial(settings), experiment.plan(settings)
    for _ in loop.train(state, images.train, images.validation, plan, cores()):
        pass
print(sum(measured) / (time.perf_counter() - started))
"""

JITTER = """
import statistics, sys, time
from itertools import islice
from cifarnet import config, data, planning, training
from cifarnet.parallel import blas_threads, cores
words = ["data.limit=10000", "network.hidden=[1000]", "evaluation.per_cycle=1", "training.schedule.n_s=5000"]
trainings, times = [], ([], [])
with blas_threads(1):
    for more in ([], ["training.jitter=" + sys.argv[1]]):
        settings = config.load(None, [*sys.argv[2:], *words, *more])
        images = data.load(settings.data)
        plan = planning.plan(settings, images)
        state = planning.initial(settings)
        trainings.append(training.train(state, images.train, images.validation, plan, cores()))
    for _ in range(12):
        for records, taken in zip(trainings, times):
            started = [time.perf_counter() for _ in islice(records, 28)][3]
            taken.append(time.perf_counter() - started)
print(statistics.median(times[1]) / statistics.median(times[0]) - 1)
"""
MOVED = "{flip: true, shift: 3}"
EVERY = "{flip: true, shift: 3, brightness: 0.1, contrast: 0.1, noise: 0.05}"


def source() -> list[str]:
    """The real images, or where there are none the synthetic ones."""
    try:
        release.find()
    except DataError:
        return ["data.source=synthetic"]
    return []


def command(words: str, settings: Sequence[str] = ()) -> Callable[[], dict[str, float]]:
    """A call of cifarnet: its seconds, and the most memory that it had, in bytes."""
    arguments = words.split() + [word for setting in settings for word in ("--set", setting)]

    def run() -> dict[str, float]:
        with tempfile.TemporaryDirectory() as folder:
            environment = {**os.environ, "CIFARNET_RUNS_DIR": folder}
            started = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, "-m", "cifarnet", *arguments],
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=Path(__file__).parents[2],
            )
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - started
        assert status == 0, arguments
        return {"seconds": seconds, "bytes": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)}

    return run


def script(text: str, *arguments: str) -> Callable[[], dict[str, float]]:
    """A piece of Python that prints a number."""

    def run() -> dict[str, float]:
        done = subprocess.run(
            [sys.executable, "-c", text, *arguments], cwd=Path(__file__).parents[2], capture_output=True, check=True
        )
        return {"printed": float(done.stdout)}

    return run


def measure(rounds: int) -> dict[str, float]:
    """Medians, with the units in the names."""
    here, few = source(), max(1, rounds // 3)
    todo: list[tuple[str, str, int, Callable[[], dict[str, float]]]] = [
        ("cifarnet --help, s", "seconds", rounds, command("--help")),
        (
            "train figure-3, from process start to finished folder, s",
            "seconds",
            rounds,
            command("train --quiet --config figure-3", here),
        ),
        ("load, verify, normalise 60,000 images, warm, s", "printed", rounds, script(LOAD, *here)),
        (
            "memory of a training on 49,000 / 1,000, GB",
            "bytes",
            1,
            command("train --quiet --config figure-3", [*here, *FULL]),
        ),
        ("share of measuring: figure-3", "printed", few, script(BOOKKEEPING, "figure-3", *here)),
        ("share of measuring: figure-4", "printed", few, script(BOOKKEEPING, "figure-4", *here)),
        ("share of measuring: 49,000 / 1,000", "printed", few, script(BOOKKEEPING, "figure-3", *here, *FULL)),
        ("flips and shifts add to an update, m = 1000", "printed", few, script(JITTER, MOVED, *here)),
        ("every jitter adds to an update, m = 1000", "printed", few, script(JITTER, EVERY, *here)),
        ("coarse search, s", "seconds", 1, command("search-lambda coarse --quiet", here)),
    ]
    results: dict[str, list[Any]] = {name: [] for name, *_ in todo}
    for r in range(rounds):
        for name, key, times, run in todo:
            if r < times:
                results[name].append(run()[key] / (1e9 if key == "bytes" else 1))
    return {name: statistics.median(values) for name, values in results.items()}
