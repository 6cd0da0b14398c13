"""What tests share: a toy problem of a few inputs, one tiny config, and the real CIFAR-10 where there is one."""

import functools
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings as hypothesis
from threadpoolctl import threadpool_limits

from cifarnet import data, plots, version
from cifarnet.config import Settings
from cifarnet.data import Dataset, Split
from cifarnet.data.cifar10 import Batch, Cifar10, digest
from cifarnet.experiments import train
from cifarnet.pages import render
from cifarnet.plots import style
from cifarnet.runs import Run
from cifarnet.runs.run import CURVES
from cifarnet.studies import read_study
from tests import batches
from tests.calls import answer, call, kept, trained  # noqa: F401 - for all tests of commands
from tests.common import MACHINE, alike
from tests.faults import Trainings
from tests.seventh import STUDY

QUIET_CHROMIUM = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
WRITE = render.write
hypothesis.register_profile("busy", deadline=None, max_examples=50)  # a busy machine is no failure
hypothesis.load_profile("busy")


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """BLAS threads that wait for each other spin, and the tests may share the machine."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session", autouse=True)
def shortcuts():
    """Save time where no test looks: coarse pictures, git asked once, no wait for the disk. The shell sets nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "DPI", 73)  # a third of the points in each direction
        patch.setattr(version, "git", functools.cache(version.git))  # of every run folder, 14 ms
        patch.setattr(os, "fsync", lambda _: None)
        patch.delenv("CIFARNET_SET", raising=False)
        yield


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """Headless Chromium that keeps what its console says, where there is one: the same for all tests."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("no Chromium: apt-get install chromium chromium-driver")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in [*QUIET_CHROMIUM, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield started
    started.quit()


@pytest.fixture(scope="session")
def toy() -> Split:
    """60 images of 8 inputs, ten classes that a network with hidden nodes can tell apart."""
    rng = np.random.default_rng(7)
    y = np.arange(60) % 10
    X = rng.standard_normal((10, 8))[y] + 0.3 * rng.standard_normal((60, 8))
    return Split(X.astype(np.float32), y)


@pytest.fixture(scope="session")
def dataset(toy) -> Dataset:
    """The toy problem as a data set: the same images train, validate and test."""
    return alike(toy)


@pytest.fixture
def tiny() -> Settings:
    """28 updates on the toy problem, in milliseconds."""
    return Settings.model_validate(
        {
            "data": {"source": "synthetic", "dims": 8, "limit": 60},
            "network": {"hidden": [6]},
            "training": {"batch_size": 9, "lambda": 0.01, "schedule": {"kind": "cyclic", "n_s": 7, "cycles": 2}},
            "evaluation": {"per_cycle": 3},
        }
    )


@pytest.fixture
def often(monkeypatch):
    """Averages take a sample at every second update."""
    monkeypatch.setattr("cifarnet.training.timetable.UPDATES_PER_SAMPLE", 2)


@pytest.fixture
def split_small(monkeypatch):
    """However small the network, as many threads share an update as are asked for."""
    monkeypatch.setattr("cifarnet.training.parallel.HANDOVER", 1)


@pytest.fixture
def trainings(tiny, dataset, tmp_path, monkeypatch) -> Trainings:
    """Run folders without pages, which take longer than the trainings."""
    monkeypatch.setattr(render, "write", lambda _: None)
    return Trainings(tiny, dataset, tmp_path, monkeypatch)


@pytest.fixture
def pages(trainings, monkeypatch):
    """For the tests that look at them."""
    monkeypatch.setattr(render, "write", WRITE)


@pytest.fixture
def make(tmp_path):
    """Make a run of some settings, results and environment; of the status ``running``, it is not finished."""

    def make(label, lam=0.1, accuracy=0.5, *, kind="train", status="completed", data=None, results=None, **environment):
        values = {"label": label, "training": {"lambda": lam}, "network": {"hidden": [3]}}
        settings = Settings.model_validate(values | {"data": {"source": "synthetic", "dims": 4, **(data or {})}})
        run = Run.create(tmp_path / "runs", kind, settings, environment=MACHINE | environment)
        run.append(dict.fromkeys(CURVES, 0.5) | {"step": 0})
        if status != "running":
            scores = {"validation_accuracy": accuracy, "test_accuracy": accuracy - 0.1}
            run.finish(status, results=results or scores if status == "completed" else {})
        return run

    return make


@pytest.fixture(scope="module")
def toy_images(dataset):
    """Let every training read the toy problem, whatever its settings say, and draw nothing; the calls that read it."""
    calls = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", lambda *found, **_: calls.append(found) or dataset)
        patch.setattr(plots, "draw", lambda _: [])
        patch.setattr(train, "this_machine", lambda: {"numpy": "any"})
        yield calls


@pytest.fixture
def place(tmp_path):
    """A folder with a small release of CIFAR-10 in it."""
    return batches.write(tmp_path / "given").parent


@pytest.fixture
def write(tmp_path):
    """Write a config, and return its path."""

    def write(content, name="some.yaml"):
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path / name

    return write


class Release:
    """Six batch files of 300 images, each brighter than the one before."""

    batches = dict.fromkeys(("1", "2", "3", "4", "5", "test"), 300)

    def read(self, name):
        number = list(self.batches).index(name)
        rng = np.random.default_rng(number)
        y = (np.arange(300) % 10).astype(np.uint8)
        centres = np.random.default_rng(99).integers(80, 150, (10, 3072))
        pixels = np.clip(centres[y] + 50 * rng.standard_normal((300, 3072)) + 6 * number, 0, 255).astype(np.uint8)
        return Batch(y, pixels, digest(y, pixels), official=False)

    def class_names(self):
        return Cifar10.classes


@pytest.fixture
def release(monkeypatch) -> Release:
    """A few images in place of all data, wherever they are loaded from."""
    monkeypatch.setattr("cifarnet.data.dataset.open_source", lambda *_: Release())
    return Release()


@pytest.fixture(scope="session")
def real_data_dir() -> Path:
    """The folder that CIFARNET_DATA_DIR names, with the real CIFAR-10 in it."""
    folder = Path(os.environ.get("CIFARNET_DATA_DIR", ""))
    if "CIFARNET_DATA_DIR" not in os.environ or not (folder / "cifar-10-batches-py" / "data_batch_1").is_file():
        pytest.skip("no real CIFAR-10: CIFARNET_DATA_DIR names no folder with cifar-10-batches-py")
    return folder


@pytest.fixture
def study(tmp_path):
    """That of a seventh report."""
    (tmp_path / "seventh.yaml").write_text(STUDY)
    return read_study(tmp_path / "seventh.yaml")
