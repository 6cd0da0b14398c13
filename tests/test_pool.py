"""The pool runs many trainings: in lockstep, in threads, or on a Dask cluster, with the same bytes."""

import gc
import threading
import weakref

import numpy as np
import pytest

from cifarnet.errors import DataError, RunError
from cifarnet.experiments import pool, train
from cifarnet.experiments.pool import Job
from cifarnet.runs import Run
from cifarnet.search import execute, start
from cifarnet.studies.check import Check
from tests.common import alike, started
from tests.searches import laid_out, outcomes, rows, settings

LOAD = pool.data.load
pytestmark = pytest.mark.usefixtures("toy_images")


def jobs(*overrides, **kinds):
    found = [settings(*([override] if isinstance(override, str) else override)) for override in overrides]
    return [Job(key, s, "", **kinds) for key, s in enumerate(found)]


def test_trainings_that_differ_in_more_than_eta_and_lambda_are_not_in_lockstep():
    """Here by the seed and the width: groups for each; so are gradient checks, and jobs that want the test scores."""
    changes = [
        [f"seed={i % 2}", f"network.hidden=[{5 + i % 3}]", f"training.schedule.eta_max={1 + i}"] for i in range(24)
    ]
    groups = pool.lockstep(jobs(*changes), 1, 1)
    assert [sorted({job.key % 6 for job in group}) for group in groups] == [[k] for k in range(6) for _ in range(2)]
    assert {len(group) for group in groups} == {2}
    check = jobs("seed=1", "seed=1", check=Check(methods=("forward",), samples=1, step=1e-6).results)
    assert len(pool.lockstep([*jobs("seed=1"), *jobs("seed=1", scored="validation"), *check], 1, 1)) == 4


def test_a_training_has_the_same_bytes_in_any_group():
    todo = jobs(*(f"training.lambda={lam}" for lam in (0, 0.01, 0.1, 0.001)))
    alone, lockstep = outcomes(todo, workers=4), outcomes(todo * 2, workers=1)[::2]
    assert [o.status for o in lockstep] == ["completed"] * 4
    for a, b in zip(alone, lockstep, strict=True):
        assert (a.records, a.results) == (b.records, b.results)
        assert a.model.theta.tobytes() == b.model.theta.tobytes()


def test_an_outcome_has_what_a_run_folder_has(tmp_path):
    """Scores, curves, network and confusions of the same training by `experiments.train`."""
    (job,) = jobs("training.lambda=0.01")
    (outcome,) = outcomes([job])
    training = train.start(job.settings, runs_dir=tmp_path, threads=1)
    list(training)
    run = Run(training.run.path)
    assert outcome.results == run.results
    assert outcome.model.theta.tobytes() == run.model.theta.tobytes()
    curves = [list(record.row().values()) for record in outcome.records]
    assert curves == np.transpose([*run.records.values()]).tolist()
    assert outcome.confusion.tolist() == [[int(n) for n in row.values()] for row in run.read_rows("confusion-test.csv")]
    (held_out,) = outcomes(jobs("training.lambda=0.01", scored="held-out"))
    assert held_out.results == {name: value for name, value in run.results.items() if "train" not in name}
    (trial,) = outcomes(jobs("training.lambda=0.01", scored="validation"))
    assert trial.model is None and not trial.results
    assert [r.validation for r in trial.records] == [r.validation for r in outcome.records]
    assert (outcome.updates, dict(outcome.provenance)) == (job.settings.updates, run.environment["data"])


def test_an_error_fails_its_group_alone(monkeypatch):
    original = pool.training.train_lockstep

    def failing(states, dataset, all_settings, *rest, **kinds):
        if any(s.seed == 1 for s in all_settings):
            raise MemoryError("no room")
        return original(states, dataset, all_settings, *rest, **kinds)

    monkeypatch.setattr(pool.training, "train_lockstep", failing)
    found = outcomes(jobs("seed=1", "seed=2", ["seed=1", "training.lambda=1"]), workers=1)
    assert [(o.status, o.note) for o in found[::2]] == [("failed", "MemoryError: no room")] * 2
    assert found[1].status == "completed"


def test_a_gradient_check_is_a_job():
    """Errors by method, parameter and measure, and those of the worst parameter."""
    (outcome,) = outcomes(jobs("seed=1", check=Check(methods=["centred", "forward"], samples=3, step=1e-5).results))
    found = outcome.results
    assert outcome.status == "completed"
    assert found["centred.W1.norm_relative_error"] < 1e-8
    for method in "centred", "forward":
        each = [found[f"{method}.{name}.max_absolute_error"] for name in ("W1", "W2", "b1", "b2")]
        assert found[f"{method}.all.max_absolute_error"] == max(each)


@pytest.mark.parametrize("kind", [{}, {"check": Check(methods=("centred",), samples=60, step=1e-5).results}])
def test_a_stop_ends_what_runs_and_begins_nothing(kind):
    """Two trainings or checks that would take minutes, and one that waits."""
    stop = threading.Event()
    todo = jobs(*[[f"seed={i}", "training.schedule.n_s=100000000", "network.hidden=[5000]"] for i in range(3)], **kind)
    with pool.local(2) as executor:
        ends = pool.run(todo, executor, stop)
        assert next(ends) is None
        stop.set()
        assert sorted(job.key for job, outcome in filter(None, ends) if outcome.status == "left") == [0, 1, 2]
        ends = pool.run(todo, executor)
        assert next(ends) is None
        ends.close()


def test_images_are_read_once_and_let_go(toy_images, dataset, monkeypatch):
    """One copy for all who use one data set at a time; when the pool is left, nobody holds it."""
    toy_images.clear()
    with pool.local(2) as executor:
        executor.dataset(settings().data)
        list(pool.run(jobs(*(f"seed={i}" for i in range(6))), executor))
        assert len(toy_images) == 1
        copy = alike(dataset.train)
        kept, loading = weakref.ref(copy), [copy]
        monkeypatch.setattr(pool.data, "load", lambda *_: loading.pop())
        del copy
        executor.dataset(settings("data.dims=7").data)
        assert kept()
    del executor
    gc.collect()
    assert not kept()


def test_other_images_are_no_fault_of_a_training(dataset):
    (job,) = jobs("seed=1")
    with pool.local(1) as executor, pytest.raises(DataError, match=r"fingerprint .*, those of the jobs 000000000000;"):
        list(pool.run([pool.replace(job, fingerprint="0" * 64)], executor))


# A Dask cluster: a real scheduler and real workers, on the loopback interface

LARGER = (
    "data={source: synthetic, train: [1], validation: 100, limit: 500, dims: 30}",
    "search.coarse={n_s: 50, trials: 6, cycles: 2}",
)


def heard(process, word):
    """Wait for a line with a word in what the process says, and return it."""
    for line in process.stderr:
        if word in line:
            return line
    raise AssertionError(f"{process.args} ended without {word!r}")


@pytest.fixture
def scheduler(tmp_path):
    """The address of a scheduler, and a function that starts a worker for it."""
    pytest.importorskip("distributed", reason="Dask is not installed: pip install 'cifarnet[dask]'")
    host = ("--no-dashboard", "--host", "127.0.0.1")
    processes = [started("-m", "distributed.cli.dask_scheduler", *host, "--port", "0")]
    address = heard(processes[0], "Scheduler at:").split()[-1]

    def worker():
        words = ("--nthreads", "1", "--no-nanny", "--local-directory", str(tmp_path))
        without_images = {"CIFARNET_DATA_DIR": "", "XDG_CACHE_HOME": str(tmp_path)}
        processes.append(started("-m", "distributed.cli.dask_worker", address, *host, *words, **without_images))
        heard(processes[-1], "Registered to:")
        return processes[-1]

    yield address, worker
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_a_cluster_does_the_same_search_or_says_what_its_workers_lack(scheduler, dataset, tmp_path, monkeypatch):
    """Without workers, without their images, with another program: refused. One that is killed costs nothing."""
    address, worker = scheduler
    with monkeypatch.context() as patch, pytest.raises(RunError, match="no workers; start some with `dask worker tcp:"):
        patch.setattr(pool, "TIMEOUT", 1)
        pool.cluster(address).__enter__()
    _, second = worker(), worker()
    with pool.cluster(address) as executor:
        with pytest.raises(DataError, match=r"worker tcp://127\.0\.0\.1:\d+: .*CIFAR-10"):
            executor.dataset(settings("data.source=cifar10").data)
        monkeypatch.setattr(dataset, "fingerprint", "0" * 64)
        with pytest.raises(DataError, match=r"worker tcp://.*, those of the jobs 000000000000; give every machine"):
            executor.dataset(settings(*LARGER).data)
    with monkeypatch.context() as patch:
        patch.setattr(pool, "RELEASE", "9.9")
        with (
            pool.cluster(address) as executor,
            pytest.raises(RunError, match=r"worker tcp.*, and the jobs come from 9"),
        ):
            executor.dataset(settings(*LARGER).data)
    monkeypatch.setattr(pool.data, "load", LOAD)
    tables = []
    for executor in pool.executor(jobs=2), pool.executor(address):
        study = laid_out(*LARGER)
        with executor as workers:
            run = start(study, workers, tmp_path)
            for end in execute(study, run, workers):
                if end and len(tables) and second.poll() is None:
                    second.kill()
                    second.wait()
        tables.append(rows(run))
    assert second.poll() is not None
    assert [row["index"] for row in tables[0]] == [str(i) for i in range(6)]
    assert tables[0] == tables[1]


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense://x", "tcp://127.0.0.1:x"])
def test_an_unreachable_scheduler_is_an_error(address, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(pool, "TIMEOUT", 1)
    with pytest.raises(RunError, match=f"{address}: no Dask scheduler answers"):
        pool.cluster(address).__enter__()
