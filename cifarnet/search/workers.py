"""Who runs the trials: threads of this process that share one copy of the images."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from math import ceil
from pathlib import Path
from typing import NamedTuple

from cifarnet.config import Settings
from cifarnet.search import trials
from cifarnet.search.study import Trial
from cifarnet.search.trials import Outcome

Group = list[tuple[Trial, Settings]]  # trained abreast
MOST = 4  # in a group: eight take as long


def groups(todo: Group, jobs: int, threads: int) -> list[Group]:
    """Trials that are trained abreast: those with `common` settings, at most four.

    Every job has as many groups as any other, and at least two where there are trials enough, so that there are rows on
    the way. Trials that have several threads each are alone.
    """
    together: dict[str, Group] = {}
    for trial, settings in todo:
        together.setdefault(trials.common(settings), []).append((trial, settings))
    found = []
    for alike in together.values():
        n = len(alike)
        count = min(n, jobs * max(2, ceil(n / (MOST * jobs)))) if threads == 1 else n
        found += [alike[n * i // count : n * (i + 1) // count] for i in range(count)]
    return found


class Workers(NamedTuple):
    """An executor of groups of trials, what it does with one, and how running ones are stopped.

    ``work`` makes outcomes of the settings of a group and of its outcomes so far. ``groups`` makes groups of trials.
    """

    executor: Executor
    groups: Callable[[Group], list[Group]]
    work: Callable[..., list[Outcome]]
    stop: threading.Event


@contextmanager
def local(jobs: int, threads: int, fingerprint: str, data_dir: Path | None) -> Iterator[Workers]:
    """So many groups side by side in this process, each trial on so many threads."""
    from threadpoolctl import threadpool_limits

    stop = threading.Event()
    work = partial(trials.run, threads=threads, fingerprint=fingerprint, data_dir=data_dir, stop=stop)
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(jobs) as executor:
        yield Workers(executor, partial(groups, jobs=jobs, threads=threads), work, stop)
