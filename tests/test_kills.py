"""Real processes, really killed: whatever comes, the folder can be read and the run ends with the same bytes."""

import itertools
import json
import os
import random
import resource
import signal
import subprocess
import sys
import time

import pytest

from cifarnet.runs import Run
from tests.common import ROOT, contents


def words(command, config, *settings):
    return (*command, config, "--quiet", "--format", "svg", *(word for s in settings for word in ("--set", s)))


TRAIN = words(
    ("train", "--threads", "1"), "quick", "data={limit: 1000, validation: 1000, dims: 100}", "network.hidden=[20]",
    "training.schedule={n_s: 50, cycles: 4}",
)  # fmt: skip
SEARCH = words(
    ("search-lambda", "coarse"), "search", "data={source: synthetic, train: [1], validation: 1000, limit: 1000}",
    "search.coarse={n_s: 100, trials: 8}", "search.final={train: [1], validation: 1000, n_s: 10}",
)  # fmt: skip
SLOW = {"kind": "slow", "seconds": 0.01}  # stretches the writes, so that more of the kills fall into them
DEADLINE = 600  # seconds after which a test hangs


def hear():
    """Let a command be stopped by Ctrl-C, also where these tests run in the background and ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Process:
    """A cifarnet command in a process of its own, in a runs folder, perhaps on a slow or broken disk."""

    def __init__(self, runs_dir, *arguments, faults=None, before=None):
        start = ["-m", "tests.faults", json.dumps(faults)] if faults else ["-m", "cifarnet"]
        env = os.environ | {"CIFARNET_RUNS_DIR": str(runs_dir), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, *start, *arguments]
        self.process = subprocess.Popen(command, env=env, preexec_fn=before or hear, text=True, stdout=-1, stderr=-1)

    def end(self, *signals, code=None, pause=0.0):
        """Send signals, wait for the end; the exit code, if one is expected, is asserted. Returns standard error."""
        for number in signals:
            self.process.send_signal(number)
            time.sleep(pause)
        out, err = self.process.communicate(timeout=DEADLINE)
        assert code in (None, self.process.returncode), out + err
        assert "Traceback" not in err, err
        return err

    def until(self, condition):
        """Wait for something to be so, or for the end of the process."""
        while self.process.poll() is None and not condition():
            time.sleep(0.02)


def rows(folder):
    tables = list(folder.glob("2*/metrics.csv"))
    return tables[0].read_text().count("\n") if tables else 0


def kept(folder):
    """What the one run in a folder has that must be the same."""
    (path,) = folder.glob("2*")
    return contents(path)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "runs"


def resume(folder, command="train", **options):
    return Process(folder, command, "--resume", "latest", "--quiet", "--format", "svg", **options)


def status(folder):
    return Run.find("latest", folder).status


def status_of_killed(folder):
    """The status once nobody holds the lock: a child of the killed process does, between its fork and its exec."""
    end = time.monotonic() + DEADLINE
    while (found := status(folder)) == "running" and time.monotonic() < end:
        time.sleep(0.02)
    return found


@pytest.mark.slow
def test_signals_and_kills_lose_nothing(folder):
    """SIGTERM, SIGINT, SIGKILL, each to what goes on after the one before; at the end half a page."""
    process = Process(folder, *TRAIN, faults=SLOW)
    process.until(lambda: rows(folder) > 2)
    for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        assert "to go on: cifarnet train --resume" in process.end(number, code=code)
        assert status(folder) == "interrupted"
        process, seen = resume(folder, faults=SLOW), rows(folder)
        process.until(lambda seen=seen: rows(folder) > seen)
    assert status(folder) == "running"
    process.end(signal.SIGKILL)
    assert status(folder) == "stale"
    resume(folder).end(code=0)
    page = Run.find("latest", folder).path / "run.html"
    page.rename(page.with_name(".run.html.1-2.part"))
    resume(folder).end(code=0)
    assert page.read_text().rstrip().endswith("</html>")
    Process(folder / "never stopped", *TRAIN).end(code=0)
    assert kept(folder) == kept(folder / "never stopped")


@pytest.mark.slow
def test_a_second_signal_ends_a_run_at_once(folder):
    """The exit code is the signal's, nothing more was written, the folder can be read; before, nobody else got it."""
    process = Process(folder, *TRAIN, faults={"kind": "slow", "seconds": 0.3})
    process.until(lambda: rows(folder) > 1)
    assert "is running it" in resume(folder).end(code=1)
    process.end(signal.SIGINT, signal.SIGINT, pause=0.2, code=130)  # a checkpoint alone takes longer
    assert status(folder) == "stale"


def test_a_file_size_limit_gives_a_clear_error(folder):
    """A write that the system truly refuses: one line, exit code 1, and it goes on later."""
    limit = (240_000, 240_000)
    large = (*TRAIN, "--set", "data.dims=3072")
    process = Process(folder, *large, before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
    assert "npz: cannot be written: File too large; free some space" in process.end(code=1)
    assert status(folder) == "failed"


FORKED = """
import os, sys, time
from pathlib import Path
from cifarnet.config import Settings
from cifarnet.runs import Run
folder, settings, start = Path(sys.argv[1]), Settings(), int(time.time()) + 1.2
for _ in range(20):
    if not os.fork():
        time.sleep(max(0, start - time.time()))
        Run.create(folder, "train", settings, environment={})
        os._exit(0)
sys.exit(any([os.wait()[1] for _ in range(20)]))
"""


def test_twenty_runs_of_one_second_get_twenty_folders(folder):
    """Twenty processes begin a run at the same moment; whenever it is looked at, latest is one of them."""
    process = subprocess.Popen([sys.executable, "-c", FORKED, str(folder)])
    while process.poll() is None:
        if (folder / "latest").is_symlink():
            assert Run(folder / "latest").status in ("running", "stale")
        time.sleep(0.02)
    assert process.returncode == 0
    found = [path for path in folder.iterdir() if path.name != "latest"]
    assert len(found) == 20
    assert all((path / "run.json").is_file() for path in found)


@pytest.mark.torture
@pytest.mark.parametrize("command", [TRAIN, SEARCH], ids=["training", "search"])
@pytest.mark.parametrize("faults", [None, SLOW], ids=["disk", "slow disk"])
def test_25_kills_at_random_moments_lose_nothing(folder, command, faults):
    """SIGKILL after a random time, resumed and killed again, anew where one came to its end: each end is the same."""
    Process(folder / "complete", *command).end(code=0)
    moments, kills = random.Random(5), 25
    for attempt in itertools.count():
        mine = folder / str(attempt)
        process = Process(mine, *command, faults=faults)
        while kills:
            process.until(lambda mine=mine: list(mine.glob("2*")))
            time.sleep(moments.uniform(0, 5 if faults or command == SEARCH else 2.5))
            if process.process.poll() is not None:
                break
            process.end(signal.SIGKILL)
            kills -= 1
            assert status_of_killed(mine) in ("stale", "completed")
            process = resume(mine, command[0], faults=faults)
        process.end(code=0)
        assert kept(mine) == kept(folder / "complete")
        if not kills:
            break
