"""Resume: whatever stopped a training, and wherever, it ends with the same bytes; or it says why it does not go on."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from cifarnet import config, experiment, resume, runs
from cifarnet.config import Settings
from cifarnet.errors import RunError


@pytest.mark.parametrize("steps", range(29))
def test_a_run_stopped_after_any_update_ends_with_the_same_bytes(tiny, steps):
    """Marked interrupted, resumed to the end: model.npz, metrics.csv, cycle checkpoints, results."""
    run = tiny.begin()
    tiny.train(run, steps)
    assert runs.read(run.path)["status"] == "interrupted"
    assert tiny.go_on(run.path).info["resumed"] == [steps]
    assert tiny.same(run.path)


def test_a_run_stopped_again_and_again_ends_with_the_same_bytes(tiny):
    """Four stops, each some updates further; run.json tells where it went on."""
    run = tiny.begin()
    for steps in (3, 9, 14, 20):
        tiny.train(run, steps)
        taken = resume.take(run.path)
        run = taken.run
    list(experiment.execute(tiny.settings, tiny.dataset, run))
    assert run.info["resumed"] == [3, 9, 14, 20]
    assert tiny.same(run.path)


def test_a_folder_as_a_kill_leaves_it_is_stale_and_goes_on(tiny):
    """A copy of the folder taken after every update: nothing was told, and the end is the same."""
    run = tiny.begin()
    for record in experiment.execute(tiny.settings, tiny.dataset, run):
        copy = tiny.folder / "copies" / str(record.step)
        shutil.copytree(run.path, copy, ignore=shutil.ignore_patterns(".*.part"))
    for copy in (tiny.folder / "copies").iterdir():
        assert runs.read(copy)["status"] == "stale"
        tiny.go_on(copy)
        assert tiny.same(copy), copy.name


def test_what_a_kill_left_half_written_is_removed(tiny):
    """Parts of files, half a row and half a line of the log."""
    run = tiny.begin()
    tiny.train(run, 10)
    for name in (".model.npz.1-2.part", "checkpoints/.latest.npz.1-2.part"):
        (run.path / name).write_bytes(b"half")
    for name in ("metrics.csv", "log.txt"):
        with (run.path / name).open("a") as file:
            file.write("14,0.2")
    tiny.go_on(run.path)
    assert tiny.same(run.path)
    assert not list(run.path.rglob("*.part"))
    assert all(" " in line for line in (run.path / "log.txt").read_text().splitlines())


def test_a_run_belongs_to_one_process_at_a_time(tiny):
    """While it runs, its status is running and nobody else gets it; after that, anybody."""
    run = tiny.begin()
    records = experiment.execute(tiny.settings, tiny.dataset, run)
    next(records)
    assert runs.read(run.path)["status"] == "running"
    with pytest.raises(
        RunError, match=rf"process {run.info['pid']} on .* is running it; wait for it, or stop it first"
    ):
        resume.take(run.path)
    records.close()
    resume.take(run.path).run.release()


def change_config(path, monkeypatch):
    (path / "config.yaml").write_text((path / "config.yaml").read_text().replace("lambda: 0.01", "lambda: 0.02"))


def change_images(path, monkeypatch):
    other = replace(resume.data.load(), fingerprint="another")
    monkeypatch.setattr(resume.data, "load", lambda *_: other)


def change_numerics(path, monkeypatch):
    monkeypatch.setattr(resume, "NUMERICS", resume.NUMERICS + 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (change_config, r"training\.lambda was 0\.01 and is 0\.02 \(config\.yaml\); undo that"),
        (change_images, "the images are not those that it began with"),
        (change_numerics, r"it began with version \d of the numerics and this is version \d"),
    ],
)
def test_a_run_that_would_become_another_is_refused(tiny, monkeypatch, change, message):
    """The difference is named, and the folder is as it was."""
    run = tiny.begin()
    tiny.train(run, 10)
    before = {path.name: path.read_bytes() for path in run.path.iterdir() if path.is_file()}
    change(run.path, monkeypatch)
    before["config.yaml"] = (run.path / "config.yaml").read_bytes()
    with pytest.raises(RunError, match=message):
        resume.take(run.path)
    assert before == {path.name: path.read_bytes() for path in run.path.iterdir() if path.is_file()}


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("theta", np.zeros(5, np.float32), r"theta is float32\(5,\) instead of float32\(124,\)"),
        ("theta", np.zeros(124), r"theta is float64\(124,\) instead of float32"),
        ("theta", np.full(124, np.nan, np.float32), "theta has values that are not finite"),
        ("step", np.array(-1), "step -1 of 28 does not fit its metrics"),
        ("step", np.array(29), "step 29 of 28"),
        ("step", np.array(0.5), "step is float64"),
        ("metrics", np.zeros(3, np.uint8), "no header of distinct names"),
        ("metrics", np.frombuffer(b"step\n20\n", np.uint8), "does not fit its metrics"),
        ("identity", np.array("another"), "it is of another run"),
    ],
)
def test_a_checkpoint_that_is_not_the_runs_own_is_refused(tiny, name, value, why):
    """The message names the file, what is wrong and the cure; the cure works."""
    run = tiny.begin()
    tiny.train(run, 10)
    path = run.path / runs.LATEST
    arrays = runs.read_arrays(path, ["theta", "step", "metrics", "identity"])
    np.savez(path, **arrays | {name: value})
    with pytest.raises(RunError, match=rf"latest\.npz: .*{why}") as caught:
        tiny.go_on(run.path)
    assert "remove it, and the run is done again from its start" in str(caught.value)
    path.unlink()
    tiny.go_on(run.path)
    assert tiny.same(run.path)


def test_what_is_no_training_is_not_resumed(tmp_path):
    """Of another kind of run, the kind is named."""
    run = runs.create(tmp_path, "gradcheck", "x", "")
    run.finish("interrupted")
    with pytest.raises(RunError, match="a gradcheck run, not a training"):
        resume.take(run.path)


def test_a_broken_run_json_is_an_error(tiny):
    """What it lacks is named; nothing is guessed."""
    run = tiny.begin()
    tiny.train(run, 5)
    for text in ("", "[]", "{", json.dumps({"status": "running"}), json.dumps(run.info | {"status": "lost"})):
        (run.path / "run.json").write_text(text)
        with pytest.raises(RunError, match=r"run\.json: "):
            runs.read(run.path)


OPTIMISERS = [{"kind": "sgd"}, {"kind": "momentum"}, {"kind": "nesterov"}, {"kind": "adam"}]


@pytest.mark.parametrize("optimizer", OPTIMISERS, ids=lambda o: o["kind"])
def test_all_that_a_training_remembers_goes_on(tiny, optimizer):
    """Moments, the average of the weights, growing cycles, dropout, jitter: stopped anywhere, the same bytes."""
    plain = config.plain(tiny.settings)
    plain["training"] |= {
        "optimizer": optimizer,
        "schedule": {"kind": "cyclic", "n_s": 30, "cycles": 2, "cycle_growth": 2, "eta_max": 0.01},
        "dropout": {"input": 0.1, "hidden": 0.2},
        "jitter": {"noise": 0.1},
        "label_smoothing": 0.1,
        "average": 0.8,
    }
    tiny.settings = Settings.model_validate(plain)
    tiny.whole = tiny.begin("never stopped")
    tiny.train(tiny.whole, 181)
    for step in (1, 19, 45, 60, 61, 100, 141, 177, 179):
        run = tiny.begin(f"stopped {step}")
        tiny.train(run, step)
        tiny.go_on(run.path, 181)
        assert tiny.same(run.path), step
