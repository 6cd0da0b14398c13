"""Real processes, really killed: whatever comes, the folder can be read and the run ends with the same bytes."""

import hashlib
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cifarnet.runs import Run


def words(command, config, *settings):
    return (*command, "--config", config, "--quiet", *(word for s in settings for word in ("--set", s)))


TRAIN = words(
    ("train", "--threads", "1"), "quick", "data={limit: 1000, validation: 1000}", "network.hidden=[20]",
    "training.schedule={n_s: 50, cycles: 4}",
)  # fmt: skip
SEARCH = words(
    ("search-lambda", "coarse"), "search", "data={source: synthetic, train: [1], validation: 1000, limit: 1000}",
    "search.coarse={n_s: 100, trials: 8}", "search.final={train: [1], validation: 1000, n_s: 10}",
)  # fmt: skip
SLOW = {"kind": "slow", "seconds": 0.01}  # stretches the writes, so that more of the kills fall into them
DIFFERING = ("run.json", "environment.json", "log.txt", "run.html")  # they tell when and how it ran
DEADLINE = 600  # seconds after which a test hangs


class Process:
    """A cifarnet command in a process of its own, in a runs folder, perhaps on a slow or broken disk."""

    def __init__(self, runs_dir, *arguments, faults=None, cwd=None, **environment):
        start = ["-m", "tests.faults", json.dumps(faults)] if faults else ["-m", "cifarnet"]
        env = {"CIFARNET_RUNS_DIR": str(runs_dir), "PYTHONPATH": str(Path(__file__).parent.parent)} | environment
        command = [sys.executable, *start, *arguments]
        self.process = subprocess.Popen(command, env=os.environ | env, cwd=cwd, text=True, stdout=-1, stderr=-1)

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
            time.sleep(0.005)


def rows(folder):
    tables = list(folder.glob("2*/metrics.csv"))
    return tables[0].read_text().count("\n") if tables else 0


def contents(folder):
    """The files of the one run in a folder that must be the same: a hash of each, by name."""
    (run,) = folder.glob("2*")
    files = [path for path in run.rglob("*") if path.is_file() and path.name not in DIFFERING]
    return {str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    """The files of a training that was never stopped."""
    folder = tmp_path_factory.mktemp("complete")
    Process(folder, *TRAIN).end(code=0)
    return contents(folder)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "runs"


def resume(folder, command="train", **options):
    return Process(folder, command, "--resume", "latest", "--quiet", **options)


def status(folder):
    return Run.find("latest", folder).status


def test_signals_and_kills_lose_nothing(complete, folder):
    """SIGTERM, SIGINT, and twice SIGKILL, each to what goes on after the one before: codes, statuses, bytes."""
    process = Process(folder, *TRAIN, faults=SLOW)
    process.until(lambda: rows(folder) > 2)
    assert "to go on: cifarnet train --resume" in process.end(signal.SIGTERM, code=143)
    assert status(folder) == "interrupted"
    process, seen = resume(folder, faults=SLOW), rows(folder)
    process.until(lambda: rows(folder) > seen)
    assert "to go on: cifarnet train --resume" in process.end(signal.SIGINT, code=130)
    assert status(folder) == "interrupted"
    for _ in range(2):
        process, seen = resume(folder, faults=SLOW), rows(folder)
        process.until(lambda seen=seen: rows(folder) > seen)
        assert status(folder) == "running"
        process.end(signal.SIGKILL)
        assert status(folder) == "stale"
    resume(folder).end(code=0)
    assert contents(folder) == complete


def test_a_second_signal_ends_a_run_at_once(folder):
    """The exit code is the signal's, nothing more was written, the folder can be read; before, nobody else got it."""
    process = Process(folder, *TRAIN, faults={"kind": "slow", "seconds": 0.3})
    process.until(lambda: rows(folder) > 1)
    assert "is running it" in resume(folder).end(code=1)
    process.end(signal.SIGINT, signal.SIGINT, pause=0.2, code=130)  # a checkpoint alone takes longer
    assert status(folder) == "stale"


def test_after_a_kill_before_the_page_is_written_resume_writes_it(complete, folder):
    """The run is completed by then; what was left of its page is removed."""
    Process(folder, *TRAIN).end(code=0)
    page = Run.find("latest", folder).path / "run.html"
    page.rename(page.with_name(".run.html.1-2.part"))
    resume(folder).end(code=0)
    assert page.read_text().rstrip().endswith("</html>")
    assert contents(folder) == complete


def test_a_file_size_limit_gives_a_clear_error(folder):
    """A write that the system truly refuses: one line, exit code 1, and it goes on later."""
    code = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (240_000,) * 2)\n"
    code += "from cifarnet.cli import main\nmain()"
    command = [sys.executable, "-c", code, *TRAIN, "--runs-dir", folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 1
    assert "npz: cannot be written: File too large; free some space" in done.stderr
    assert "Traceback" not in done.stderr
    assert status(folder) == "failed"


def test_place_language_and_time_zone_change_no_byte(complete, folder, tmp_path):
    """Another working directory, locale and time zone; HOME, MPLBACKEND and MPLCONFIGDIR of no use: the same bytes."""
    nonsense = dict.fromkeys(("HOME", "CIFARNET_DATA_DIR"), "/nowhere") | {"MPLCONFIGDIR": "/proc/nowhere"}
    nonsense |= dict.fromkeys(("MPLBACKEND", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "nonsense")
    nonsense |= {"LC_ALL": "de_DE.UTF-8", "LANG": "tr_TR", "TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "7"}
    (tmp_path / "elsewhere").mkdir()
    Process(folder, *TRAIN, cwd=tmp_path / "elsewhere", **nonsense).end(code=0)
    assert contents(folder) == complete


FORKED = """
import os, sys, time
from pathlib import Path
from cifarnet.config import Settings
from cifarnet.runs import Run
folder, settings, start = Path(sys.argv[1]), Settings(), int(time.time()) + 1.2
for _ in range(50):
    if not os.fork():
        time.sleep(max(0, start - time.time()))
        Run.create(folder, "train", settings, environment={})
        os._exit(0)
sys.exit(any([os.wait()[1] for _ in range(50)]))
"""


def test_fifty_runs_of_one_second_get_fifty_folders(folder):
    """Fifty processes begin a run at the same moment; whenever it is looked at, latest is one of them."""
    process = subprocess.Popen([sys.executable, "-c", FORKED, str(folder)])
    while process.poll() is None:
        if (folder / "latest").is_symlink():
            assert Run(folder / "latest").status in ("running", "stale")
    assert process.returncode == 0
    found = [path for path in folder.iterdir() if path.name != "latest"]
    assert len(found) == 50
    assert all((path / "run.json").is_file() for path in found)


def killed_at_random_moments(folder, command, kills, longest, faults):
    """Kill a command, resume it, kill that, and begin anew where one came to its end; yields the ends' folders."""
    moments = random.Random(5)
    for attempt in itertools.count():
        mine = folder / str(attempt)
        process = Process(mine, *command, faults=faults)
        while kills:
            process.until(lambda mine=mine: list(mine.glob("2*")))
            time.sleep(moments.uniform(0, longest))
            if process.process.poll() is not None:
                break
            process.end(signal.SIGKILL)
            kills -= 1
            assert status(mine) in ("stale", "completed")
            process = resume(mine, command[0], faults=faults)
        process.end(code=0)
        yield mine
        if not kills:
            break


disks = pytest.mark.parametrize("faults", [None, SLOW], ids=["disk", "slow disk"])


@pytest.mark.torture
@disks
def test_a_training_killed_at_25_random_moments(complete, folder, faults):
    """SIGKILL after a random time, resumed and killed again and again; each time the end has the same bytes."""
    for end in killed_at_random_moments(folder, TRAIN, 25, 4 if faults else 2.5, faults):
        assert contents(end) == complete


def found(folder):
    """What a search came to: its trials in order, without their seconds, and the files drawn and written from them."""
    (run,) = folder.glob("2*")
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in Run(run).read_rows("trials.csv")]
    files = ("best.yaml", "plan.json", "config.yaml", "figures/search.svg", "figures/search.png")
    return sorted(rows, key=lambda row: int(row["index"])), [(run / name).read_bytes() for name in files]


@pytest.mark.torture
@disks
def test_a_search_killed_at_25_random_moments(folder, faults):
    """SIGKILL after a random time, resumed and killed again and again; each time the same trials, best and figure."""
    Process(folder / "complete", *SEARCH).end(code=0)
    for end in killed_at_random_moments(folder, SEARCH, 25, 5, faults):
        assert found(end) == found(folder / "complete")
