"""The benchmarks measure the same work, and their script runs; what is slow or needs other libraries is left out."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from threadpoolctl import threadpool_limits

from cifarnet.data import Pixels

FOLDER = Path(__file__).with_name("benchmarks")


@pytest.fixture
def modules(monkeypatch):
    """The scripts, which import one another as a script's neighbours do."""
    monkeypatch.syspath_prepend(str(FOLDER))
    import bench
    import peers

    with threadpool_limits(1):  # a peer sets another, for good
        yield peers, bench
    for name in ("bench", "peers", "end_to_end"):
        sys.modules.pop(name)


def task(peers, k):
    values = np.random.default_rng(0).integers(256, size=(300, peers.D), dtype=np.uint8)
    pixels = Pixels(values, np.full(peers.D, 127.5, np.float32), np.full(peers.D, 73.9, np.float32))
    sizes = (peers.D, 8, peers.K)
    start = peers.initialize(sizes, "xavier", peers.generator(peers.SEED, "init"))
    return peers.Task(8, 50, k, pixels, np.asarray(pixels), np.arange(300) % 10, peers.views(start, sizes)[0])


def test_the_loops_do_the_same_work(modules, monkeypatch):
    """After 6 updates from the same weights, in the same order, with the same eta and L2, the weights' norms agree."""
    peers, _ = modules
    monkeypatch.setattr(peers, "N", 300)
    same, norms = task(peers, 6), []
    for peer in (peers.cifarnet, peers.numpy, peers.naive):
        train, measure = peer(same)
        train(6)
        norms.append(measure())
    assert norms[0] == pytest.approx(norms[1], rel=1e-5)
    assert norms[0] == pytest.approx(norms[2], rel=1e-5)
    assert norms[0] != pytest.approx(peers.norms(*same.Ws), rel=1e-5)


def test_the_script_writes_what_it_prints(modules, monkeypatch, tmp_path):
    """With stand-ins that take 1, 2 and 4 times the limit's time: the ratios, results.json and both figures."""
    _, bench = modules
    speed = {"limit": 1, "cifarnet": 2, "naive": 4}

    class StandIn:
        def __init__(self, name):
            self.name = name
            self.process = type("", (), {"pid": 0})

        def ask(self, order):
            return {"norms": [1.0]} if "m" in order else {"seconds": order["times"] * 1e-3 * speed[self.name]}

        def close(self):
            pass

    monkeypatch.setattr(bench, "Peer", StandIn)
    monkeypatch.setattr(bench, "PEERS", speed)
    monkeypatch.setattr(bench, "PAUSE", 0)
    options = ["--rounds", "2", "--sizes", "50x100 200x100", "--parts", "updates", "--runs-dir", str(tmp_path)]
    done = CliRunner().invoke(bench.main, options, catch_exceptions=False)
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("m = 50")]
    assert [[line[5], line[7], line[8]] for line in lines] == [
        ["limit", "0.5", "1"],
        ["cifarnet", "1", "0.5"],
        ["naive", "2", "0.25"],
    ]
    (folder,) = (tmp_path / "benchmarks").glob("2*")
    assert json.loads((folder / "results.json").read_text())["updates"][0]["m"] == 50
    row = next(line for line in (folder / "table.md").read_text().splitlines() if line.startswith("| 50, 100"))
    assert [cell.strip() for cell in row.split("|")[1:5]] == ["50, 100", "5", "10", "20"]
    assert {path.name for path in folder.glob("speed.*")} == {"speed.png", "speed.svg"}
