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

from cifarnet import data
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


def source() -> list[str]:
    """The real images, or where there are none the synthetic ones."""
    try:
        data.find()
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
    here = source()
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
        ("coarse search, s", "seconds", 1, command("search-lambda coarse --quiet", here)),
    ]
    results: dict[str, list[Any]] = {name: [] for name, *_ in todo}
    for r in range(rounds):
        for name, key, times, run in todo:
            if r < times:
                results[name].append(run()[key] / (1e9 if key == "bytes" else 1))
    return {name: statistics.median(values) for name, values in results.items()}
