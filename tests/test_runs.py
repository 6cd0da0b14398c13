"""The run folder: names, whole writes, deterministic bytes, and what a damaged one answers."""

import json
import os
from datetime import datetime

import numpy as np
import pytest

from cifarnet import runs
from cifarnet.errors import RunError
from cifarnet.page import page_of


@pytest.fixture
def run(tmp_path):
    return runs.create(tmp_path / "runs", "train", "a-label", "seed: 1\n")


def test_runs_of_the_same_second_get_folders_of_their_own(tmp_path, monkeypatch):
    """-2 and -3 are added, nothing is overwritten, and latest names the last."""

    class Frozen(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2026, 11, 21, 8, 35, 12)

    monkeypatch.setattr(runs.folder, "datetime", Frozen)
    paths = [runs.create(tmp_path, "train", "x", "").path for _ in range(3)]
    assert [p.name for p in paths] == [f"20261121-083512-train-x{end}" for end in ("", "-2", "-3")]
    assert runs.find("latest", tmp_path) == paths[2]


def test_a_new_run_says_that_it_is_running(run):
    """run.json has kind, label, status and the process that runs it; config.yaml what was asked for."""
    info = json.loads((run.path / "run.json").read_text())
    assert (info["kind"], info["label"], info["status"]) == ("train", "a-label", "running")
    assert info["pid"] > 0
    assert (run.path / "config.yaml").read_text() == "seed: 1\n"


def test_finish_records_status_results_and_times(run):
    """The status, the results and the seconds; log.txt tells it too."""
    run.finish("completed", results={"test_accuracy": 0.5})
    info = runs.read_json(run.path / "run.json")
    assert (info["status"], info["results"]) == ("completed", {"test_accuracy": 0.5})
    assert info["seconds"] >= 0
    assert "completed" in (run.path / "log.txt").read_text()


def test_metrics_come_back_as_they_were_written(run):
    """Floats to the last bit, NaN for what was not measured; a half-written last line is left out."""
    run.append({"step": 1, "cost": 1 / 3, "accuracy": float("nan")})
    run.append({"step": 2, "cost": 1e-300, "accuracy": 0.5})
    with (run.path / "metrics.csv").open("a") as file:
        file.write("3,0.1")
    table = runs.read_table(run.path / "metrics.csv")
    assert table["cost"].tolist() == [1 / 3, 1e-300]
    assert np.isnan(table["accuracy"][0])


def test_arrays_have_the_same_bytes_each_time(run):
    """No time stamp in an .npz; objects are refused when written."""
    arrays = {"theta": np.arange(5, dtype=np.float32), "classes": np.array(["a", "bc"])}
    run.write_arrays("a.npz", **arrays)
    run.write_arrays("b.npz", **arrays)
    assert (run.path / "a.npz").read_bytes() == (run.path / "b.npz").read_bytes()
    assert runs.read_arrays(run.path / "a.npz", ["theta"])["theta"].tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="Object arrays"):
        run.write_arrays("c.npz", bad=np.array([{}]))


def test_an_array_file_with_objects_is_refused(tmp_path):
    """An .npz that holds a pickle is an error that names the file."""
    np.savez(tmp_path / "model.npz", theta=np.array([{}], dtype=object))
    with pytest.raises(RunError, match=r"model\.npz: cannot be read \(Object arrays"):
        runs.read_arrays(tmp_path / "model.npz", ["theta"])


def test_a_write_that_fails_leaves_the_old_file(run, monkeypatch):
    """No half file, no stray part, a clear error."""
    run.write("note.txt", "old")

    def full(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runs.disk.os, "fsync", full)
    with pytest.raises(RunError, match=r"note\.txt: cannot be written: No space left on device; free some space"):
        run.write("note.txt", "new")
    assert (run.path / "note.txt").read_text() == "old"
    assert not list(run.path.glob(".*part"))


def test_a_run_is_found_by_path_by_latest_and_by_a_unique_beginning(run):
    """Each way leads to the same folder; what fits none or several says so."""
    runs_dir = run.path.parent
    for name in (str(run.path), "latest", run.path.name, run.path.name[:12]):
        assert runs.find(name, runs_dir).resolve() == run.path.resolve()
    other = runs.create(runs_dir, "train", "b", "")
    with pytest.raises(RunError, match=rf"{run.path.name[:8]}: 2 runs in .* begin like this \(.*{other.path.name}"):
        runs.find(run.path.name[:8], runs_dir)
    with pytest.raises(RunError, match="nothing: 0 runs"):
        runs.find("nothing", runs_dir)


def test_a_runs_folder_that_cannot_be_made_is_an_error(tmp_path):
    """A file where the folder should be: the message names it and the option."""
    (tmp_path / "runs").write_text("")
    with pytest.raises(RunError, match=r"runs: no run folder can be made: .*; choose another --runs-dir"):
        runs.create(tmp_path / "runs", "train", "x", "")


def test_latest_is_a_text_file_where_links_are_not_to_be_had(tmp_path, monkeypatch):
    """Without symlinks, latest holds the name, and find reads it."""

    def refused(*_, **__):
        raise OSError(1, "not permitted")

    monkeypatch.setattr(runs.disk.Path, "symlink_to", refused)
    run = runs.create(tmp_path, "train", "x", "")
    assert (tmp_path / "latest").read_text() == run.path.name
    assert runs.find("latest", tmp_path) == run.path


def test_a_row_that_does_not_fit_is_taken_back(run, monkeypatch):
    """A disk that takes half a row and is full then: the table ends with the row before."""
    run.append({"step": 1, "cost": 0.5})
    before, write = (run.path / "metrics.csv").read_bytes(), os.write

    def half(descriptor, content):
        if len(content) < 3:
            raise OSError(28, "No space left on device")
        return write(descriptor, content[: len(content) // 2])

    monkeypatch.setattr(runs.disk.os, "write", half)
    with pytest.raises(RunError, match=r"metrics\.csv: cannot be written: No space left"):
        run.append({"step": 2, "cost": 0.25})
    monkeypatch.undo()
    assert (run.path / "metrics.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("error", "status"),
    [(KeyboardInterrupt, "interrupted"), (SystemExit, "interrupted"), (ZeroDivisionError, "failed")],
)
def test_a_run_that_is_left_says_so_and_has_its_page(run, error, status):
    """A gradient check that is stopped is no stale run; what was raised goes on."""
    with pytest.raises(error), page_of(run):
        raise error
    assert runs.read(run.path)["status"] == status
    assert status in (run.path / "run.html").read_text()
