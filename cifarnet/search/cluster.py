"""Who runs the trials on other machines: the workers of a Dask cluster, each with images of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from cifarnet import __version__
from cifarnet.config import Settings
from cifarnet.config.settings import Data
from cifarnet.errors import ConfigError, DataError, RunError
from cifarnet.search import trials
from cifarnet.search.trials import Outcome
from cifarnet.search.workers import Group, Workers
from cifarnet.training import NUMERICS

TIMEOUT = 10  # seconds for a scheduler to answer and for a first worker to be there


@contextmanager
def remote(address: str, threads: int, fingerprint: str, settings: Data) -> Iterator[Workers]:
    """The workers of the scheduler at an address, all of them checked before the first trial.

    A worker that comes later is checked by its first trial. Dask gives the trials of a worker that is lost to others.

    Raises
    ------
    ConfigError, RunError
        If Dask is not installed here, no scheduler answers, it has no workers, or they have another cifarnet.
    DataError
        If a worker has not the images with this fingerprint.
    """
    try:
        import distributed
    except ImportError as error:
        raise ConfigError("--scheduler needs Dask: pip install 'cifarnet[dask]'") from error
    try:
        client = distributed.Client(address, timeout=TIMEOUT)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:  # OSError: among them TimeoutError
        raise RunError(f"{address}: no Dask scheduler answers; start one with `dask scheduler` and name it") from error
    with client:
        check(client, address, fingerprint, settings)
        work = partial(run, threads=threads, fingerprint=fingerprint)
        executor = client.get_executor(pure=False)  # type: ignore[no-untyped-call]
        yield Workers(executor, alone, work, threading.Event())


def alone(todo: Group) -> list[Group]:
    """Each trial by itself: how many workers there will be is not known, and one that is lost costs no other trial."""
    return [[one] for one in todo]


def check(client: Any, address: str, fingerprint: str, settings: Data) -> None:
    """Let every worker read its images now, and refuse those that have others."""
    try:
        client.wait_for_workers(1, timeout=TIMEOUT)
    except TimeoutError as error:
        raise RunError(f"{address}: this scheduler has no workers; start some with `dask worker {address}`") from error
    answers = client.run(prepare, settings, fingerprint, on_error="return")
    for worker, answer in sorted(answers.items()):
        if isinstance(answer, Exception):
            raise DataError(f"worker {worker}: {answer}") from answer
        if tuple(answer) != (__version__, NUMERICS):
            raise RunError(f"worker {worker} has cifarnet {answer[0]}, here it is {__version__}; install the same")


def prepare(settings: Data, fingerprint: str) -> tuple[str, int]:
    """In a worker: read the images, and say which program this is."""
    trials.images(settings, fingerprint)
    return __version__, NUMERICS


def run(
    group: Sequence[Settings], threads: int, fingerprint: str, before: Sequence[Outcome | None] = ()
) -> list[Outcome]:
    """In a worker: run a group of trials. The limit stays: others of this worker begin and end at any time."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1, user_api="blas")
    return trials.run(group, threads, fingerprint, before=before)
