"""How long a search would take, from a few updates on blank images."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

from cifarnet import config, experiment
from cifarnet.config import Settings
from cifarnet.config.settings import BATCH_IMAGES
from cifarnet.data import Split
from cifarnet.search.study import Found
from cifarnet.search.workers import groups
from cifarnet.training import train_abreast

UPDATES, BLANKS = 60, 1000


def estimate(found: Found, jobs: int, threads: int) -> float:
    """Seconds for the trials that are missing, with so many jobs, without the reading of the images."""
    todo = groups([(trial, found.study.trial_settings(trial)) for trial in found.missing()], jobs, threads)
    if not todo:
        return 0.0
    jobs = min(jobs, len(todo))
    largest = max(todo, key=lambda group: (group[0][1].sizes, len(group)))
    measured = partial(measure, group=len(largest), threads=threads)
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(jobs) as executor:
        update, image = np.mean(list(executor.map(measured, [largest[0][1]] * jobs)), axis=0)
    return float(sum(cost(settings, update, image) for group in todo for _, settings in group) / jobs)


def cost(settings: Settings, update: float, image: float) -> float:
    """Seconds of one trial, from those of an update and of the measurement of one image."""
    plan, validation = experiment.plan(settings), settings.data.validation
    images = validation if isinstance(validation, int) else BATCH_IMAGES * len(validation)
    return plan.updates * (update + plan.per_cycle / plan.cycle * images * image)


def measure(settings: Settings, group: int, threads: int) -> tuple[float, float]:
    """Seconds of one update, and of the measurement of one image after the last, of a group abreast."""
    short = {"training.schedule.n_s": UPDATES // 2, "training.schedule.cycles": 1, "evaluation.per_cycle": 1}
    plan = replace(experiment.plan(config.override(settings, short, "--dry-run")), jitter=None)  # there are no images
    n = max(BLANKS, plan.batch_size)
    blank = Split(np.zeros((n, settings.data.d), np.float32), np.zeros(n, np.int64))
    states = [experiment.initial(settings) for _ in range(group)]
    times = [time.perf_counter() / group for _ in train_abreast(states, blank, blank, [plan] * group, threads)]
    update = (times[-2] - times[0]) / (UPDATES - 1)
    return update, max(times[-1] - times[-2] - update, 0) / (2 * n)
