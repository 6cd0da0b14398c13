"""A training that was left, by whatever way, goes on to the same bytes; what would become another one is refused."""

import dataclasses
import gc
import threading

import numpy as np
import pytest

from cifarnet.data import Dataset
from cifarnet.errors import DataError, RunError
from cifarnet.experiments import train
from cifarnet.runs import LATEST, Run
from tests.common import changed, files


def test_an_error_after_the_last_update_loses_no_update(trainings, monkeypatch):
    """The test images are damaged: failed, with the reason; once they are there, resume does what is left."""

    def damaged(_):
        raise DataError("test_batch is cut short")

    training = trainings.start()
    with monkeypatch.context() as patch, pytest.raises(DataError, match="cut short"):
        patch.setattr(Dataset, "test", property(damaged))
        trainings.train(training)
    assert (training.run.status, training.run.info["error"]) == ("failed", "test_batch is cut short")
    again = trainings.resume(training.run.path)
    assert again.info["resumed"] == [28]
    assert trainings.same(again.path)


def test_a_training_that_nobody_began_is_interrupted(trainings):
    """When it is forgotten, and when it is resumed in the same process; what has ended cannot be iterated over."""
    path = trainings.start().run.path
    gc.collect()
    assert Run(path).status == "interrupted"
    kept = trainings.start()
    assert trainings.same(trainings.resume(kept.run.path).path)
    with pytest.raises(RunError, match="interrupted; resume the run to go on"):
        list(kept)


@pytest.mark.parametrize("how", ["left", "raised", "kept"])
def test_a_training_left_in_a_loop_is_interrupted_and_goes_on(trainings, how):
    """Also where a notebook keeps the iterator: the same process takes it over."""
    training = trainings.start()
    kept = [iter(training)] if how == "kept" else []
    try:
        for record in kept[0] if kept else training:
            if record.step == 10 and how == "raised":
                raise KeyError("of a notebook")
            if record.step == 10:
                break
    except KeyError:
        pass
    assert training.run.status == ("running" if kept else "interrupted")
    done = trainings.resume(training.run.path)
    assert done.info["resumed"] == [10]
    assert trainings.same(done.path)
    assert [list(records) for records in kept] in ([], [[]])


def test_a_training_in_another_thread_is_not_taken_over(trainings):
    training, begun, end = trainings.start(), threading.Event(), threading.Event()

    def work():
        for record in training:
            if record.step == 5:
                begun.set()
                end.wait()

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait()
    with pytest.raises(RunError, match="another thread of this process is running it"):
        train.resume(Run(training.run.path))
    end.set()
    thread.join()
    assert trainings.same(training.run.path)


def test_a_run_stopped_after_any_update_ends_with_the_same_bytes(trainings):
    """Marked interrupted, resumed: model.npz, metrics.csv, cycle checkpoints, results; stopped again, as well."""
    for steps in (0, 1, 13, 14, 15, 27, 28):
        run = trainings.train(trainings.start(), steps)
        assert Run(run.path).status == "interrupted"
        again = steps + 4
        run = trainings.resume(trainings.resume(run.path, again).path)
        assert run.info["resumed"] == [steps, min(again, 28)]
        assert trainings.same(run.path), steps


def test_all_that_a_training_remembers_goes_on(trainings):
    """Moments, the average of the weights, growing cycles, dropout, augmentation: stopped anywhere, the same bytes."""
    trainings.settings = changed(
        trainings.settings,
        training__optimizer={"kind": "adam"},
        training__schedule={"kind": "cyclic", "n_s": 9, "cycles": 2, "cycle_growth": 2, "eta_max": 0.01},
        training__dropout={"input": 0.1, "hidden": 0.2},
        training__augmentation={"noise": 0.1},
        training__label_smoothing=0.1,
        training__average=0.8,
    )
    trainings.full = trainings.train(trainings.start("full"))
    for step in (16, 53):
        run = trainings.train(trainings.start("stopped"), step)
        assert trainings.same(trainings.resume(run.path).path), step


def other_settings(trainings, path, patch):
    (path / "config.yaml").write_text((path / "config.yaml").read_text().replace("lambda: 0.01", "lambda: 0.02"))


def other_images(trainings, path, patch):
    trainings.dataset = dataclasses.replace(trainings.dataset, fingerprint="another")


def other_numerics(trainings, path, patch):
    patch.setattr(train, "NUMERICS", train.NUMERICS + 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_settings, r"training\.lambda was 0\.01 and is 0\.02 \(config\.yaml\); undo that"),
        (other_images, "the images are not those that it began with"),
        (other_numerics, r"it began with version \d of the numerics and this is version \d"),
    ],
)
def test_a_run_that_would_become_another_is_refused(trainings, monkeypatch, change, message):
    """The difference is named, the folder stays as it was, and anybody may take it."""
    run = trainings.train(trainings.start(), 10)
    change(trainings, run.path, monkeypatch)
    before = {name: (run.path / name).read_bytes() for name in files(run.path)}
    with pytest.raises(RunError, match=message):
        trainings.resume(run.path)
    assert before == {name: (run.path / name).read_bytes() for name in files(run.path)}
    with Run(run.path).take() as taken:
        taken.release()


def test_a_checkpoint_that_is_not_the_runs_own_is_refused(trainings):
    """The message names the file, what is wrong and the cure; the cure works."""
    run = trainings.train(trainings.start(), 10)
    path = run.path / LATEST
    arrays = run.read_arrays(LATEST, ["theta", "step", "metrics"])
    np.savez(path, **arrays, identity=np.array("another"))
    with pytest.raises(RunError, match=r"latest\.npz: it is of another run, .*; remove it, and the run is done again"):
        trainings.resume(run.path)
    path.write_bytes(b"PK")
    with pytest.raises(RunError, match=r"latest\.npz: cannot be read.*remove it"):
        trainings.resume(run.path)
    path.unlink()
    assert trainings.same(trainings.resume(run.path).path)


def test_runs_of_earlier_versions_go_on(trainings):
    """training.augmentation was called jitter; the identity of a checkpoint is the one that commit 467e260 wrote."""
    run = trainings.train(trainings.start(), 10)
    written = "3c94c276102d47469c6c56b025d50274c356179fbedb23909d4fe8323e21fc43"
    assert run.read_arrays(LATEST, ["identity"])["identity"].tolist() == written
    for name in ("run.json", "config.yaml"):
        text = (run.path / name).read_text()
        assert "augmentation" in text
        (run.path / name).write_text(text.replace("augmentation", "jitter"))
    assert trainings.same(trainings.resume(run.path).path)


def test_what_is_no_training_is_not_resumed(trainings):
    """The kind of run is named."""
    run = train.create(trainings.settings, trainings.dataset, trainings.folder, "gradcheck")
    run.finish("interrupted")
    with pytest.raises(RunError, match="a gradcheck run, not a training"):
        trainings.resume(run.path)
