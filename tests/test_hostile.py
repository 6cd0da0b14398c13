"""Run folders as somebody else left them, and names and variables with nonsense: one clear line each, and no harm."""

import importlib.util
import io
import json
import os
import random
import re
import time
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cifarnet import catalogue, experiment, model, resume, runs, search
from cifarnet.cli import main
from cifarnet.config import Settings
from cifarnet.errors import CifarnetError
from tests.conftest import Tiny


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A tiny training that was stopped, with a network in it, and the rows and plan of a search beside it."""
    rng = np.random.default_rng(7)
    images = experiment.Split(rng.standard_normal((60, 8)).astype(np.float32), np.arange(60) % 10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "draw", lambda *_: None)
        tiny = Tiny(images, tmp_path_factory.mktemp("good"))
        path = tiny.whole.path
        tiny.whole.update(status="interrupted")
        study = search.design(Settings(), "coarse", general=False)
        (path / "plan.json").write_text(json.dumps(study.plan()))
        (path / "trials.csv").write_text(
            "index,seed,lambda,best_validation_accuracy,validation_accuracy,validation_loss,seconds,status\n"
            "0,42,0.001,0.4,0.3,1.5,2.5,completed\n1,42,0.01,,,,0.5,diverged\n2,42,0.1,0.5,0.4,1.2,2.0,completed\n"
        )
        yield path, tiny


def read_checkpoint(path, tiny):
    state, todo = experiment.initial(tiny.settings), experiment.plan(tiny.settings)
    resume.checkpointed(path / runs.LATEST, state, todo, resume.identity(tiny.settings, tiny.dataset))


def read_run(path, tiny):
    entry = catalogue.Entry(path, runs.read(path))
    catalogue.select([entry], ["status=completed"])
    assert catalogue.columns([entry]) and entry.results is not None
    runs.folder.Run(path, runs.read(path))


def read_environment(path, tiny):
    known = runs.read_environment(path)
    runs.threads(known)
    runs.differences(known, {"numpy": "2", "blas": [{"num_threads": 2}]})
    catalogue.environment(path)
    list(resume.contradictions(tiny.whole, known, tiny.settings, tiny.dataset))


def read_search(path, tiny):
    info = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps(info | {"kind": "search"}))
    try:
        search.read(path).standings()
    finally:
        (path / "run.json").write_text(json.dumps(info, indent=2))


READERS = {
    "model.npz": lambda path, tiny: model.load(path, tiny.settings.sizes),
    "checkpoints/latest.npz": read_checkpoint,
    "metrics.csv": lambda path, tiny: runs.read_curves(path),
    "run.json": read_run,
    "environment.json": read_environment,
    "plan.json": read_search,
    "trials.csv": read_search,
}
JUNK = [
    None,
    True,
    -1,
    0,
    2**70,
    1e308,
    -0.5,
    "",
    "x",
    "x" * 5000,
    "\n\x1b[2J",
    "١",
    [],
    [[]],
    {},
    {"a": []},
    [{}],
    [None],
]
CHUNKS = [
    b"\0" * 8,
    b"\xff" * 8,
    b"\n",
    b",",
    b'"',
    b"{",
    b"[" * 3000,
    b"9" * 6000,
    b"PK\5\6",
    b"nan",
    b"1e999",
    b"-1,",
]


def damaged(content, rng, count):
    """A file's content cut at every length class, and with bytes changed, put in, left out and doubled at random."""
    for length in {*range(min(len(content), 60)), *(rng.randrange(len(content)) for _ in range(count))}:
        yield content[:length]
    for _ in range(count):
        a, b = sorted(rng.randrange(len(content)) for _ in range(2))
        yield content[:a] + bytes([content[a] ^ (1 << rng.randrange(8))]) + content[a + 1 :]
        yield content[:a] + rng.choice(CHUNKS) + content[a:]
        yield content[:a] + content[b:]
        yield content[:b] + content[a:]
        yield content[:a] + rng.randbytes(rng.randrange(1, 50)) + content[a + 20 :]


def other_json(content, rng):
    """Every value of a JSON object replaced by every kind of junk, and left out."""

    def replaced(value):
        if isinstance(value, dict):
            for key in value:
                yield {k: v for k, v in value.items() if k != key}
                yield from ({**value, key: inner} for inner in replaced(value[key]))
        if isinstance(value, list) and value:
            yield from ([inner, *value[1:]] for inner in replaced(value[0]))
        yield from JUNK

    cases = list(replaced(json.loads(content)))
    return [json.dumps(case).encode() for case in rng.sample(cases, min(250, len(cases)))]


def other_table(content, rng):
    """Cells of a table replaced by junk."""
    rows = [line.split(",") for line in content.decode().splitlines()]
    for _ in range(200):
        row = rng.randrange(len(rows))
        cell = rng.randrange(len(rows[row]))
        junk = rng.choice(
            ["", "x", "nan", "inf", "-1", "1e400", '"', "0x1", "1 2", "é", "2" * 400, "1e300", "2,3", "=1"]
        )
        changed = [list(r) for r in rows]
        changed[row][cell] = junk
        yield "".join(",".join(r) + "\n" for r in changed).encode()


def npz(compression=zipfile.ZIP_STORED, **members):
    """An .npz of arrays, or of the raw bytes of members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, value in members.items():
            raw = io.BytesIO()
            if not isinstance(value, bytes):
                np.save(raw, value, allow_pickle=True)
            file.writestr(f"{name}.npy", value if isinstance(value, bytes) else raw.getvalue())
    return buffer.getvalue()


def header(shape, descr="'<f4'"):
    """The bytes of an array file that promises more than it has."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + (len(text) + 1).to_bytes(2, "little") + text + b"\n" + bytes(64)


class Code:
    """Pickled, it would run a command when it is read."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return os.mkdir, (self.canary,)


def other_arrays(content, canary):
    """Each array of an .npz left out, and replaced by every kind of wrong one."""
    with np.load(io.BytesIO(content)) as file:
        arrays = dict(file)
    hostile = [
        np.array([Code(canary)], dtype=object), np.array(Code(canary)), np.array(np.nan), np.full(124, np.inf),
        np.zeros(0), np.zeros((2, 2), np.complex64), np.zeros(3, "m8[s]"), np.zeros(2, [("a", "f4"), ("b", "O")]),
        np.array("x" * 3000), np.array(["\n"] * 10), np.array(-5), np.array(2**62), np.full(124, 1e300),
        header((2_500_000_000,)), header((10**30,)), header((-2, -8)), header("()" * 900), header((16,), "'<U4'"),
        header((16,), "'O'"), header((16,), "[('a', '<f4', (10**9,))]"), header((16,), "'<f4' * 10**9"), b"",
    ]  # fmt: skip
    for name in arrays:
        yield npz(**{key: value for key, value in arrays.items() if key != name})
        yield from (npz(**arrays | {name: value}) for value in hostile)
    yield npz(zipfile.ZIP_DEFLATED, **arrays)
    yield npz(zipfile.ZIP_LZMA, **arrays)
    yield npz(**arrays, **{f"x{i}": np.zeros(1) for i in range(200)})


def cases(name, content, rng, canary):
    yield from damaged(content, rng, 20 if READERS[name] is read_search else 60)
    if name.endswith(".json"):
        yield from other_json(content, rng)
    if name.endswith(".csv"):
        yield from other_table(content, rng)
    if name.endswith(".npz"):
        yield from other_arrays(content, canary)


@pytest.mark.parametrize("name", READERS)
def test_a_damaged_or_hostile_file_is_read_as_it_is_or_refused(good, tally, tmp_path, name):
    """Hundreds of each: one line that names the file and the cure, exit code 1 or 2; no code runs."""
    path, tiny = good
    canary = tmp_path / "code ran"
    before = (path / name).read_bytes()
    refused = 0
    try:
        for content in cases(name, before, random.Random(name), str(canary)):
            (path / name).write_bytes(content)
            tally["hostile run files read"] += 1
            try:
                READERS[name](path, tiny)
            except CifarnetError as error:
                refused += 1
                message = str(error)
                assert message.isprintable() and len(message) < 700, message
                assert str(path) in message and "; " in message, message
                assert error.exit_code in (1, 2)
    finally:
        (path / name).write_bytes(before)
    tally["hostile run files refused, with file and cure"] += refused
    assert refused > 100
    assert not canary.exists()


BOMBS = (  # small files, or files of a few megabytes, that would take gigabytes or minutes
    lambda: ("model.npz", npz(zipfile.ZIP_DEFLATED, theta=header((250_000_000,)) + bytes(100_000_000))),
    lambda: ("model.npz", npz(theta=header((2_500_000_000,)), sizes=b"", mean=b"", std=b"", classes=b"")),
    lambda: ("model.npz", npz(**{f"a{i}": b"" for i in range(20_000)})),
    lambda: ("model.npz", npz()[:-22] + b"PK\6\7" + bytes(16) + npz()[-22:]),
    lambda: ("run.json", b"[" * 1_900_000),
    lambda: ("run.json", b'{"a":' * 380_000),
    lambda: ("run.json", b"[" + b"{}," * 600_000 + b"{}]"),
    lambda: ("run.json", b'{"status": ' + b"9" * 1_900_000 + b"}"),
    lambda: ("run.json", bytes(50_000_000)),
    lambda: ("environment.json", b'{"blas": [' + b"[]," * 600_000 + b"[]]}"),
    lambda: ("metrics.csv", b"step\n" + b"1\n" * 9_000_000),
    lambda: ("metrics.csv", b"step\n" + b"," * 19_000_000 + b"\n"),
    lambda: ("metrics.csv", b'"' + b"1\n" * 9_000_000),
    lambda: ("trials.csv", b"\n" * 19_000_000),
    lambda: ("trials.csv", b"a\n" + b"1\n" * 490_000),
)


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_are_refused_within_2_seconds_and_200_mb(good, bomb):
    """What is read is bounded by what is plausible, before it is believed."""
    path, tiny = good
    name, content = bomb()
    before = (path / name).read_bytes()
    (path / name).write_bytes(content)
    del content
    tracemalloc.start()
    try:
        began = time.process_time()
        with pytest.raises(CifarnetError, match=re.escape(name.rpartition("/")[2])):
            READERS[name](path, tiny)
        assert time.process_time() - began < 2  # tracemalloc makes it slower
        assert tracemalloc.get_traced_memory()[1] < 200e6
    finally:
        tracemalloc.stop()
        (path / name).write_bytes(before)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "loop", "nothing"])
def test_what_is_no_file_is_not_waited_for(good, name, kind):
    """A pipe that nobody writes, an endless device, a folder, a link to itself, nothing: an error, at once."""
    if kind == "nothing" and name == "trials.csv":
        pytest.skip("a search without finished trials has none")
    path, _ = good
    target, kept = path / name, path / "kept"
    target.rename(kept)
    try:
        make = {
            "pipe": lambda: os.mkfifo(target),
            "device": lambda: target.symlink_to("/dev/zero"),
            "folder": target.mkdir,
            "loop": lambda: target.symlink_to(target),
            "nothing": lambda: None,
        }
        make[kind]()
        with pytest.raises((CifarnetError, FileNotFoundError) if name == "run.json" else CifarnetError, match=name):
            (runs.read if name == "run.json" else READERS[name])(*((path,) if name == "run.json" else good))
    finally:
        if kind == "folder":
            target.rmdir()
        elif kind != "nothing":
            target.unlink()
        kept.rename(target)


def test_links_that_lead_out_of_a_run_folder_are_not_followed(tiny, tmp_path):
    """figures, checkpoints, log.txt, metrics.csv and parts as links to elsewhere: nothing there is changed."""
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in ("log.txt", "metrics.csv", ".x.part"):
        (outside / name).write_text("mine")
    run = tiny.begin()
    tiny.train(run, 10)
    for name in ("log.txt", "metrics.csv"):
        (run.path / name).unlink()
        (run.path / name).symlink_to(outside / name)
    (run.path / "figures").symlink_to(outside)
    with pytest.raises(CifarnetError, match="remove it"):
        runs.Run(run.path).write("figures/x.png", b"")
    with pytest.raises(CifarnetError, match=r"log\.txt: .*a link stands where a file belongs; remove it"):
        runs.Run(run.path).log("x")
    tiny.go_on(run.path)
    assert {path.name: path.read_text() for path in outside.iterdir()} == dict.fromkeys(
        ("log.txt", "metrics.csv", ".x.part"), "mine"
    )


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.text(max_size=400)
    | st.sampled_from(["../x", "/", ".", "..", "a\nb", "\x1b[2J", "x" * 300, "a\0b", "\ud800"])
)
def test_any_name_of_a_run_is_found_or_refused(tmp_path, tally, name):
    """Separators, newlines, control characters, 300 characters, surrogates: one line."""
    tally["names of runs asked for"] += 1
    with pytest.raises(CifarnetError) as caught:
        runs.find(name, tmp_path)
    assert str(caught.value).isprintable()


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """Call the command line in this process: exit code and standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("signal.signal", lambda *_: None)

    def call(*arguments):
        monkeypatch.setattr("sys.argv", ["cifarnet", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        return caught.value.code, capsys.readouterr().err

    return call


QUICK = ("train", "--config", "quick", "--quiet")


@pytest.mark.parametrize(
    "label", ["a/b", "../x", "..", ".", "", "a\nb", "\x1b[2J", "x" * 300, "a b", "é", "-x", "a\\b", "C:x"]
)
def test_labels_are_names(command, tmp_path, label):
    """Path separators, newlines, control characters, 300 characters: exit code 2, one error, no folder."""
    code, err = command(*QUICK, f"--label={label}")
    assert code == 2
    assert "label" in err and "must be text of 1 to 64 letters" in err and "Traceback" not in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("variable", "value", "code", "said"),
    [
        (
            "CIFARNET_RUNS_DIR",
            "/dev/null/x",
            1,
            "/dev/null/x: no run folder can be made: Not a directory; choose another",
        ),
        ("CIFARNET_RUNS_DIR", "/proc/x", 1, "/proc/x: no run folder can be made"),
        ("CIFARNET_RUNS_DIR", "x" * 300, 1, "File name too long"),
        ("CIFARNET_SET", "nonsense", 2, 'CIFARNET_SET: "nonsense" is not KEY=VALUE'),
        ("CIFARNET_SET", "'", 2, "CIFARNET_SET: No closing quotation"),
        ("CIFARNET_SET", "seed=\x1b[2J", 2, "CIFARNET_SET"),
        ("CIFARNET_DATA_DIR", "/nowhere", 1, "/nowhere, which CIFARNET_DATA_DIR names, does not exist"),
        ("CIFARNET_DATA_DIR", "x" * 5000, 1, "which CIFARNET_DATA_DIR names"),
        ("CIFARNET_DATA_DIR", "a\nb\x1b", 1, "which CIFARNET_DATA_DIR names"),
    ],
)
def test_environment_variables_with_nonsense(command, monkeypatch, variable, value, code, said):
    """The variable and its value are named, with the cure."""
    monkeypatch.setenv(variable, value)
    real = ("--set", "data.source=cifar10") if variable == "CIFARNET_DATA_DIR" else ("--set", "data.limit=100")
    found, err = command(*QUICK, *real)
    lines = [line for line in err.splitlines() if "SYNTHETIC" not in line]
    assert (found, len(lines)) == (code, 1), err
    assert said in err and lines[0].isprintable()


@pytest.mark.parametrize(
    "arguments",
    [("train", "--resume", "x"), ("train", "--resume", "x", "--seed", "1"), ("runs", "show", "x"), ("evaluate", "x")],
)
def test_what_is_no_run_is_a_usage_or_run_error(command, arguments):
    """Exit code 1, or 2 for options that do not go together; the name asked for, or the option, in one line."""
    code, err = command(*arguments)
    assert (code, "--resume goes with no" in err) == ((2, True) if "--seed" in arguments else (1, False))
    assert "x: 0 runs in" in err or "--resume" in err


def test_the_fuzz_targets_fit_the_readers():
    """Each target of tests/fuzz reads an input or refuses it as it should."""
    place = Path(__file__).parent / "fuzz" / "fuzz.py"
    spec = importlib.util.spec_from_file_location("fuzz", place)
    fuzz = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fuzz)
    for read in fuzz.TARGETS.values():
        for content in (b"", b"\0{}", b"\1x: 1", b"\2step\n1\n", b"\3PK"):
            fuzz.checked(read, content)
