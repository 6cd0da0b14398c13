"""The run folder: complete writes, locks that end with their process, what a damaged one answers, many at a glance."""

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from datetime import datetime
from pathlib import Path

import filelock
import numpy as np
import pytest

from cifarnet import readable, runs, version
from cifarnet.api import compare
from cifarnet.cli.runs import overview
from cifarnet.config import Settings
from cifarnet.errors import ConfigError, RunError
from cifarnet.nn.model import Model
from cifarnet.nn.network import parameter_count
from cifarnet.runs import Run, catalog, storage
from tests.common import python, started

CURVES = [f"{split}_{name}" for name in ("cost", "loss", "accuracy") for split in ("train", "validation")]
MACHINE = {"numpy": "2", "blas": [{"num_threads": 2}], "data": {"fingerprint": "x"}, "threads": 2}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def make(tmp_path):
    """Make a run of some settings, results and environment; of the status ``running``, it is not finished."""

    def make(label, lam=0.1, accuracy=0.5, *, kind="train", status="completed", data=None, results=None, **environment):
        values = {"label": label, "training": {"lambda": lam}, "network": {"hidden": [3]}}
        settings = Settings.model_validate(values | {"data": {"source": "synthetic", "dims": 4, **(data or {})}})
        run = Run.create(tmp_path / "runs", kind, settings, environment=MACHINE | environment)
        run.append({"step": 0} | dict.fromkeys(CURVES, 0.5))
        if status != "running":
            scores = {"validation_accuracy": accuracy, "test_accuracy": accuracy - 0.1}
            run.finish(status, results=results or scores if status == "completed" else {})
        return run

    return make


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


def test_arrays_have_the_same_bytes_each_time(run):
    arrays = {"theta": np.arange(5, dtype=np.float32), "classes": np.array(["a", "bc"])}
    for name in ("a.npz", "b.npz"):
        run.write_arrays(name, arrays)
    assert run.read_bytes("a.npz") == run.read_bytes("b.npz")
    assert run.read_arrays("a.npz", ["theta"])["theta"].tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="Object arrays"):
        run.write_arrays("c.npz", {"bad": np.array([{}])})


def test_a_row_that_does_not_fit_is_left_out_by_who_reads(run, monkeypatch):
    """A disk that takes half a row and is full then: the table ends with the row before."""
    before, write = run.read_table("metrics.csv"), os.write

    def half(descriptor, content):
        if len(content) < 3:
            raise OSError(28, "No space left on device")
        return write(descriptor, content[: len(content) // 2])

    monkeypatch.setattr(storage.os, "write", half)
    with pytest.raises(RunError, match=r"metrics\.csv: cannot be written: No space left"):
        run.append({"step": 2, "cost": 0.25})
    monkeypatch.undo()
    assert {name: column.tolist() for name, column in run.read_table("metrics.csv").items()} == {
        name: column.tolist() for name, column in before.items()
    }


@pytest.mark.parametrize("place", ["file", "/dev/null/x", "/proc/x", "x" * 300])
def test_a_runs_folder_that_cannot_be_made_is_an_error(tiny, tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    with pytest.raises(RunError, match=r"no run folder can be made: .*; .* another --runs-dir|no run folder can be"):
        Run.create(Path(place), "train", tiny, environment={})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_links_that_lead_out_of_a_run_folder_are_not_followed(run, tmp_path):
    for name in ("log.txt", ".x.part"):
        (tmp_path / name).write_text("mine")
    (run.path / "log.txt").symlink_to(tmp_path / "log.txt")
    (run.path / "figures").symlink_to(tmp_path)
    with pytest.raises(RunError, match=r"figures: .*remove it"):
        run.write("figures/x.png", b"")
    with pytest.raises(RunError, match=r"log\.txt: .*a link stands where a file belongs; remove it"):
        run.log("x")
    run.remove_parts()
    assert {(tmp_path / name).read_text() for name in ("log.txt", ".x.part")} == {"mine"}


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
    assert [line.split(" ", 1)[1] for line in (run.path / "log.txt").read_text().splitlines()] == [
        "failed",
        "resumed after 10 updates",
    ]
    info = json.loads(run.read_bytes("run.json"))
    assert (info["status"], info["resumed"]) == ("running", [10])
    assert not {"ended", "error", "updates"} & info.keys()
    taken.finish("completed")
    assert taken.info["seconds"] >= 100


TRAIN = """
import os, sys, time
from pathlib import Path
from cifarnet.config import Settings
from cifarnet.runs import LATEST, Run
import numpy as np
def train():
    run = Run.create(Path(sys.argv[1]), "train", Settings(), environment={})
    run.append({"step": 0})
    run.write_arrays(LATEST, {"step": np.array(0)})
    return run
"""


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
    with Run(run.path).take() as taken:
        taken.release()


def test_a_killed_run_is_stale(tmp_path):
    process = started("-c", TRAIN + "run = train(); Path(sys.argv[1], 'ready').touch(); time.sleep(600)", tmp_path)
    while not (tmp_path / "ready").exists():
        assert process.poll() is None
        time.sleep(0.01)
    assert Run.find("latest", tmp_path).status == "running"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert Run.find("latest", tmp_path).status == "stale"
    assert Run.find("latest", tmp_path, "training").describe().startswith("was killed: cifarnet train --resume")


def test_a_child_trains_after_its_parent_has_and_has_no_part_in_its_parents_lock(tmp_path):
    code = """
first, second = train(), train()
first.finish("completed")
here, there = os.pipe()
if not os.fork():
    second.release()
    train().finish("completed")
    os._exit(len(os.read(here, 1)) - 1)
while len(list(Path(sys.argv[1]).glob("2*/checkpoints/latest.npz"))) < 3: time.sleep(.01)
assert Run(second.path).status == "running"
second.release()
assert Run(second.path).status == "stale"
os.write(there, b"x")
sys.exit(os.wait()[1])
"""
    python("-c", TRAIN + code, tmp_path)


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


def test_a_run_is_found_by_path_by_latest_and_by_a_unique_beginning(make, run):
    runs_dir = run.path.parent
    for name in (str(run.path), "latest", run.name, run.name[:12]):
        assert Run.find(name, runs_dir).path.resolve() == run.path.resolve()
    other = make("b")
    with pytest.raises(RunError, match=rf"{run.name[:8]}: 2 runs in .* begin like this \(.*{other.name}"):
        Run.find(run.name[:8], runs_dir)


def test_a_tilde_is_the_home_folder(make, run, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Run.find("latest", Path("~/runs")).path == run.path
    assert [found.path for found in catalog.list_runs(Path("~/runs"))] == [run.path]
    made = Run.create(Path("~/runs"), "train", run.settings, environment={})
    made.release()
    assert made.path.parent == tmp_path / "runs"
    with pytest.raises(RunError, match=r"~nobody/x: no run in .* begins like this"):
        Run.find("~nobody/x", tmp_path / "runs")


@pytest.mark.parametrize("kind", ["copy", "dangling", "missing", "nonsense"])
def test_without_a_link_latest_is_the_newest_by_name(make, kind):
    """A copy of a run in its place is never listed, and stays when a run is made or removed."""
    a, b = (make(label) for label in "ab")
    latest = a.path.parent / "latest"
    latest.unlink()
    if kind == "copy":
        shutil.copytree(a.path, latest)
    elif kind == "dangling":
        latest.symlink_to("gone")
    elif kind == "nonsense":
        latest.write_bytes(b"\xff../a")
    assert Run.find("latest", a.path.parent).path == b.path
    assert [found.path for found in catalog.list_runs(a.path.parent)] == [b.path, a.path]
    Run.find("latest", a.path.parent).remove()
    assert a.path.exists() and not b.path.exists()
    c = make("c")
    assert Run.find("latest", a.path.parent).path == c.path
    assert (latest / "run.json").is_file() and latest.is_symlink() == (kind != "copy")
    if kind == "copy":
        Run(latest).remove()
        assert [found.path for found in catalog.list_runs(a.path.parent)] == [c.path, a.path]


def test_removing_a_run_leaves_latest_right(make):
    a, b, c = (make(label) for label in "abc")
    runs_dir = a.path.parent
    (runs_dir / "20990101-alias").symlink_to(a.path)
    c.remove()
    assert Run.find("latest", runs_dir).path == b.path
    a.remove()
    assert Run.find("latest", runs_dir).path == b.path
    b.remove()
    assert not [path for path in runs_dir.iterdir() if path.name != "20990101-alias"]
    with pytest.raises(RunError, match="there are no runs yet; cifarnet train makes one"):
        Run.find("latest", runs_dir)


def test_latest_is_the_newest_that_has_what_a_command_needs(make, tmp_path):
    """And a run that has not says what it is, and how to go on with it."""
    trained, stopped, check, search = (
        make("a"),
        make("b", status="interrupted"),
        make("c", kind="gradcheck"),
        make("d", kind="search"),
    )
    make("e")
    trained.write("model.npz", b"")
    stopped.write("checkpoints/cycle-1.npz", b"")
    stopped.update(updates=909)
    runs_dir = tmp_path / "runs"
    for need, expected in {"network": trained, "search": search, "training": stopped}.items():
        assert Run.find("latest", runs_dir, need).path == expected.path
    with pytest.raises(RunError, match="c has no network: it is a gradient check"):
        Run.find(check.name, runs_dir, "network")
    path = rf"{runs_dir}/\S+-b"
    advice = f"after 909 updates: cifarnet train --resume {path}, or cifarnet evaluate {path} --checkpoint cycle-1"
    with pytest.raises(RunError, match=f"b has no network: it was interrupted {advice}"):
        _ = Run(stopped.path).model
    with pytest.raises(RunError, match="c is no training: it is a gradient check"):
        Run.find(check.name, runs_dir, "training")
    trained.remove()
    with pytest.raises(RunError, match=r"no other run will do, and the newest .*e has no network: it is a completed"):
        Run.find("latest", runs_dir, "network")


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


def test_a_network_comes_back_and_classifies(run):
    run.write_arrays("model.npz", arrays_of(run))
    run.write_arrays("checkpoints/cycle-1.npz", arrays_of(run))
    assert run.load_model("checkpoints/cycle-1.npz").sizes == run.model.sizes == (4, 3, 10)
    assert run.model.predict(np.zeros((2, 3072), np.uint8)) == pytest.approx(np.full((2, 10), 0.1))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda path, _: path.write_bytes(path.read_bytes()[:-30]), "cannot be read as arrays: "),
        (lambda path, _: path.write_bytes(b""), "cannot be read as arrays: No data left in file"),
        (lambda path, _: path.unlink() or path.mkdir(), "cannot be read: Is a directory"),
        (lambda path, a: np.savez(path, **a | {"theta": np.array([{}], object)}), "arrays: Object arrays cannot be"),
        (lambda path, a: np.savez(path, theta=a["theta"]), "arrays: it has no sizes, mean, std, classes"),
        (lambda path, a: np.savez(path, **a | {"theta": a["theta"][:5]}), r"a network: .*theta is float32\(5,\)"),
        (lambda path, a: np.savez(path, **a | {"theta": a["theta"] * np.nan}), "a network: .*not finite"),
        (lambda path, a: np.savez(path, **a | {"mean": np.zeros(3)}), "a network: .*mean and std"),
        (
            lambda path, a: np.savez(
                path, **a | {"sizes": [4, 12], "theta": np.zeros(60), "classes": [*"abcdefghijkl"]}
            ),
            r"a network: its layers are \(4, 12\), and those of config.yaml \(4, 3, 10\); train again, or",
        ),
    ],
)
def test_a_file_that_is_no_network_of_the_run_is_refused(run, change, why):
    run.write_arrays("model.npz", arrays_of(run))
    change(run.path / "model.npz", arrays_of(run))
    with pytest.raises(RunError, match=rf"model\.npz: cannot be read as {why}|model\.npz: {why}|has no network") as e:
        run.load_model("model.npz")
    assert "\n" not in str(e.value)


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
    with pytest.raises(
        RunError, match=r"metrics\.csv: has no validation_cost, .*; take it from a copy, or run it again"
    ):
        _ = run.records


def test_the_end_of_a_completed_run_is_missed(run):
    run.append({"step": 7} | dict.fromkeys(CURVES, 0.5))
    run.finish("completed", results={"updates": 7})
    path = run.path / "metrics.csv"
    assert run.records["step"].tolist() == [0, 7]
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(RunError, match="has no row of the last update; take it from a copy"):
        _ = run.records


def test_runs_of_earlier_versions_are_read(make):
    """Settings called jitter and halving; a find-eta without environment and settings: no column, no error."""
    run, new, old = make("a"), make("b"), make("c", kind="find-eta")
    (old.path / "environment.json").unlink()
    for made, change in (
        (run, {"training": {"lambda": 0.1, "jitter": {"flip": True}}, "search": {"coarse": {"halving": 2}}}),
        (old, None),
    ):
        info = json.loads(made.read_bytes("run.json"))
        info["settings"] = info["settings"] | change if change else {}
        made.write_json("run.json", info)
    path = run.path / "config.yaml"
    path.write_text(path.read_text().replace("augmentation:", "jitter:"))
    choices = Run(run.path).choices
    assert choices["training.augmentation.flip"] is True and choices["search.coarse.halving"] == 2
    assert Run(run.path).settings == run.settings
    assert [*catalog.columns([Run(new.path), Run(old.path)], "table")] == [*catalog.columns([Run(new.path)], "table")]
    compared = compare.compare([Run(new.path), Run(old.path)])
    assert (compared["settings"], compared["results"]["test_accuracy"]) == ({}, [0.4, 0.4])


def labels(found):
    return "".join(run.label for run in found)


def test_a_list_shows_the_settings_that_differ_and_no_others(make, tmp_path):
    """A setting named like a column has its full key; the newest run comes first; CSV has values and keys."""
    make("a", 0.1, 1 / 3)
    make("b", 0.001, 0.5, data={"train": [1, 2], "validation": 200})
    found = catalog.list_runs(tmp_path / "runs")
    table = catalog.columns(found, "table")
    settings = ["lambda", "split"]
    assert [*table] == ["run", "kind", "label", "status", *settings, "validation", "test", "time"]
    row = {heading: column.summary(found[:1]) for heading, column in table.items()}
    assert (row["label"], row["lambda"], row["validation"], row["split"]) == (
        "b",
        "0.001",
        "50.00 %",
        "1, 2 / 200 images",
    )
    sheet = catalog.columns(found, "csv")
    assert [*sheet][:6] == ["run", "kind", "label", "status", "started", "seconds"]
    assert [sheet[key].of(found[1]) for key in ("training.lambda", "validation_accuracy")] == [0.1, 1 / 3]
    assert sheet["data.validation"].of(found[0]) == 200
    assert [*catalog.columns(found, "page")][:5] == ["run", "kind", "label", "status", "started"]


def test_a_search_is_listed_with_what_did_best_and_its_kind_stays(make, tmp_path, monkeypatch):
    """Before a trial has ended there is no value of what it tries; kinds that differ are the last to leave a table."""
    for label, results in (("begun", {}), ("done", {"best": {"index": 1, "lambda": 0.02, "eta_max": 7}})):
        make(label, kind="search", results=results | {"trials": 3})
    make("a", 0.001, data={"train": [1, 2], "validation": 200})
    found = catalog.list_runs(tmp_path / "runs")
    column = catalog.columns(found, "table")["lambda"]
    assert [column.summary([run]) for run in found] == ["0.001", "0.02", ""]
    assert found[1].values["training.schedule.eta_max"] == Settings().training.schedule.eta_max
    monkeypatch.setenv("COLUMNS", "70")
    heading = overview([[run] for run in found]).splitlines()[0].split()
    assert heading == ["run", "kind", "lambda", "validation", "test"]


def test_short_names_of_keys_tell_them_apart():
    names = catalog.short_names(["network.hidden", "training.dropout.hidden", "training.optimizer.kind"])
    assert [*names.values()] == ["hidden", "dropout.hidden", "optimizer.kind"]


def test_a_result_named_like_a_setting_has_a_name_of_its_own(make):
    found = [Run(make("a", results={"seed": 7, "test_accuracy": 0.5}).path)]
    assert (found[0].values["seed"], found[0].values["results.seed"]) == (42, 7)
    assert catalog.select(found, ["seed=42"]) == catalog.select(found, ["results.seed=7"]) == found


@pytest.fixture
def four(make, tmp_path):
    for label, lam, accuracy in (("a", 0.1, 0.4), ("b", 0.001, 0.5), ("c", 0.00001, 0.6)):
        make(label, lam, accuracy)
    make("d", 0, status="running", data={"limit": 300, "validation": 200})
    return sorted(catalog.list_runs(tmp_path / "runs"), key=lambda run: run.label)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("training.lambda<1e-3", "cd"),
        ("lambda<=1e-3", "bcd"),
        ("lambda > 0.01", "a"),
        ("lambda=0.001", "b"),
        ("label!=a", "bcd"),
        ("label>=b", "bcd"),
        ("label>3", ""),
        ("status==stale", "d"),
        ("n_s=500", "abcd"),
        ("data.validation!=[2]", "d"),
        ("test_accuracy>=0.4", "bc"),
        ("test_accuracy>=40%", "bc"),
        ("test_accuracy >= 40 %", "bc"),
        ("test_accuracy != 40 %", "acd"),
        ("limit=null", "abc"),
        ("limit!=null", "d"),
        ("shuffle=true", "abcd"),
        *((f"hidden{three}", "abcd") for three in ("=3", "=[3]", "<4", "!=5", "!=3,4")),
        *((f"hidden{other}", "") for other in ("=0", "!=3", "=3, 4", "=[]")),
    ],
)
def test_filters_compare_numbers_as_numbers_and_words_as_words(four, condition, expected):
    assert labels(catalog.select(four, [condition])) == expected
    assert labels(catalog.select(four, [condition, "label=a"])) == ("a" if "a" in expected else "")


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ("lamda<1", r"lamda: .*try .*training\.lambda"),
        ("lambda", "'lambda' is not KEY, one of < <= = != >= >, VALUE"),
        ("lambda=<1", "is not KEY"),
        ("lambda<>1", "is not KEY"),
        ("lambda~1", "is not KEY"),
        ("lambda<", "is not KEY"),
        ("lambda<small", r"training\.lambda is a number such as 0\.1, and 'small' is none"),
        ("test_accuracy>44 percent", "test_accuracy is a number"),
    ],
)
def test_a_filter_that_means_nothing_is_refused(four, condition, why):
    """Also where another condition leaves no run."""
    with pytest.raises(ConfigError, match=f"--filter {why}|--filter .*{why}"):
        catalog.select(four, ["label=nobody", condition])


def test_sorting_puts_runs_without_the_value_last(four):
    assert labels(catalog.arrange(four, "test_accuracy")) == "abcd"
    assert labels(catalog.arrange(four, "-test_accuracy")) == "cbad"
    assert labels(catalog.arrange(four, "-label")) == "dcba"
    with pytest.raises(ConfigError, match=r"--sort vaidation_accuracy: .* validation_accuracy"):
        catalog.arrange(four, "vaidation_accuracy")


def test_listing_loads_neither_numpy_nor_matplotlib_nor_pydantic(four):
    code = "import sys; from pathlib import Path; from cifarnet.runs import catalog\n"
    code += "found = catalog.list_runs(Path(sys.argv[1])); catalog.select(found, ['lambda<1'])\n"
    code += "cells = [c.summary([run]) for c in catalog.columns(found, 'table').values() for run in found]\n"
    code += "assert 'stale' in cells and not {'numpy', 'matplotlib', 'pydantic', 'yaml'} & set(sys.modules)"
    python("-c", code, four[0].path.parent)


def test_compare_shows_what_differs_and_why_results_do(make):
    """The same results need no cause; where one run ended early, that is it."""
    a = make("a", 0.1, 0.4, git_commit="x")
    threads = make("b", 0.1, 0.5, git_commit="x", blas=[{"num_threads": 1}])
    code, unknown = make("c", 0.1, 0.5, git_commit="y"), make("d", 0.1, 0.5, git_commit="x")
    same, stopped = make("e", 0.1, 0.4, git_commit="x"), make("f", 0.1, status="interrupted", git_commit="x")
    other = make("g", 0.2, 0.5, numpy="3", git_commit="x", argv=["other"])
    found = compare.compare([a, other])
    assert found["settings"] == {"label": ["a", "g"], "training.lambda": [0.1, 0.2]}
    assert (found["environment"], found["causes"]) == ({"numpy": ["2", "3"]}, [])
    assert found["results"]["validation_accuracy"] == [0.4, 0.5]
    for b, cause in {
        threads: "sums are split differently over the threads of the BLAS (blas.num_threads)",
        code: "the code is not the same (git_commit)",
        unknown: "nothing that was recorded explains it",
        stopped: "the first one is completed, the second one interrupted",
    }.items():
        assert [*compare.causes([a, b])] == [{"runs": [a.name, b.name], "why": cause}]
    assert not [*compare.causes([a, same])]


def test_the_best_runs_and_the_shortest_names(four):
    names = catalog.handles(four)
    assert all(Run.find(name, path.parent).path == path for path, name in names.items())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.9, "59.9 s"), (200, "3 min 20 s"), (7260, "2 h 1 min"), (3e5, "3 d 11 h"), (np.inf, "?")],
)
def test_times_have_the_units_that_matter(seconds, text):
    assert readable.duration(seconds) == text


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
