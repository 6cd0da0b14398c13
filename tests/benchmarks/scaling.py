"""Cost against each thing that it grows with, and the slope on log-log axes that theory gives."""

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from cifarnet import evaluation, network
from cifarnet.data import Split
from cifarnet.parallel import cores
from cifarnet.training import Plan, State, train

BATCH, UPDATES = 100, 20
RNG = np.random.default_rng(0)


def images(n: int, d: int) -> Split:
    return Split(RNG.standard_normal((n, d), np.float32), RNG.integers(10, size=n))


def updates(sizes: Sequence[int], threads: int, n: int = 5000) -> Callable[[], None]:
    """A few updates of one training, again at every call."""
    plan = Plan(
        sizes=tuple(sizes), eta=lambda _: 1e-3, updates=10**9, cycle=10**9, per_cycle=1, batch_size=BATCH, lam=1e-3,
        shuffle=True, seed=0,
    )  # fmt: skip
    data = images(n, sizes[0])
    state = State(network.initialise(sizes, "he", RNG), step=1)
    records = train(state, data, data, plan, threads)

    def run() -> None:
        for _ in islice(records, UPDATES):
            pass

    return run


def evaluate(n: int, threads: int) -> Callable[[], None]:
    sizes, data = (3072, 50, 10), images(n, 3072)
    theta = network.initialise(sizes, "he", RNG)
    return lambda: evaluation.score(theta, sizes, *data, 0.0, threads) and None


def side_by_side(jobs: int) -> Callable[[], None]:
    """So many trainings at once, each on one thread."""
    one, pool = [updates((3072, 50, 10), 1) for _ in range(jobs)], ThreadPoolExecutor(jobs)
    return lambda: list(pool.map(lambda run: run(), one)).clear()


def sweep(
    what: str, theory: float, values: Sequence[int], runs: list[Callable[[], None]], rounds: int
) -> dict[str, Any]:
    """Seconds for each value, and the slope over the upper half of the values, where overheads are small."""
    times: list[list[float]] = [[] for _ in runs]
    for r in range(rounds + 1):
        for run, taken in zip(runs, times, strict=True):
            started = time.perf_counter()
            run()
            if r:
                taken.append(time.perf_counter() - started)
    seconds = [statistics.median(taken) for taken in times]
    half = slice((len(values) - 1) // 2, None)
    slope = float(np.polyfit(np.log(values[half]), np.log(seconds[half]), 1)[0])
    return {"what": what, "values": list(values), "seconds": seconds, "slope": slope, "theory": theory}


def measure(rounds: int) -> list[dict[str, Any]]:
    several = [count for count in (1, 2, 4, 8, 16, 32, 64) if count <= cores()]
    n, m, d, layers = [2500, 5000, 10_000, 20_000], [25, 50, 100, 200, 400, 800], [768, 1536, 3072, 6144], [1, 2, 4, 8]
    with threadpool_limits(1, user_api="blas"):
        found = [
            sweep("images evaluated", 1, n, [evaluate(v, 1) for v in n], rounds),
            sweep("hidden nodes m", 1, m, [updates((3072, v, 10), 1) for v in m], rounds),
            sweep("inputs d", 1, d, [updates((v, 200, 10), 1) for v in d], rounds),
            sweep("hidden layers of 400", 1, layers, [updates((400, *[400] * v, 10), 1) for v in layers], rounds),
        ]
        if len(several) > 1:
            found += [
                sweep("threads, m = 50", -1, several, [updates((3072, 50, 10), v) for v in several], rounds),
                sweep("threads, m = 1000", -1, several, [updates((3072, 1000, 10), v) for v in several], rounds),
                sweep("threads, evaluating", -1, several, [evaluate(20_000, v) for v in several], rounds),
                sweep("trainings side by side", 0, several, [side_by_side(v) for v in several], rounds),
            ]
    return found
