"""Breaking things: every write of a run, one after the other; disks full, broken, read-only; folders that vanish."""

import errno
import os
import shutil

import pytest

from cifarnet.errors import CifarnetError, RunError
from cifarnet.runs import Run
from tests.faults import Crash, Faults, Trainings, injected

OTHERS = (errno.EIO, errno.EDQUOT, errno.EROFS)  # treated like the first
ERRORS = (errno.ENOSPC, *(pytest.param(number, marks=pytest.mark.torture) for number in OTHERS))
every = pytest.mark.parametrize("stride", [7, pytest.param(1, marks=pytest.mark.torture)])  # of the calls


@pytest.fixture
def trainings(tiny, dataset, tmp_path, monkeypatch):
    return Trainings(tiny, dataset, tmp_path, monkeypatch)


def attempt(trainings, faults):
    """Train with faults: the folder that there is afterwards, if any, and what was raised."""
    folder = trainings.folder / f"{faults.kind}-{faults.at}-{faults.lasting}"
    training = raised = None
    with injected(faults):
        try:
            training = trainings.start(folder.name)
            trainings.train(training)
        except (Crash, CifarnetError) as error:
            raised = error.with_traceback(None)
        if training and raised:
            training._abandon.detach()  # a process that is dead marks nothing
            training.run.release()
    found = [path.parent for path in folder.glob("[!.]*/run.json")] if folder.exists() else []
    return (found[0] if found else None), raised


@pytest.fixture
def calls(trainings):
    """How many calls that write a training does."""
    counting = Faults()
    attempt(trainings, counting)
    assert counting.count > 80
    return counting.count


def survived(trainings, path):
    """Whether the folder, if it came to be, can be read, goes on and ends with the same bytes."""
    if path and Run(path).status != "completed":
        trainings.resume(path)
    return path is None or trainings.same(path)


@every
@pytest.mark.parametrize("kind", ["before", "half"])
def test_a_death_at_any_write_loses_nothing(trainings, calls, kind, stride):
    """Before and amid every single open, write, fsync, rename and link: it goes on to the same end."""
    for at in range(len(kind) % stride, calls, stride):
        path, raised = attempt(trainings, Faults(kind, at))
        assert isinstance(raised, Crash)
        assert survived(trainings, path), at


@every
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "for good"])
@pytest.mark.parametrize("number", ERRORS)
def test_a_disk_that_fails_at_any_write_gives_a_clear_error(trainings, calls, number, lasting, stride):
    """Full, over quota, broken or read-only, once or for good: one line with file and cure; later it goes on."""
    for at in range(number % stride, calls, stride):
        path, raised = attempt(trainings, Faults(number, at, lasting=lasting))
        if raised:
            assert isinstance(raised, RunError)
            assert os.strerror(number) in str(raised)
            assert "; " in str(raised)
            assert "\n" not in str(raised)
            assert not (path and [*path.rglob("*.part")])
        assert survived(trainings, path), at


def test_short_writes_are_written_to_their_end(trainings):
    """A system that takes a few bytes at a time changes nothing."""
    for seed in range(3):
        path, raised = attempt(trainings, Faults("short", at=-seed - 1, seed=seed))
        assert not raised
        assert survived(trainings, path)


@pytest.mark.parametrize("step", [0, 13])
def test_a_folder_deleted_under_a_live_run_is_not_brought_back(trainings, step):
    """The next write says that it is gone; nothing of it is made again."""
    training = trainings.start()
    folder = training.run.path.parent
    with pytest.raises(RunError, match=r"its folder was moved or deleted; start again|is this a run folder\?"):
        for record in training:
            if record.step == step:
                folder.rename(trainings.folder / "gone")
                shutil.rmtree(trainings.folder / "gone", ignore_errors=True)
    assert not folder.exists()


def test_a_read_only_runs_folder_is_reported_before_training(trainings):
    _, raised = attempt(trainings, Faults(errno.EROFS, 0, lasting=True))
    assert "no run folder can be made: Read-only file system; make it writable, or choose another" in str(raised)
