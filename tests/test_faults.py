"""Breaking things: every write of a run, one after the other; processes killed; disks full; folders that vanish."""

import errno
import os
import shutil
from concurrent.futures import Future

import pytest

from cifarnet import experiment, runs
from cifarnet.errors import CifarnetError, RunError
from tests.faults import Crash, Faults, injected

DEATHS = ("before", "half", "after")
RARE = (errno.EDQUOT, errno.EROFS)  # treated like the others
ERRORS = (errno.ENOSPC, errno.EIO, *(pytest.param(number, marks=pytest.mark.torture) for number in RARE))


class AtOnce:
    """Writes checkpoints when told to, so that every training does the same calls in the same order."""

    def submit(self, function, *arguments, **options):
        done = Future()
        try:
            done.set_result(function(*arguments, **options))
        except BaseException as error:
            done.set_exception(error)
        return done


def attempt(tiny, faults):
    """Train with faults: the folder that there is afterwards, if any, and what was raised."""
    folder = tiny.folder / f"{faults.kind}-{faults.at}-{faults.lasting}"
    run = raised = None
    with injected(faults):
        try:
            run = tiny.begin(folder.name)
            tiny.train(run)
        except (Crash, CifarnetError) as error:
            raised = error
    found = [path.parent for path in folder.glob("[!.]*/run.json")] if folder.exists() else []
    if run and raised:
        run.release()  # as the end of the process does
    return (found[0] if found else None), raised


@pytest.fixture
def calls(tiny, monkeypatch):
    """How many calls that write a whole training does."""
    monkeypatch.setattr(runs.folder, "WRITER", AtOnce())
    counting = Faults()
    attempt(tiny, counting)
    return counting.count


def survived(tiny, tally, path):
    """The folder, if it came to be, can be read, goes on and ends with the same bytes."""
    tally["faults injected into writes"] += 1
    tally["of them survived"] += 0
    tally["of them differing afterwards"] += 0
    tally["of them unreadable folders"] += 0
    if path:
        try:
            status = runs.read(path)["status"]
        except RunError:
            tally["of them unreadable folders"] += 1
            raise
        if status != "completed":
            tiny.go_on(path)
        if not tiny.same(path):
            tally["of them differing afterwards"] += 1
            pytest.fail(f"{path} differs")
    tally["of them survived"] += 1


@pytest.mark.parametrize("kind", DEATHS)
def test_a_death_at_any_write_loses_nothing(tiny, calls, tally, kind):
    """Before, amid and after every single open, write, fsync, rename and link: it goes on to the same end."""
    assert calls > 80
    for at in range(calls):
        path, raised = attempt(tiny, Faults(kind, at))
        assert isinstance(raised, Crash)
        survived(tiny, tally, path)


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "for good"])
@pytest.mark.parametrize("number", ERRORS)
def test_a_disk_that_fails_at_any_write_gives_a_clear_error(tiny, calls, tally, number, lasting):
    """Full, over quota, broken or read-only, once or for good: one line with file and cure; later it goes on."""
    for at in range(calls):
        path, raised = attempt(tiny, Faults(number, at, lasting=lasting))
        if raised:
            assert isinstance(raised, RunError)
            assert os.strerror(number) in str(raised)
            assert "; " in str(raised)
            assert "\n" not in str(raised)
        survived(tiny, tally, path)


def test_short_writes_are_written_to_their_end(tiny, calls, tally):
    """A system that takes a few bytes at a time: nothing is noticed."""
    for seed in range(10):
        path, raised = attempt(tiny, Faults("short", at=-seed - 1, seed=seed))
        assert not raised
        survived(tiny, tally, path)


@pytest.mark.parametrize("step", [0, 3, 13, 27])
def test_a_folder_deleted_under_a_live_run_is_not_brought_back(tiny, step):
    """The next write says that it is gone; nothing of it is made again."""
    run = tiny.begin()
    with pytest.raises(RunError, match=r"its folder was moved or deleted; start again|is this a run folder\?"):
        for record in experiment.execute(tiny.settings, tiny.dataset, run):
            if record.step == step:
                run.path.parent.rename(tiny.folder / "gone")
                shutil.rmtree(tiny.folder / "gone", ignore_errors=True)
    assert not run.path.parent.exists()


def test_a_read_only_runs_folder_is_told_at_once(tiny):
    """Before any training: the folder, the reason and the cure."""
    _, raised = attempt(tiny, Faults(errno.EROFS, 0, lasting=True))
    assert "no run folder can be made: Read-only file system; make it writable, or choose another" in str(raised)
