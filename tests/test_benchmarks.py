"""The benchmarks measure the same work; what is slow or needs other libraries is left out."""

import sys
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from cifarnet.data import Pixels

FOLDER = Path(__file__).with_name("benchmarks")


@pytest.fixture
def peers(monkeypatch):
    """One of the scripts, which import one another as a script's neighbours do."""
    monkeypatch.syspath_prepend(str(FOLDER))
    import bench  # noqa: F401 - that it can be
    import peers

    with threadpool_limits(1):  # a peer sets another, for good
        yield peers
    for name in ("bench", "peers", "end_to_end"):
        sys.modules.pop(name)


def task(peers, k):
    values = np.random.default_rng(0).integers(256, size=(300, peers.D), dtype=np.uint8)
    pixels = Pixels(values, np.full(peers.D, 127.5, np.float32), np.full(peers.D, 73.9, np.float32))
    sizes = (peers.D, 8, peers.K)
    start = peers.initialize(sizes, "xavier", peers.generator(peers.SEED, "init"))
    return peers.Task(8, 50, k, pixels, np.asarray(pixels), np.arange(300) % 10, peers.views(start, sizes)[0])


def test_the_loops_do_the_same_work(peers, monkeypatch):
    """After 6 updates from the same weights, in the same order, with the same eta and L2, the weights' norms agree."""
    monkeypatch.setattr(peers, "N", 300)
    same, norms = task(peers, 6), []
    for peer in (peers.cifarnet, peers.numpy, peers.naive):
        train, measure = peer(same)
        train(6)
        norms.append(measure())
    assert norms[0] == pytest.approx(norms[1], rel=1e-5)
    assert norms[0] == pytest.approx(norms[2], rel=1e-5)
    assert norms[0] != pytest.approx(peers.norms(*same.Ws), rel=1e-5)
