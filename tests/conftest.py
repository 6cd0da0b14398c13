"""Data for the tests: a toy problem of a few inputs, and the real CIFAR-10 where there is one."""

import os
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from cifarnet.data import Split


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """BLAS threads that wait for each other spin, and the tests may share the machine."""
    with threadpool_limits(1):
        yield


@pytest.fixture
def toy() -> Split:
    """60 images of 8 inputs, ten classes that a network with hidden nodes can tell apart."""
    rng = np.random.default_rng(7)
    y = np.arange(60) % 10
    X = rng.standard_normal((10, 8))[y] + 0.3 * rng.standard_normal((60, 8))
    return Split(X.astype(np.float32), y)


@pytest.fixture(scope="session")
def real_data_dir() -> Path:
    """The folder that CIFARNET_DATA_DIR names, with the real CIFAR-10 in it."""
    folder = Path(os.environ.get("CIFARNET_DATA_DIR", ""))
    if "CIFARNET_DATA_DIR" not in os.environ or not (folder / "cifar-10-batches-py" / "data_batch_1").is_file():
        pytest.skip("no real CIFAR-10: CIFARNET_DATA_DIR names no folder with cifar-10-batches-py")
    return folder
