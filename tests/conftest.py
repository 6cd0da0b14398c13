"""Data for the tests: a toy problem of a few inputs, and the real CIFAR-10 where there is one."""

import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from cifarnet import experiment, resume, runs
from cifarnet.config import Settings
from cifarnet.data import Dataset, Split

QUIET_CHROMIUM = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """BLAS threads that wait for each other spin, and the tests may share the machine."""
    with threadpool_limits(1):
        yield


@pytest.fixture
def browser(tmp_path):
    """Headless Chromium that keeps what its console says, where there is one."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("no Chromium: apt-get install chromium chromium-driver")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in [*QUIET_CHROMIUM, f"--user-data-dir={tmp_path / 'profile'}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield started
    started.quit()


@pytest.fixture
def toy() -> Split:
    """60 images of 8 inputs, ten classes that a network with hidden nodes can tell apart."""
    rng = np.random.default_rng(7)
    y = np.arange(60) % 10
    X = rng.standard_normal((10, 8))[y] + 0.3 * rng.standard_normal((60, 8))
    return Split(X.astype(np.float32), y)


class Tiny:
    """A training of 28 updates on the toy problem, as run folders, in milliseconds: no figures, no look at git."""

    settings = Settings.model_validate(
        {
            "data": {"source": "synthetic", "dims": 8, "limit": 60},
            "network": {"hidden": [6]},
            "training": {"batch_size": 9, "lambda": 0.01, "schedule": {"kind": "cyclic", "n_s": 7, "cycles": 2}},
            "evaluation": {"per_cycle": 3},
        }
    )
    updates = 28
    files = ("model.npz", "metrics.csv", "checkpoints/cycle-1.npz", "checkpoints/cycle-2.npz")

    def __init__(self, images: Split, folder: Path) -> None:
        classes = tuple("abcdefghij")
        self.dataset = Dataset(images, images, np.zeros(8), np.ones(8), classes, "fingerprint", "synthetic", {}, None)
        self.dataset.__dict__["test"] = images
        self.folder = folder
        self.whole = self.begin("never stopped")
        self.train(self.whole)

    def begin(self, name="runs"):
        return experiment.start(self.settings, self.dataset, self.folder / name)

    def train(self, run, updates=updates + 1):
        """To the end, or stopped after so many updates."""
        records = experiment.execute(self.settings, self.dataset, run)
        for record in records:
            if record.step >= updates:
                break
        records.close()

    def go_on(self, path, updates=updates + 1):
        run = resume.take(path).run
        self.train(run, updates)
        return run

    def same(self, path):
        """Whether a folder ended with the bytes and results of the run that was never stopped."""
        equal = all((path / name).read_bytes() == (self.whole.path / name).read_bytes() for name in self.files)
        return equal and runs.read(path)["results"] == self.whole.info["results"]


@pytest.fixture
def tiny(toy, tmp_path, monkeypatch) -> Tiny:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(experiment, "draw", lambda *_: None)
    monkeypatch.setattr(runs, "environment", lambda: {"numpy": np.__version__})
    made = Tiny(toy, tmp_path)
    monkeypatch.setattr(resume.data, "load", lambda *_: made.dataset)
    return made


TALLY: Counter[str] = Counter()


@pytest.fixture(scope="session")
def tally() -> Counter[str]:
    """What the reliability tests counted; printed at the end, zeros included."""
    return TALLY


def pytest_terminal_summary(terminalreporter):
    if TALLY:
        terminalreporter.section("reliability")
        for name, count in TALLY.items():
            terminalreporter.write_line(f"{name}: {count:,}")


@pytest.fixture(scope="session")
def real_data_dir() -> Path:
    """The folder that CIFARNET_DATA_DIR names, with the real CIFAR-10 in it."""
    folder = Path(os.environ.get("CIFARNET_DATA_DIR", ""))
    if "CIFARNET_DATA_DIR" not in os.environ or not (folder / "cifar-10-batches-py" / "data_batch_1").is_file():
        pytest.skip("no real CIFAR-10: CIFARNET_DATA_DIR names no folder with cifar-10-batches-py")
    return folder
