"""The pool: all trainings and gradient checks of a plan in a few threads, each an ordinary run with its folder."""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from cifarnet import experiment, gradients
from cifarnet.errors import Diverged
from cifarnet.gradcheck import Errors
from cifarnet.report.plan import Job

TURN = 1e-4  # seconds; gradient checks are mostly Python, and trainings beside them would wait 5 ms for every turn


class Progress(NamedTuple):
    """How much of a job was done since the last word of it, as a share of the whole job."""

    job: Job
    share: float


class Stopped(Exception):
    """Another job failed, or the user has had enough."""


def run(jobs: Sequence[Job], folder: Path, data_dir: Path | None, workers: int) -> Iterator[Progress]:
    """Do all jobs, ``workers`` at a time, each on one BLAS thread; yields as the work goes on.

    Left before its end, it stops the trainings that are under way, which are then marked as interrupted.

    Raises
    ------
    CifarnetError
        What the first job that failed raised; a training that diverged is a result like others.
    """
    said: queue.SimpleQueue[Progress | Future[None]] = queue.SimpleQueue()
    shared = experiment.Shared((job.settings for job in jobs), data_dir)
    stop = threading.Event()

    def work(job: Job) -> None:
        if stop.is_set():
            raise Stopped
        with shared.use(job.settings) as dataset:
            steps = checked(job, dataset, folder) if job.check else trained(job, dataset, folder)
            for share in steps:
                said.put(Progress(job, share))
                if stop.is_set():
                    steps.close()
                    raise Stopped

    turn = sys.getswitchinterval()
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers, "job") as pool:
        try:
            sys.setswitchinterval(TURN)
            for job in jobs:
                pool.submit(work, job).add_done_callback(said.put)
            left = len(jobs)
            while left:
                word = said.get()
                if isinstance(word, Progress):
                    yield word
                else:
                    word.result()
                    left -= 1
        finally:
            stop.set()
            sys.setswitchinterval(turn)


def trained(job: Job, dataset: Any, folder: Path) -> Generator[float, None, None]:
    """One training as a run folder; yields the share done since the last measurement."""
    updates = experiment.plan(job.settings).updates
    run = experiment.start(job.settings, dataset, folder, key=job.key)
    records = experiment.execute(job.settings, dataset, run, lean=True)
    done = 0
    try:
        for record in records:
            if record.validation:
                yield (record.step - done) / updates
                done = record.step
    except Diverged:
        yield 1 - done / updates
    finally:
        records.close()


def checked(job: Job, dataset: Any, folder: Path) -> Generator[float, None, None]:
    """One gradient check as a run folder: the errors of every parameter by every method, and the worst of them."""
    assert job.check
    problem = gradients.problem(job.settings, dataset.train, job.check.samples, random_samples=job.check.random)
    run = experiment.start(job.settings, dataset, folder, "gradcheck", key=job.key, check=job.check.model_dump())
    found = dict[str, float]()
    try:
        for method in job.check.methods:
            slopes = []
            for slope in problem.slopes(method, job.check.step):
                slopes.append(slope)
                if len(slopes) % 1000 == 0:
                    yield 1000 / len(problem.theta) / len(job.check.methods)
            yield len(problem.theta) % 1000 / len(problem.theta) / len(job.check.methods)
            found |= worst(method, problem.errors(slopes))
    except GeneratorExit:
        run.finish("interrupted")
        raise
    run.finish("completed", results=found)


def worst(method: str, parameters: Sequence[Errors]) -> dict[str, float]:
    """The errors by method, parameter and measure; ``all`` stands for the worst of the parameters."""
    table = [errors._asdict() for errors in parameters]
    measures = table[0].keys() - {"name"}
    found = {f"{method}.{row['name']}.{measure}": row[measure] for row in table for measure in measures}
    return found | {f"{method}.all.{measure}": max(row[measure] for row in table) for measure in measures}


def blas_peak(workers: int, size: int = 1536, repeats: int = 4) -> float:
    """Operations a second of large float32 matrix products, in as many threads as train, one BLAS thread each."""
    rng = np.random.default_rng(0)
    A = rng.standard_normal((size, size), np.float32)

    def multiply(_: int) -> float:
        out = np.empty_like(A)
        began = time.perf_counter()
        for _ in range(repeats):
            np.matmul(A, A, out=out)
        return time.perf_counter() - began

    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
        seconds = min(max(pool.map(multiply, range(workers))) for _ in range(3))
    return workers * repeats * 2 * size**3 / seconds
