"""The run folder: complete writes, locks that end with their process, what a damaged one answers, where it was made."""

import json
import os
import subprocess
import threading
from datetime import datetime
from pathlib import Path

import filelock
import numpy as np
import pytest

from cifarnet import runs, version
from cifarnet.errors import RunError
from cifarnet.nn.model import Model
from cifarnet.nn.network import parameter_count
from cifarnet.runs import Run, catalog
from cifarnet.runs.run import CURVES
from tests.common import MACHINE, python


@pytest.fixture
def run(make):
    made = make("a-label", status="running")
    yield made
    made.release()


def test_runs_of_the_same_second_get_folders_of_their_own(make, tmp_path, monkeypatch):
    class Frozen(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2026, 11, 21, 8, 35, 12).astimezone(tz)

    monkeypatch.setattr(runs.run, "datetime", Frozen)
    names = [make("x").name for _ in range(3)]
    assert names == [f"20261121-083512-train-x{end}" for end in ("", "-2", "-3")]
    assert Run.find("latest", tmp_path / "runs").name == names[2]
    assert make("a").name < names[2] and Run.find("latest", tmp_path / "runs").label == "a"


def test_a_run_records_what_it_is_and_what_it_reached(run):
    """From the first instant that it is running, with settings and environment; in the end status, results, time."""
    info = json.loads((run.path / "run.json").read_text())
    assert [*info] == ["kind", "label", "status", "pid", "host", "started", "settings"]
    assert (info["kind"], info["label"], info["status"], info["pid"]) == ("train", "a-label", "running", os.getpid())
    assert (Run(run.path).settings, Run(run.path).environment) == (run.settings, MACHINE)
    run.finish("completed", results={"test_accuracy": 0.5})
    found = Run(run.path)
    assert (found.status, found.results) == ("completed", {"test_accuracy": 0.5})
    assert found.info["seconds"] >= 0 and "completed" in (run.path / "log.txt").read_text()


def test_tables_come_back_as_they_were_written(run):
    """Floats to the last bit, NaN for what was not measured, text with commas; without a last line cut short."""
    run.append({"step": 1, "cost": 1 / 3, "accuracy": float("nan")}, "x.csv")
    run.append({"step": 2, "cost": 1e-300, "accuracy": 0.5}, "x.csv")
    with (run.path / "x.csv").open("a") as file:
        file.write("3,0.1")
    assert run.read_table("x.csv")["cost"].tolist() == [1 / 3, 1e-300]
    assert np.isnan(run.read_table("x.csv")["accuracy"][0])
    run.append({"index": 1, "hidden": [50, 30]}, "trials.csv")
    assert run.read_rows("trials.csv") == [{"index": "1", "hidden": "[50, 30]"}]
    assert run.read_rows("none.csv") == []


@pytest.mark.parametrize("place", ["file", "/dev/null/x", "/proc/x", "x" * 300])
def test_a_runs_folder_that_cannot_be_made_is_an_error(tiny, tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    with pytest.raises(RunError, match=r"no run folder can be made: .*; "):
        Run.create(Path(place), "train", tiny, environment={})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_links_that_lead_out_of_a_run_folder_are_not_followed(run, tmp_path):
    for name in ("log.txt", ".x.part"):
        (tmp_path / name).write_text("mine")
    (run.path / "log.txt").symlink_to(tmp_path / "log.txt")
    for name in ("figures", "checkpoints"):
        (run.path / name).symlink_to(tmp_path)
    with pytest.raises(RunError, match=r"figures: .*remove it"):
        run.write("figures/x.png", b"")
    with pytest.raises(RunError, match=r"checkpoints: .*a link stands"):
        run.write_arrays("checkpoints/latest.npz", {"step": np.array(2)})
    with pytest.raises(RunError, match=r"log\.txt: .*a link stands where a file belongs; remove it"):
        run.log("x")
    run.remove_parts()
    assert {path.name: path.read_text() for path in tmp_path.iterdir() if path.is_file()} == {
        "log.txt": "mine", ".x.part": "mine"
    }  # fmt: skip


def test_a_name_that_is_not_utf_8_is_escaped(run):
    run.note("from \udcff.png\nto λ")
    assert run.notes[0].endswith("from \\udcff.png to λ")


def test_what_a_kill_left_half_written_is_removed(run):
    run.finish("failed", error="x", updates=3)
    run.update(seconds=100)
    (run.path / "figures").mkdir()
    for name in (".model.npz.1-2.part", "figures/.eta.png.1-2.part"):
        (run.path / name).write_bytes(b"half")
    before = run.read_bytes("metrics.csv")
    for name in ("metrics.csv", "log.txt"):
        with (run.path / name).open("a") as file:
            file.write("14,0.2")
    with Run(run.path).take() as taken:
        taken.reopen(10)
    assert run.read_bytes("metrics.csv") == before
    assert not list(run.path.rglob("*.part"))
    lines = (run.path / "log.txt").read_text().splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == ["failed", "resumed after 10 updates"]
    info = json.loads(run.read_bytes("run.json"))
    assert (info["status"], info["resumed"]) == ("running", [10])
    assert not {"ended", "error", "updates"} & info.keys()
    taken.finish("completed")
    assert taken.info["seconds"] >= 100


def test_a_run_belongs_to_one_process_at_a_time(run):
    """Nobody else takes or removes it, in this process either; any thread may let it go."""
    assert Run(run.path).status == "running"
    with pytest.raises(RunError, match=rf"process {os.getpid()} on .* is running it; wait for it, or stop it first"):
        Run(run.path).take().__enter__()
    with pytest.raises(RunError, match="a process is running it"):
        Run(run.path).remove()
    thread = threading.Thread(target=run.release)
    thread.start()
    thread.join()
    assert Run(run.path).status == "stale"
    assert Run(run.path).describe() == f"was killed: cifarnet train --resume {run.path}"
    with Run(run.path).take() as taken:
        taken.release()


FORKED = """
import os, sys, time
from pathlib import Path
from cifarnet.config import Settings
from cifarnet.runs import Run
def create():
    return Run.create(Path(sys.argv[1]), "train", Settings(), environment={})
first, second = create(), create()
first.finish("completed")
here, there = os.pipe()
if not os.fork():
    second.release()
    create().finish("completed")
    os._exit(len(os.read(here, 1)) - 1)
while len(list(Path(sys.argv[1]).glob("2*/run.json"))) < 3: time.sleep(.01)
assert Run(second.path).status == "running"
second.release()
assert Run(second.path).status == "stale"
os.write(there, b"x")
sys.exit(os.wait()[1])
"""


def test_a_child_makes_runs_and_has_no_part_in_its_parents_lock(tmp_path):
    python("-c", FORKED, tmp_path)


def test_file_systems_lock_as_they_can(make, run, monkeypatch):
    """NFS locks writable descriptors alone; a copy may have no lock file; some lock nothing at all."""
    import fcntl

    def nfs(descriptor, blocking):
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(9, "Bad file descriptor")
        return native(descriptor, blocking=blocking)

    native = filelock.lock_descriptor
    monkeypatch.setattr(filelock, "lock_descriptor", nfs)
    assert Run(run.path).status == "running"
    run.release()
    assert Run(run.path).status == "stale"
    (run.path / ".lock").unlink()
    assert Run(run.path).status == "stale"

    def refuse(*_, **__):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(filelock.FileLock, "acquire", refuse)
    make("unlocked").release()


def test_a_damaged_folder_is_listed_as_unreadable(make, tmp_path):
    make("a")
    no_score = '{"kind": "train", "status": "completed", "results": {"test_accuracy": null}}'
    for content in ("{", "[]", '{"kind": "train", "label": "x", "status": "new"}', '{"kind": 3}', no_score):
        path = tmp_path / "runs" / f"{len(content)}-broken"
        path.mkdir()
        (path / "run.json").write_text(content)
        assert Run.listed(path).status == "unreadable"
        with pytest.raises(RunError, match=r"run\.json: cannot be read as .*; is this a run folder\?"):
            _ = Run(path).info
    (tmp_path / "runs" / "no-run").mkdir()
    found = catalog.list_runs(tmp_path / "runs")
    assert sorted(run.status for run in found) == ["completed", *["unreadable"] * 5]
    table = catalog.columns(found, "table")
    assert [table[name].summary(found[:1]) for name in ("status", "label", "test")] == ["unreadable", "", ""]


def arrays_of(run):
    sizes = run.settings.sizes
    theta = np.zeros(parameter_count(sizes), np.float32)
    return Model(theta, sizes, np.zeros(4), np.ones(4), tuple("abcdefghij")).arrays(7)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda path, _: path.write_bytes(path.read_bytes()[:-30]), " as arrays: "),
        (lambda path, _: path.unlink() or path.mkdir(), ": Is a directory"),
        (lambda path, a: np.savez(path, **a | {"theta": np.array([{}], object)}), " as arrays: Object arrays"),
        (lambda path, a: np.savez(path, theta=a["theta"]), " as arrays: it has no sizes, mean, std, classes"),
        (lambda path, a: np.savez(path, **a | {"theta": a["theta"][:5]}), r" as a network: .*theta is float32\(5,\)"),
        (lambda path, a: np.savez(path, **a | {"sizes": [4, 10], "theta": np.zeros(50)}),
         r" as a network: its layers are \(4, 10\), and those of config.yaml \(4, 3, 10\); train again, or"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_network_of_the_run_is_refused(run, change, why):
    run.write_arrays("model.npz", arrays_of(run))
    change(run.path / "model.npz", arrays_of(run))
    with pytest.raises(RunError, match=rf"model\.npz: cannot be read{why}") as error:
        run.load_model("model.npz")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "a table: "),
        (b"step,step\n1,2\n", "a table: two columns have one name"),
        (b"step,cost\n1\n", "a table: line 2 has 1 of 2 values"),
        (b"step,cost\n1,x\n", "a table of numbers: could not convert string to float: 'x'"),
        (b'step,"cost\n1,2\n', "a table: unexpected end of data"),
        (b"\xff\n", "a table: "),
    ],
)
def test_a_table_that_is_none_is_refused(run, content, why):
    (run.path / "metrics.csv").write_bytes(content)
    with pytest.raises(RunError, match=rf"metrics\.csv: cannot be read as {why}.*; take it from a copy"):
        _ = run.records
    (run.path / "metrics.csv").write_text("step,train_cost\n1,2\n")
    with pytest.raises(RunError, match=r"metrics\.csv: has no validation_cost, .*; take it from a copy, or run it"):
        _ = run.records


def test_a_completed_run_without_its_last_row_is_refused(run):
    run.append(dict.fromkeys(CURVES, 0.5) | {"step": 7})
    run.finish("completed", results={"updates": 7})
    path = run.path / "metrics.csv"
    assert run.records["step"].tolist() == [0, 7]
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(RunError, match="has no row of the last update; take it from a copy"):
        _ = run.records


def test_git_is_asked_about_our_own_clone(tmp_path, monkeypatch):
    """Whatever a hook exports; and what is no clone has no commit."""
    monkeypatch.setattr(version, "git", version.git.__wrapped__)  # without the cache of these tests
    if not (commit := version.git("rev-parse", "HEAD")):
        pytest.skip("these tests run from no clone")
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    for name, value in {"GIT_DIR": tmp_path / ".git", "GIT_WORK_TREE": tmp_path, "GIT_INDEX_FILE": "x"}.items():
        monkeypatch.setenv(name, str(value))
    assert version.git("rev-parse", "HEAD") == commit
    assert runs.this_machine()["git_commit"] == commit
    (tmp_path / "venv").mkdir()  # in a clone, but none
    monkeypatch.setattr(version, "ROOT", tmp_path / "venv")
    assert version.git("rev-parse", "--show-toplevel") is None


def test_environments_differ_in_what_changes_the_last_bits():
    now = runs.this_machine() | {"threads": 2}
    assert {"numpy", "blas", "cpu", "argv", "git_commit", "cifarnet"} <= now.keys()
    assert runs.differences(now, now | {"argv": [], "platform": "other", "numerics": 9}) == []
    then = now | {"numpy": "1", "threads": 1, "blas": [{"version": "0"}]}
    found = runs.differences(then, now)
    assert f"numpy 1 / {np.__version__}" in found and "threads 1 / 2" in found
    assert any(line.startswith("blas.version 0 / ") for line in found)
