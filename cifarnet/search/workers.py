"""Who runs the trials: threads of this process that share one copy of the images."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from cifarnet.config import Settings
from cifarnet.search import trials
from cifarnet.search.study import Trial
from cifarnet.search.trials import Outcome


def group_size(trials: int, jobs: int, threads: int) -> int:
    """How many trials are trained abreast: at most four, and of few trials fewer, so that there are rows on the way.

    Each thread has two groups or more. Trials that have several threads are trained alone.
    """
    return max(1, min(4, trials // (2 * jobs))) if threads == 1 else 1


class Workers(NamedTuple):
    """An executor of so many groups of trials at once, each trial on so many threads.

    ``work`` makes outcomes of the settings of a group and of its outcomes so far; ``stop`` stops the running ones.
    """

    executor: Executor
    jobs: int
    threads: int
    work: Callable[..., list[Outcome]]
    stop: threading.Event

    def groups(self, todo: Sequence[tuple[Trial, Settings]]) -> Iterator[list[tuple[Trial, Settings]]]:
        """The trials in groups of which each is trained abreast."""
        size = group_size(len(todo), self.jobs, self.threads)
        together: dict[str, list[tuple[Trial, Settings]]] = {}
        for trial, settings in todo:
            together.setdefault(trials.alike(settings), []).append((trial, settings))
        for group in together.values():
            for start in range(0, len(group), size):
                yield group[start : start + size]


@contextmanager
def local(jobs: int, threads: int, fingerprint: str, data_dir: Path | None) -> Iterator[Workers]:
    """Side by side in this process, each trial on so many threads."""
    from threadpoolctl import threadpool_limits

    stop = threading.Event()
    work = partial(trials.run, threads=threads, fingerprint=fingerprint, data_dir=data_dir, stop=stop)
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(jobs) as executor:
        yield Workers(executor, jobs, threads, work, stop)
