"""The one place that runs many trainings and gradient checks: in threads of this process, or on a Dask cluster.

Nothing is written: callers make rows or run folders of the outcomes.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from numpy.typing import NDArray

from cifarnet import data, training
from cifarnet.config import Data, Settings
from cifarnet.data import Dataset, Datasets, Split
from cifarnet.errors import CifarnetError, ConfigError, DataError, Diverged, RunError
from cifarnet.experiments.train import final, model
from cifarnet.nn.model import Model
from cifarnet.training import NUMERICS, Record, State
from cifarnet.version import RELEASE

LOCKSTEP = 4  # trainings in a group: eight take as long
PATIENCE = 0.1  # seconds after which a caller may stop
TIMEOUT = 10  # seconds for a scheduler to answer and for a first worker to be there

Checking = Callable[[Settings, Split, threading.Event], dict[str, float] | None]  # None where it was stopped
Scored = Literal["all", "held-out", "validation"]  # "held-out": validation and test


@dataclass(frozen=True)
class Job:
    """One training, or one gradient check, on images of this fingerprint; ``key`` is for the caller.

    ``scored`` are the images whose scores somebody reads: of a hundred trials they take longer than the updates. With
    the validation images alone the network is not kept.
    """

    key: Any
    settings: Settings
    fingerprint: str
    check: Checking | None = None
    scored: Scored = "all"


Group = Sequence[Job]  # trained in lockstep


@dataclass(frozen=True)
class Outcome:
    """How a job ended: completed, diverged, failed, or left because it was stopped; ``note`` says why.

    ``records`` are the measured points of a training, ``results`` what run.json has of a completed run; those of a
    check are named method.parameter.measure, with ``all`` for the worst parameter. ``model``, and ``confusion`` on the
    test images (K, K), are there where these are scored; ``provenance`` is that of the images. ``seconds`` are those of
    the group without reading images, divided among its trainings.
    """

    status: str
    note: str = ""
    records: list[Record] = field(default_factory=list)
    results: Mapping[str, Any] = field(default_factory=dict)
    model: Model | None = None
    confusion: NDArray[Any] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    updates: int = 0
    seconds: float = math.nan


@dataclass(frozen=True)
class Executor:
    """Where jobs run, each training on ``threads`` threads; ``dataset`` checks that all workers have the images."""

    threads: int
    dataset: Callable[[Data], Dataset]
    groups: Callable[[Sequence[Job]], list[Group]]
    submit: Callable[[Group, threading.Event], Future[list[Outcome]]]


def run(
    jobs: Sequence[Job], executor: Executor, stop: threading.Event | None = None
) -> Generator[tuple[Job, Outcome] | None, None, None]:
    """Run jobs; yield each with its outcome as it ends, and None now and then, so that the caller may stop.

    When ``stop`` is set, or the generator closed, waiting jobs never begin and running ones end at their next update;
    after ``stop`` the outcomes of all are still yielded. Raises DataError where a worker does not have the images of a
    job, and RunError where it has another cifarnet, or the scheduler is gone.
    """
    stop = stop or threading.Event()
    running = {executor.submit(group, stop): group for group in executor.groups(jobs)}
    try:
        while running:
            for future in running if stop.is_set() else ():
                future.cancel()
            for future in wait(running, PATIENCE, FIRST_COMPLETED).done:
                group = running.pop(future)
                yield from zip(group, ended(future, group, stop), strict=True)
            yield None
    except BaseException:
        stop.set()
        raise


@contextmanager
def stopping(stop: threading.Event, ends: Iterator[Any]) -> Iterator[None]:
    """Where the block is left by an exception, stop the jobs, and let those that ended be taken in."""
    try:
        yield
    except BaseException:
        stop.set()
        with suppress(RunError):  # where the folder is the trouble, the first error says so
            deque(ends, 0)
        raise


def ended(future: Future[list[Outcome]], group: Group, stop: threading.Event) -> list[Outcome]:
    """Return how a group ended; an unexpected error, such as a worker lost again and again, fails all of it."""
    try:
        return future.result()
    except CifarnetError:  # no fault of the jobs
        raise
    except CancelledError as error:
        if not stop.is_set():
            raise RunError("the scheduler dropped a training; start it again, and resume") from error
        return [Outcome("left")] * len(group)
    except Exception as error:
        return [Outcome("failed", f"{type(error).__name__}: {error}")] * len(group)


def executor(
    scheduler: str | None = None, jobs: int | None = None, threads: int = 1, data_dir: Path | None = None
) -> AbstractContextManager[Executor]:
    """Return the Dask cluster of a scheduler, or threads of this process for ``jobs`` groups at a time."""
    return cluster(scheduler, threads, data_dir) if scheduler else local(jobs, threads, data_dir)


@contextmanager
def local(jobs: int | None = None, threads: int = 1, data_dir: Path | None = None) -> Iterator[Executor]:
    """Run ``jobs`` groups at a time, by default one a core, in threads of this process; images are there once."""
    workers, datasets = jobs or training.cores(), Datasets(lambda settings: data.load(settings, data_dir))
    with ThreadPoolExecutor(workers, "job") as pool:

        def submit(group: Group, stop: threading.Event) -> Future[list[Outcome]]:
            return pool.submit(do_group, group, datasets, threads, stop)

        yield Executor(threads, datasets.load, partial(lockstep, workers=workers, threads=threads), submit)


def lockstep(jobs: Sequence[Job], workers: int, threads: int) -> list[Group]:
    """Group trainings that differ in eta and lambda alone, at most four, and as many groups for each worker.

    Each worker has two at least, so that some end on the way. Trainings on several threads are alone.
    """
    alike: dict[Any, list[Job]] = {}
    for number, job in enumerate(jobs):
        key = number if job.check or threads > 1 else (training.lockstep_key(job.settings), job.scored)
        alike.setdefault(key, []).append(job)
    found: list[Group] = []
    for group in alike.values():
        n = len(group)
        count = min(n, workers * max(2, math.ceil(n / (LOCKSTEP * workers))))
        found += [group[n * i // count : n * (i + 1) // count] for i in range(count)]
    return found


@contextmanager
def cluster(address: str, threads: int = 1, data_dir: Path | None = None) -> Iterator[Executor]:
    """Run jobs on the workers of a Dask scheduler, which gives those of a worker that is lost to others.

    A job is alone: how many workers there will be is not known, and one that is lost costs no other job. Raises
    ConfigError where Dask is not installed, and RunError where no scheduler answers, or it has no workers.
    """
    try:
        import distributed

        client = distributed.Client(address, timeout=TIMEOUT)  # type: ignore[no-untyped-call]
    except ImportError as error:
        raise ConfigError("a scheduler needs Dask: pip install 'cifarnet[dask]'") from error
    except (OSError, ValueError) as error:  # OSError: among them TimeoutError
        raise RunError(f"{address}: no Dask scheduler answers; start one with `dask scheduler` and name it") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=TIMEOUT)
        except TimeoutError as error:
            raise RunError(f"{address}: it has no workers; start some with `dask worker {address}`") from error
        pool = client.get_executor(pure=False)  # type: ignore[no-untyped-call]
        work = partial(work_there, (RELEASE, NUMERICS), threads)

        def dataset(settings: Data) -> Dataset:
            here = data.load(settings, data_dir)
            for worker, error in client.run(work, settings, here.fingerprint, on_error="return").items():
                if error:
                    kind = DataError if isinstance(error, DataError) else RunError
                    raise kind(f"worker {worker}: {error}") from error
            return here

        def submit(group: Group, stop: threading.Event) -> Future[list[Outcome]]:
            return pool.submit(work, group[0].settings.data, group[0].fingerprint, group)  # type: ignore[no-any-return]

        yield Executor(threads, dataset, lambda jobs: [[job] for job in jobs], submit)


def work_there(
    program: tuple[str, int], threads: int, settings: Data, fingerprint: str, group: Group = ()
) -> list[Outcome]:
    """In a worker of a cluster: do a group of jobs, or none, unless they are of another program or of other images."""
    if program != (RELEASE, NUMERICS):
        raise RunError(f"it has cifarnet {RELEASE}, and the jobs come from {program[0]}; install the same")
    THERE.load(settings, fingerprint)
    return do_group(group, THERE, threads, threading.Event()) if group else []


THERE = Datasets(data.load)  # of a process that is a worker of a cluster


def do_group(group: Group, datasets: Datasets, threads: int, stop: threading.Event) -> list[Outcome]:
    """Do a group of jobs, on one BLAS thread each."""
    if stop.is_set():
        return [Outcome("left")] * len(group)
    first = group[0]
    tests = not first.check and first.scored != "validation"
    dataset = datasets.load(first.settings.data, first.fingerprint, test=tests)
    began = time.perf_counter()
    with training.blas_threads(1):
        if first.check:
            results = first.check(first.settings, dataset.train, stop)
            found = [Outcome("left") if results is None else Outcome("completed", results=results)]
        else:
            found = train_group(group, dataset, threads, stop)
    seconds = round((time.perf_counter() - began) / len(group), 3)
    return [replace(outcome, provenance=dataset.provenance, seconds=seconds) for outcome in found]


def train_group(group: Group, dataset: Dataset, threads: int, stop: threading.Event) -> list[Outcome]:
    """Train a group in lockstep; a network that diverges drops out, and the others go on."""
    all_settings, scored = [job.settings for job in group], group[0].scored
    states = [State.initial(settings) for settings in all_settings]
    curves = [list[Record]() for _ in group]
    steps = training.train_lockstep(states, dataset, all_settings, threads, train_scores=scored == "all")
    with closing(steps):
        for latest in steps:
            for records, point in zip(curves, latest, strict=True):
                if isinstance(point, Record) and point.validation:
                    records.append(point)
            if stop.is_set():
                return [Outcome("left")] * len(group)
    found = []
    for settings, state, records, end in zip(all_settings, states, curves, latest, strict=True):
        outcome = Outcome("completed", records=records, updates=state.step)
        if isinstance(end, Diverged):
            outcome = replace(outcome, status="diverged", note=str(end))
        elif scored != "validation":
            results, confusion, _ = final(settings, dataset, state, end.train, end.validation, threads)
            outcome = replace(outcome, results=results, model=model(dataset, state, state.scored), confusion=confusion)
        found.append(outcome)
    return found
