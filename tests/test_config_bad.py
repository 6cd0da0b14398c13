"""Bad configs: every problem in one error, with file, line, key, value and cure, and never any other exception."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cifarnet.config import dump, load
from cifarnet.config.writer import plain
from cifarnet.errors import ConfigError
from cifarnet.nested import flat


@pytest.fixture(autouse=True, scope="module")
def _no_environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CIFARNET_SET", raising=False)
        yield


@pytest.fixture
def bad(tmp_path: Path) -> Callable[..., str]:
    """Writes a config, and returns the message of the error that it must raise."""

    def bad(content: str | bytes = "", *overrides: str, **flags: object) -> str:
        path = tmp_path / "bad.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return message(path, *overrides, **flags)

    return bad


def message(source: str | Path | None, *overrides: str, **flags: object) -> str:
    with pytest.raises(ConfigError) as caught:
        load(source, overrides, **flags)
    text = str(caught.value)
    assert all(line.isprintable() and len(line) < 400 for line in text.split("\n"))
    assert caught.value.exit_code == 2
    return text


def test_all_problems_at_once(bad: Callable[..., str]) -> None:
    """One line a problem, in the order of the file and then of what goes over it."""
    text = (
        "lable: x\n"
        "lambda: 1\n"
        "data: {train: [1, 7], normalize: standardise}\n"
        "network: {hidden: 50, init: {st: 1}}\n"
        "training:\n"
        "  lamda: 0.01\n"
        "  batch_size: 1.5\n"
        "  schedule:\n"
        "    n_s: 0\n"
        "    eta_min: 1\n"
        "    eta_max: .1\n"
        "evaluation: 4\n"
        "label: a\n"
        "label: b\n"
    )
    assert bad(text, "training.shuffle=yes", "seed", seed=-1).split("\n") == [
        'bad.yaml:1: lable = "x": unknown key; did you mean label?',
        "bad.yaml:2: lambda = 1: unknown key; did you mean training.lambda?",
        'bad.yaml:3: data.normalize = "standardise": must be standardize, centre or scale; did you mean standardize?',
        "bad.yaml:3: data.train = [1, 7]: must be all, or a list of batches 1 to 5, such as [1, 3]",
        "bad.yaml:4: network.hidden = 50: must be a list, in brackets",
        "bad.yaml:4: network.init.st = 1: unknown key; did you mean network.init.std?",
        "bad.yaml:4: network.init.std: is required",
        "bad.yaml:6: training.lamda = 0.01: unknown key; did you mean training.lambda?",
        "bad.yaml:7: training.batch_size = 1.5: must be a whole number",
        "bad.yaml:9: training.schedule.n_s = 0: must be a whole number of steps, at least 1, or text such as 2 epochs",
        "bad.yaml:10: training.schedule.eta_min = 1.0: must be at most eta_max, which is 0.1",
        "bad.yaml:12: evaluation = 4: must be a mapping of keys to values",
        "bad.yaml:14: label: given twice, on lines 13 and 14; remove one",
        '--set: "seed" is not KEY=VALUE, such as training.lambda=0.001',
        '--set: training.shuffle = "yes": must be true or false',
        "--seed: seed = -1: must be at least 0",
    ]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("training.lambda=-1", "training.lambda = -1: must be at least 0"),
        ("training.lambda=.nan", "training.lambda = NaN: must be a finite number"),
        ("training.lambda=1e999", "training.lambda = Infinity: must be a finite number"),
        ('training.lambda="1"', 'training.lambda = "1": must be a number'),
        ("training.lambda=true", "training.lambda = true: must be a number"),
        ("training.lambda=", "training.lambda = null: must be a number"),
        ("training.lam=1", "training.lam = 1: unknown key; did you mean training.lambda?"),
        ("training.Batch-Size=1", "training.Batch-Size = 1: unknown key; did you mean training.batch_size?"),
        ("eta_min=1", "eta_min = 1: unknown key; did you mean training.schedule.eta_min?"),
        ("zzz=1", "zzz = 1: unknown key; known here: label, seed, data, network, training, evaluation"),
        ("seed.x=1", 'seed = {"x": 1}: must be a whole number'),
        ("seed=9223372036854775808", "seed = 9223372036854775808: must be below 9223372036854775808"),
        ("training.schedule.eta_max=0", "training.schedule.eta_max = 0: must be above 0"),
        ("training.schedule.eta=1", "training.schedule.eta = 1: belongs to another kind than the one chosen here"),
        (
            "training.schedule.kind=cycle",
            "must be cyclic, linear, cosine, constant, step or exponential; did you mean cyclic?",
        ),
        (
            "training.schedule.kind=[1]",
            "training.schedule.kind = [1]: must be cyclic, linear, cosine, constant, step or exponential",
        ),
        ("training.schedule=x", 'training.schedule = "x": must be a mapping of keys to values'),
        ("training.schedule.n_s=0 epochs", 'n_s = "0 epochs": must be a whole number of steps, at least 1, or text'),
        ("network.init=normal", 'network.init = "normal": must be xavier, he, or a standard deviation such as'),
        ("network.init.std=0", "network.init.std = 0: must be above 0"),
        ("network.hidden=[10, 0]", "network.hidden[1] = 0: must be at least 1"),
        ("data.train=[]", "data.train = []: must be all, or a list of batches 1 to 5"),
        ("data.train=[1, 1]", "data.train = [1, 1]: must name every batch once"),
        ("data.validation=[1]", "data.validation = [1]: must not name batch 1, which trains; name another"),
        ("data.train=all", "data.validation = [2]: must not name batch 2, which trains"),
        ("data.validation=10000", "data.validation = 10000: must be below 10000, the images that there are"),
        ("data.validation=0", "must be a number of images to hold out, at least 1, or a list of batches 1 to 5"),
        ("data.limit=50", "training.batch_size = 100: must be at most 50, the number of training images"),
        ("training.batch_size=10001", "batch_size = 10001: must be at most 10000, the number of training images"),
        ("data.dims=3073", "data.dims = 3073: must be at most 3072"),
        ("label=a/b", 'label = "a/b": must be text of 1 to 64 letters, digits, dots, dashes and underscores'),
        ("label=../../etc", 'label = "../../etc": must be text of 1 to 64 letters'),
        ('label="a\\nb"', 'label = "a\\nb": must be text of 1 to 64 letters'),
        ('label="a\\x1b[2J"', 'label = "a\\u001b[2J": must be text of 1 to 64 letters'),
        (f"label={'a' * 300}", f'label = "{"a" * 56}...: must be text of 1 to 64 letters'),
        ("label=Försök", 'label = "Försök": must be text of 1 to 64 letters'),
        ("label=5", "label = 5: must be text of 1 to 64 letters"),
        ("label=\udc80", "label: a control character, which YAML does not take"),
        ("=1", '"=1" is not KEY=VALUE, such as training.lambda=0.001'),
        ("training..lambda=1", '"training..lambda=1" is not KEY=VALUE'),
        ("", '"" is not KEY=VALUE'),
        (".".join("a" * 10000) + "=1", '"a.a.a.'),
        ("seed=[1", "seed: not valid YAML: expected ',' or ']'"),
        ("seed=!!python/name:os.system", "seed: the tag !!python/name:os.system is not read; write a plain value"),
        ("seed=" + "[" * 5000, "seed: nested more than 20 deep"),
    ],
)
def test_messages(word: str, expected: str) -> None:
    """Each kind of mistake gets its own words."""
    text = message(None, word)
    assert text.startswith("--set: ")
    assert expected in text
    assert "\n" not in text


def test_a_key_spelled_like_an_alternative_is_a_key() -> None:
    """Names of kinds and types as keys do not lead the error to another key."""
    words = [
        "training.schedule={constant: 1, kind: constant, eta: 0, epochs: 1e3}",
        "network.init={Gaussian: 1, std: 0}",
    ]
    assert message(None, *words).split("\n") == [
        "--set: network.init.Gaussian = 1: unknown key; known here: std",
        "--set: network.init.std = 0: must be above 0",
        "--set: training.schedule.constant = 1: unknown key; known here: "
        "kind, n_s, cycles, eta_min, eta_max, cycle_growth, cycle_shrink, epochs, eta, every, factor",
        "--set: training.schedule.eta = 0: must be above 0",
    ]


def test_contradictions_are_told_together_with_the_rest(bad: Callable[..., str]) -> None:
    """Values that do not go together are reported beside single mistakes, unless one of them is itself in doubt."""
    text = "seed: x\ndata: {validation: 10_000}\ntraining: {schedule: {eta_min: 1, eta_max: nonsense}}\n"
    assert bad(text, "oops").split("\n") == [
        'bad.yaml:1: seed = "x": must be a whole number',
        "bad.yaml:2: data.validation = 10000: must be below 10000, the images that there are: "
        "none would be left to train on",
        'bad.yaml:3: training.schedule.eta_max = "nonsense": must be a number',
        '--set: "oops" is not KEY=VALUE, such as training.lambda=0.001',
    ]


def test_settings_made_in_python_are_held_to_the_same_rules() -> None:
    """Contradictions are errors of the model, not of the reader alone."""
    from cifarnet.config import Settings
    from cifarnet.config.settings import Data

    with pytest.raises(ValueError, match=r"training\.batch_size = 100: must be at most 50"):
        Settings(data=Data(limit=50))


def test_the_environment_goes_through_the_same_door(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nonsense in CIFARNET_SET is an error that names it."""
    monkeypatch.setenv("CIFARNET_SET", "training.lamda=1 nonsense")
    assert message(None).split("\n") == [
        'CIFARNET_SET: "nonsense" is not KEY=VALUE, such as training.lambda=0.001',
        "CIFARNET_SET: training.lamda = 1: unknown key; did you mean training.lambda?",
    ]
    monkeypatch.setenv("CIFARNET_SET", "'seed=1")
    assert message(None) == "CIFARNET_SET: No closing quotation; write KEY=VALUE words, quoted as in a shell"


def test_configs_that_are_not_there(tmp_path: Path) -> None:
    """A missing config gets the nearest name; names that no file system takes are missing too."""
    assert message("figure-33") == '"figure-33": no such config; did you mean figure-3?'
    assert "name a YAML file, or one of assignment-1, figure-3" in message(tmp_path)
    for name in ("x" * 5000, "a\0b", "a\nb", ""):
        assert "no such config" in message(name)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xff\xfes\0e\0e\0d\0", "bad.yaml: this is UTF-16; save it as UTF-8"),
        ("seed: 1".encode("utf-16-le"), "bad.yaml: this is binary, not text; a config is YAML in UTF-8"),
        (bytes(range(256)), "bad.yaml: this is binary, not text"),
        (b"seed: 1\nlabel: F\xf6rs\xf6k\n", "bad.yaml:2: byte 0xf6 is not UTF-8; save the file as UTF-8"),
        (b"seed: 1\nlabel: \x07\n", "bad.yaml:2: a control character, which YAML does not take"),
        (b"\x80\x04\x95", "bad.yaml:1: byte 0x80 is not UTF-8"),
        (b"seed: 1\n---\nseed: 2\n", "bad.yaml:2: a second document starts here; a config is one document"),
        (b"- 1\n- 2\n", "bad.yaml: [1, 2] is no config; write keys and values, such as seed: 1"),
        (b"seed 1", 'bad.yaml: "seed 1" is no config; write keys and values'),
        (
            b"seed: 1\n\tlabel: x\n",
            "bad.yaml:2: not valid YAML after seed: found character '\\t' that cannot start any token",
        ),
        (
            b"a: !!python/object/apply:os.system [ls]",
            "bad.yaml:1: a: the tag !!python/object/apply:os.system is not read",
        ),
        (b"a: &x [1]\nb: *x\n", "bad.yaml:2: b: the alias *x is not read; write the value out"),
        (b"<<: {seed: 1}", "bad.yaml:1: << = "),
        (b"? [a, b]\n: 1", "bad.yaml:1: a key must be a word, not a list, a mapping or an alias"),
        (b'label: "\\UFFFFFFFF"', "bad.yaml:1: not valid YAML after label: an impossible escape"),
        (b"%YAML " + b"9" * 5000 + b".1\n--- {}", "bad.yaml:1: not valid YAML: an impossible escape or directive"),
        (b'"a\\eb": 1', "bad.yaml:1: a\\x1bb = 1: unknown key"),
        (b"[" * 10_000, "bad.yaml:1: nested more than 20 deep; a config needs three levels"),
        (b"{a: " * 10_000, "bad.yaml:1: nested more than 20 deep"),
        (b"- " * 400_000, "bad.yaml:1: nested more than 20 deep"),
        (b"? " * 400_000, "bad.yaml:1: a key must be a word"),
        (b"\n".join(b"k%d: 1" % i for i in range(50_000)), "bad.yaml:1000: more than 1000 values"),
        (b"x\n" * 100_000, "is no config; write keys and values"),
        (b"label: " + b"x" * 900_000, "bad.yaml:1: label = "),
        (
            b"a: &a [x,x,x,x,x,x,x,x,x]\n"
            + b"".join(b"%c: &%c [%s]\n" % (i + 1, i + 1, b",".join([b"*%c" % i] * 9)) for i in range(97, 106)),
            "bad.yaml:2: b[0]: the alias *a is not read",
        ),
    ],
    ids=lambda value: repr(value[:12]) if isinstance(value, bytes) else "",
)
def test_hostile_files(bad: Callable[..., str], content: bytes, expected: str) -> None:
    """No encoding, tag, alias, depth or size gets past the reader or holds it up."""
    start = time.monotonic()
    assert expected in bad(content)
    assert time.monotonic() - start < 2


def test_a_file_of_100_mb_is_not_read(tmp_path: Path) -> None:
    """Of a file that is too large no more is read than shows it."""
    path = tmp_path / "bad.yaml"
    with path.open("wb") as file:
        file.truncate(100_000_000)
    start = time.monotonic()
    assert message(path) == "bad.yaml: larger than 1,000,000 bytes; a config is a few kilobytes"
    assert time.monotonic() - start < 0.5


KINDS = ["cyclic", "constant", "step", "exponential"]
JUNK = [
    "[[1]]",
    "{a: 1}",
    "-1",
    "-.5",
    "1e400",
    ".nan",
    '"\\0"',
    "!!python/name:os.x x",
    "*x",
    "[",
    "null",
    "1.5",
    "yes",
    "false",
    "'2'",
]
FINE = {
    "null": {"data.holdout_seed", "data.limit", "data.dims", "evaluation.per_cycle", "search"},
    "1.5": {"training.lambda", "training.schedule.eta", "training.schedule.eta_max", "network.init.std"},
    "yes": {"label"},
    "false": {"training.shuffle", "training.jitter.flip"},
    "'2'": {"label"},
}


def corpus() -> Iterator[tuple[str, int, str]]:
    """Configs with one mistake each: the text, the line of the mistake and the key that has it."""
    draw = random.Random(0)
    for kind in KINDS:
        whole = load(None, [f"training.schedule.kind={kind}", *(["network.init.std=1"] if kind == "step" else [])])
        lines = dump(whole).splitlines()
        places = [n for n, line in enumerate(lines) if not line.endswith(":")]
        for n, key in zip(places, flat(plain(whole)), strict=True):
            before, name, after = re.match(r"( *)(\w+)(: .*)", lines[n]).groups()  # type: ignore[union-attr]
            prefix = key.removesuffix(name)
            i = draw.randrange(len(name))
            for typo in {
                name + "s",
                name[:i] + name[i + 1 :] or "x",
                name[:i] + "_" + name[i:],
                name.upper(),
                f"'{name} '",
            }:
                if typo and prefix + typo not in flat(plain(whole)):
                    yield changed(lines, n, before + typo + after), n + 1, prefix + typo.strip("'").strip()
            yield changed(lines, n, lines[n] + "\n" + lines[n]), n + 2, key
            for junk in JUNK:
                if key not in FINE.get(junk, ()):
                    yield changed(lines, n, before + name + ": " + junk), n + 1, key


def changed(lines: list[str], n: int, line: str) -> str:
    return "\n".join([*lines[:n], line, *lines[n + 1 :]])


def test_a_corpus_of_mistakes(tmp_path: Path) -> None:
    """Over a thousand configs with one mistake each: the error names file, line and key of the mistake."""
    cases = list(corpus())
    assert len(cases) > 1000
    path = tmp_path / "bad.yaml"
    for text, line, key in cases:
        path.write_text(text)
        found = message(path)
        place = rf"bad\.yaml:{line}: {re.escape(key)}\b|bad\.yaml:\d+: not valid YAML after {re.escape(key)}:"
        assert re.search(place, found), (text, key, found)


yamlish = st.text(alphabet="abe:{}[],-!&*'\"\\%#?|> \n\t019._~", max_size=40)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.one_of(
        st.binary(max_size=60), yamlish.map(str.encode), st.text(max_size=40).map(lambda text: text.encode("utf-8"))
    )
)
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Whatever a file holds, it is settings or a ConfigError."""
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)
    try:
        load(path)
    except ConfigError as error:
        assert str(error).startswith("any.yaml")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(
            st.sampled_from([*flat(plain(load("assignment-1"))), "training", "data", "training.schedule", "x"]),
            yamlish,
        )
    )
)
def test_any_overrides(pairs: list[tuple[str, str]]) -> None:
    """Whatever --set says, it is settings or a ConfigError."""
    try:
        load("assignment-1", [f"{key}={value}" for key, value in pairs])
    except ConfigError as error:
        assert str(error).startswith(("--set", "assignment-1.yaml"))  # two keys may contradict each other
