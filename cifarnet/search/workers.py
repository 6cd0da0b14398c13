"""Who runs the trials: threads of this process that share one copy of the images."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from cifarnet.search import trials
from cifarnet.search.trials import Outcome


class Workers(NamedTuple):
    """An executor, what it does with a trial's settings and its outcome so far, and how running trials are stopped."""

    executor: Executor
    work: Callable[..., Outcome]
    stop: threading.Event


@contextmanager
def local(jobs: int, threads: int, fingerprint: str, data_dir: Path | None) -> Iterator[Workers]:
    """Side by side in this process, each trial on so many threads.

    Two processes took the same time (3.6 ms an update and job, m = 50, on two cores with much else to do), and would
    hold the images twice.
    """
    from threadpoolctl import threadpool_limits

    stop = threading.Event()
    work = partial(trials.run, threads=threads, fingerprint=fingerprint, data_dir=data_dir, stop=stop)
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(jobs) as executor:
        yield Workers(executor, work, stop)
