"""What is promised of all rooms together: any name, any damage, any environment, threads, forks, no network."""

import asyncio
import json

import click
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import cifarnet
from cifarnet import config, data
from cifarnet.errors import CifarnetError, Diverged
from cifarnet.experiments.train import restore
from cifarnet.runs import catalog
from cifarnet.training import State, train
from tests.common import commands, contents, python

QUICK = ["data={limit: 500, validation: 1000, dims: 100}", "network.hidden=[20]"]
QUICK += ["training.schedule={n_s: 10, cycles: 2}"]
SET = [word for change in QUICK for word in ("--set", change)]


def quick(folder):
    return cifarnet.train("quick", QUICK, runs_dir=folder, threads=2, formats=("svg",))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A completed training of 40 updates, alone in its folder of runs."""
    return quick(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def images(run):
    return data.load(run.settings.data)


def refused(read):
    """Whether what reads something raises an error, which then is one of ours, in printable lines."""
    try:
        read()
    except CifarnetError as error:
        assert error.exit_code in (1, 2) and all(line.isprintable() for line in str(error).split("\n")), str(error)
        return True
    return False


@given(st.text(max_size=400))
@example("\ud800\0" * 300)
@example("x" * 300)
@example("a\nb\x1b[2J")
@example("..")
@example("~0")
def test_any_text_is_the_name_of_a_run_or_refused(run, name):
    assert refused(lambda: cifarnet.load(name, run.path.parent)) or run.path.name.startswith(name) or "/" in name


FILES = ["run.json", "environment.json", "config.yaml", "metrics.csv", "model.npz", "checkpoints/latest.npz"]
DAMAGES = [  # of a file's bytes, at two places
    lambda good, a, b: good[:a],
    lambda good, a, b: good[:a] + bytes([good[a] ^ 1 << b % 8]) + good[a + 1 :],
    lambda good, a, b: good[:a] + good[b:],
    lambda good, a, b: good[:b] + good[a:],
    lambda good, a, b: good[:a] + b'"\n\xff[{-' + good[a:],
]


@given(st.sampled_from(FILES), st.floats(0, 1), st.floats(0, 1), st.sampled_from(DAMAGES))
def test_a_damaged_file_is_read_or_refused(run, images, name, start, end, damage):
    """Whatever is done to a file of a run, who reads it gets what is there or one clear error."""
    path = run.path / name
    good = path.read_bytes()
    a, b = sorted(int(place * (len(good) - 1)) for place in (start, end))
    try:
        path.write_bytes(damage(good, a, b))
        again = cifarnet.load(run.path)
        for read in (lambda: again.values, lambda: again.records, lambda: again.model):
            refused(read)
        refused(lambda: restore(State.initial(run.settings), again, run.settings, images))
        assert len(catalog.list_runs(run.path.parent)) == 1
    finally:
        path.write_bytes(good)


def test_the_environment_changes_no_byte(run, tmp_path):
    """Another folder, locale, time zone and encoding; homes, backends, threads and styles of no use."""
    nonsense = dict.fromkeys(("HOME", "CIFARNET_DATA_DIR"), "/nowhere") | {"MPLCONFIGDIR": "/proc/nowhere"}
    nonsense |= dict.fromkeys(("MPLBACKEND", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "nonsense")
    nonsense |= {"LC_ALL": "de_DE.UTF-8", "TZ": "Pacific/Kiritimati", "PYTHONIOENCODING": "cp1252"}
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nfont.size: 30\nsavefig.dpi: 20\n")
    nonsense |= {"MATPLOTLIBRC": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    words = ("-m", "cifarnet", "train", "quick", *SET, "--threads", "2", "--format", "svg", "--quiet")
    python(*words, cwd=tmp_path, **nonsense)
    assert contents(cifarnet.load("latest", tmp_path / "runs").path) == contents(run.path)


@pytest.mark.slow
def test_a_child_trains_and_leaves_the_training_of_its_parent_alone(tmp_path):
    """A fork between two updates has none of its parent's threads, and needs none; it ends, and the parent goes on."""
    code = f"""
import os, sys, cifarnet
chosen = dict(source="quick", overrides={QUICK}, threads=2, formats=["svg"])
training = cifarnet.start(**chosen)
records = iter(training)
next(records), next(records)
if not (child := os.fork()):
    sys.exit(cifarnet.train(**chosen).results["updates"])
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), cifarnet.load(training.run.path).status)
for record in records:
    pass
first, second = cifarnet.load(training.run.path), cifarnet.load("latest")
print(first.status, first.path == second.path, first.model.theta.tobytes() == second.model.theta.tobytes())
"""
    out, err = python("-c", code, cwd=tmp_path)
    assert (out.split(), err) == (["40", "running", "completed", "False", "True"], "")


def test_trainings_in_asyncio_have_the_bytes_of_one_alone(run, tmp_path):
    async def together():
        return await asyncio.gather(*(asyncio.to_thread(quick, tmp_path) for _ in range(3)))

    assert [contents(other.path) for other in asyncio.run(together())] == [contents(run.path)] * 3


STAGES = ["--set", "search.coarse={trials: 2, n_s: 1, cycles: 1}", "--set", "search.final={validation: 1000, n_s: 1}"]
CALLS = {  # every command but data download: how it does its work, or comes to its end without what is not here
    "train": ["quick", *SET, "--format", "svg"], "evaluate": ["latest"], "predict": ["latest", "nothing.png"],
    "find-eta": ["quick", *SET], "gradcheck": ["quick", *SET, "--samples", "2"], "export": ["latest", "--to", "csv"],
    "search-lambda": ["coarse", "quick", *SET, *STAGES], "reproduce-report": ["--dry-run"], "completion": ["bash"],
    "search": ["coarse", "quick", *SET, *STAGES, "--set", "search.over={training.lambda: {log10: [-4, -2]}}"],
    "report": ["latest"], "runs list": [], "runs show": ["latest"], "runs compare": ["runs/2*"], "runs page": [],
    "runs draw": ["latest", "--format", "svg"], "runs note": ["latest", "a note"], "runs rm": ["latest", "--yes"],
    "data info": [], "data verify": [], "config show": [], "config schema": [], "config reference": [],
    "diagnose": ["--resume", "nothing"],
}  # fmt: skip
HOOK = """
import glob, json, os, sys
def refuse(event, arguments):
    if event.startswith("socket.") and event != "socket.gethostname":
        print(sys.argv[1:], "opened a socket:", event, arguments, file=sys.stderr, flush=True)
        os._exit(1)
sys.addaudithook(refuse)
from cifarnet.cli import main
for words in json.loads(sys.argv.pop()):
    sys.argv[1:] = [name for word in words for name in (glob.glob(word) if "/" in word else [word])]
    try:
        main()
    except SystemExit as end:
        print("ended", int(end.code or 0), file=sys.stderr)
"""


@pytest.mark.slow
def test_no_command_but_download_opens_a_socket(tmp_path):
    """One after the other in a process whose every socket call ends it."""
    every = {name.partition(" ")[2] for name, command in commands() if not isinstance(command, click.Group)}
    assert every == {*CALLS, "data download"}
    calls = json.dumps([[*name.split(), *words] for name, words in CALLS.items()])
    _, err = python("-c", HOOK, calls, cwd=tmp_path, CIFARNET_DATA_DIR="", XDG_CACHE_HOME=str(tmp_path))
    codes = [line.split()[1] for line in err.splitlines() if line.startswith("ended ")]
    failing = ("predict", "diagnose", "data info", "data verify")  # there is no picture, no such run and no CIFAR-10
    assert dict(zip(CALLS, codes, strict=True)) == {name: str(int(name in failing)) for name in CALLS}, err


@pytest.mark.parametrize(
    ("key", "value"),
    [("training.batch_size", 1), ("training.batch_size", 60), ("training.lambda", 0)]
    + [("network.hidden", nodes) for nodes in ([1], [1, 1], [20_000])],
)
def test_the_edges_of_the_settings_train(tiny, dataset, key, value):
    """Every score and parameter is finite, and the cost falls."""
    chosen = config.override(tiny, {key: value}, "test")
    state = State.initial(chosen)
    records = [record for record in train(state, dataset, chosen) if record.validation]
    assert np.isfinite([state.theta.sum(), *(score for r in records for score in (*r.train, *r.validation))]).all()
    assert records[-1].train.cost < records[0].train.cost


@pytest.mark.parametrize("poison", [np.nan, np.inf, 1e38])
def test_what_is_not_finite_is_caught_by_the_next_measurement(tiny, dataset, poison):
    state = State.initial(tiny)
    with pytest.raises(Diverged, match=r"after \d+ updates at eta"):
        for record in train(state, dataset, tiny):
            if record.step == 5:
                state.theta[:] = poison
    assert state.step <= 10  # measured after 5 and 10
