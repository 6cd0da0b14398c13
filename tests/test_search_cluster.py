"""A search on a Dask cluster: a real scheduler and real workers, on the loopback interface."""

import csv
import os
import subprocess
import sys

import pytest

from cifarnet import config, search
from cifarnet.errors import DataError, RunError
from cifarnet.search.study import Found, design

pytest.importorskip("distributed", reason="Dask is not installed: pip install 'cifarnet[dask]'")

SETTINGS = (
    "data={source: synthetic, train: [1], validation: [2], limit: 500, dims: 30}",
    "search.coarse={n_s: 150, trials: 8, cycles: 2}",
    "search.final={train: [1], n_s: 10}",
)
REAL = ("data.source=cifar10",)


def started(*arguments, **environment):
    """A process of Dask's, on 127.0.0.1 alone."""
    command = [sys.executable, "-m", "distributed.cli." + arguments[0], *arguments[1:], "--no-dashboard"]
    env = {k: v for k, v in os.environ.items() if k != "CIFARNET_DATA_DIR"} | environment
    return subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)


def heard(process, word):
    """Wait for a line with a word in what the process says, and return it."""
    for line in process.stderr:
        if word in line:
            return line
    raise AssertionError(f"{process.args} ended without {word!r}")


@pytest.fixture
def scheduler(tmp_path):
    """The address of a scheduler, and a function that starts a worker for it."""
    processes = [started("dask_scheduler", "--host", "127.0.0.1", "--port", "0")]
    address = heard(processes[0], "Scheduler at:").split()[-1]

    def worker(**environment):
        arguments = ("--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--local-directory", str(tmp_path))
        processes.append(started("dask_worker", address, *arguments, **{"XDG_CACHE_HOME": str(tmp_path)} | environment))
        heard(processes[-1], "Registered to:")
        return processes[-1]

    yield address, worker
    for process in processes:
        process.kill()
        process.communicate()


def rows(path):
    with (path / "trials.csv").open() as file:
        table = [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]
    return sorted(table, key=lambda row: int(row["index"]))


def found(*overrides):
    return Found(design(config.load(None, (*SETTINGS, *overrides)), "coarse", general=False), [])


def test_a_worker_killed_in_the_middle_loses_and_doubles_nothing(scheduler, tmp_path):
    """Two workers, one killed after the first row: the same trials.csv, order aside, as a local search."""
    address, worker = scheduler
    _, second = worker(), worker()
    dataset = search.dataset(found().study.settings.data)
    local = search.start(found().study, dataset, tmp_path, None)
    with search.local(2, 1, dataset.fingerprint, None) as workers:
        list(search.execute(found(), local, workers, fail_fast=False))
    run = search.start(found().study, dataset, tmp_path, None)
    with search.remote(address, 1, dataset.fingerprint, found().study.settings.data) as workers:
        for end in search.execute(found(), run, workers, fail_fast=False):
            if end and second.poll() is None:
                second.kill()
                second.wait()
    assert second.poll() is not None
    assert [row["index"] for row in rows(run.path)] == [str(i) for i in range(8)]
    assert rows(run.path) == rows(local.path)


def test_a_worker_without_the_images_is_refused(scheduler):
    """The error names the worker and what it lacks, before anything runs; with other images likewise."""
    address, worker = scheduler
    worker()
    settings = config.load(None, REAL).data
    with (
        pytest.raises(DataError, match=r"worker tcp://127\.0\.0\.1:\d+: .*CIFAR-10"),
        search.remote(address, 1, "0" * 64, settings),
    ):
        pass
    with (
        pytest.raises(DataError, match=r"worker tcp://.*those of the search 000000000000; give every machine the same"),
        search.remote(address, 1, "0" * 64, found().study.settings.data),
    ):
        pass


def test_a_scheduler_without_workers_is_an_error(scheduler, monkeypatch):
    """The message says how to start one."""
    monkeypatch.setattr("cifarnet.search.cluster.TIMEOUT", 1)
    with (
        pytest.raises(RunError, match="this scheduler has no workers; start some with `dask worker tcp:"),
        search.remote(scheduler[0], 1, "", found().study.settings.data),
    ):
        pass


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "127.0.0.1:9", "nonsense://x", "tcp://127.0.0.1:x"])
def test_an_unreachable_scheduler_is_an_error(address, monkeypatch):
    """The message names it."""
    monkeypatch.setattr("cifarnet.search.cluster.TIMEOUT", 1)
    with (
        pytest.raises(RunError, match=f"{address}: no Dask scheduler answers"),
        search.remote(address, 1, "", found().study.settings.data),
    ):
        pass
