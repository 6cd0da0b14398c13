"""Each mistake in a config is a clear line that names its place; none is an error of another kind."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cifarnet import config
from cifarnet.config import Settings, flatten, load, plain
from cifarnet.errors import ConfigError


def message(source, *overrides, **flags):
    """The message of the error that loading must raise: printable lines that fit a terminal."""
    with pytest.raises(ConfigError) as caught:
        load(source, overrides, **flags)
    text = str(caught.value)
    assert all(line.isprintable() and len(line) < 400 for line in text.split("\n"))
    assert caught.value.exit_code == 2
    return text


MISTAKES = """\
lable: x
lambda: 1
data: {train: [1, 7], normalize: standardise}
network: {hidden: x, init: {st: 1}}
training:
  lamda: 0.01
  batch_size: 1.5
  schedule:
    n_s: 0
    eta_min: 1
evaluation: 4
label: a
label: b
"""


def test_all_mistakes_are_reported_at_once_in_the_order_of_the_layers(write):
    assert message(write(MISTAKES), "training.shuffle=yes", "seed", seed=-1).split("\n") == [
        'some.yaml:1: lable = "x": unknown key; did you mean label?',
        "some.yaml:2: lambda = 1: unknown key; did you mean training.lambda?",
        'some.yaml:3: data.normalize = "standardise": must be standardize, centre or scale; did you mean standardize?',
        "some.yaml:3: data.train = [1, 7]: must be all, or a list of batches 1 to 5, such as [1, 3]",
        'some.yaml:4: network.hidden = "x": must be a list, in brackets',
        "some.yaml:4: network.init.st = 1: unknown key; did you mean network.init.std?",
        "some.yaml:4: network.init.std: is required",
        "some.yaml:6: training.lamda = 0.01: unknown key; did you mean training.lambda?",
        "some.yaml:7: training.batch_size = 1.5: must be a whole number",
        "some.yaml:9: training.schedule.n_s = 0: must be a whole number of steps, "
        "from 1 to 1e9, or text such as 2 epochs",
        "some.yaml:11: evaluation = 4: must be a mapping of keys to values",
        "some.yaml:13: label: given twice, on lines 12 and 13; remove one",
        '--set: "seed" is not KEY=VALUE, such as training.lambda=0.001',
        '--set: training.shuffle = "yes": must be true or false',
        "--seed: seed = -1: must be at least 0",
    ]


def test_contradictions_are_reported_once_every_value_is_right(write):
    text = "data: {validation: 10_000}\ntraining:\n  schedule: {eta_min: 1, eta_max: .5}\n"
    assert message(write(text), "seed=x") == '--set: seed = "x": must be a whole number'
    assert message(write(text), "=1") == '--set: "=1" is not KEY=VALUE, such as training.lambda=0.001'
    assert message(write(text), "network.hidden=[]", "training.dropout.hidden=.1").split("\n") == [
        "some.yaml:1: data.validation = 10000: must be below 10000, the images that there are: "
        "none would be left to train on",
        "some.yaml:3: training.schedule.eta_min = 1.0: must be at most eta_max, which is 0.5",
        "--set: training.dropout.hidden = 0.1: must be 0 without a hidden layer",
    ]
    for name in ("flip=true", "shift=1"):
        assert "must be off where data.dims leaves" in message(None, "data.dims=9", f"training.augmentation.{name}")
    with pytest.raises(ValidationError, match=r"training\.batch_size = 100: must be at most 50"):
        Settings(data=config.Data(limit=50))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("training.lambda=.nan", "training.lambda = NaN: must be a finite number"),
        ("training.lambda=1e999", "training.lambda = Infinity: must be a finite number"),
        ('training.lambda="1"', 'training.lambda = "1": must be a number'),
        ("training.lam=1", "training.lam = 1: unknown key; did you mean training.lambda?"),
        ("training.Batch-Size=1", "training.Batch-Size = 1: unknown key; did you mean training.batch_size?"),
        ("search.fine.trial=1", "search.fine.trial = 1: unknown key; did you mean search.fine.trials?"),
        ("zzz=1", "zzz = 1: unknown key; known here: label, seed, deviations, data, network, training, evaluation"),
        ("seed=9223372036854775808", "seed = 9223372036854775808: must be below 9223372036854775808"),
        ("training.schedule.eta=1", "training.schedule.eta = 1: the kind cyclic has no eta; it has cycle_growth,"),
        ("training.schedule.n_s=5; training.schedule.kind=constant", "the kind constant has no n_s; it has epochs"),
        ("training.schedule=cycle", "cyclic, linear, cosine, constant, step or exponential; did you mean cyclic?"),
        ("training.schedule.kind=[1]", "schedule.kind = [1]: must be cyclic, linear, cosine, constant, step or"),
        ("training.schedule.n_s=0 epochs", 'n_s = "0 epochs": must be a whole number of steps, from 1 to 1e9, or text'),
        ("network.init.std=[.1]", "network.init.std = [0.1]: must be 2, one for each layer"),
        ("search.over.training.lambda={}", "search.over.training.lambda = {}: must have one of log10, linear and"),
        ("search.over.training.lambda.log10=[2, 1]", "must have the lower end of its interval first"),
        ("training.schedule={cycle_growth: 2, cycles: 21}", "cycles = 21: must be at most 20 where cycles grow"),
        ("training.schedule.cycles=1.5; training.average=0.5", "cycles = 1.5: must be whole where cycles grow, or end"),
        ("training={loss: hinge, label_smoothing: .1}", "label_smoothing = 0.1: must be 0 with the hinge loss"),
        ("network.init=normal", 'network.init = "normal": must be xavier, he, or a standard deviation such as'),
        ("network.init.std=0", "network.init.std = 0: must be above 0"),
        ("network.hidden=[10, 0]", "network.hidden[1] = 0: must be at least 1"),
        ("data.train=[]", "data.train = []: must be all, or a list of batches 1 to 5"),
        ("data.train=[1, 1]", "data.train = [1, 1]: must name every batch once"),
        ("data.validation=[1]", "data.validation = [1]: must not name batch 1, which trains; name another"),
        ("data.validation=0", "must be a number of images to hold out, at least 1, or a list of batches 1 to 5"),
        ("data.limit=1", "training.batch_size = 100: must be at most 1, the number of training images"),
        ("search.over=5", "search.over = 5: must be keys with an axis each"),
        ("search.over.seed=5", "search.over.seed = 5: must be keys with an axis each"),
        ("search.over.training.lambda.log10=[1]", "search.over.training.lambda.log10 = [1]: must be two numbers"),
        ("search.over.seed={log10: [1, 2], x: 1}", "over.seed.x = 1: unknown key; known here: log10, linear, values"),
        ("data.train={a: 1}", 'data.train = {"a": 1}: must be all, or a list of batches 1 to 5'),
        ("search.fine.l_min=1", "search.fine.l_min = 1.0: must be given together with l_max, or neither of them"),
        ("search.coarse.l_min=1", "search.coarse.l_min = 1.0: must be at most l_max, which is -1"),
        *(
            (f"label={x}", "must be text of 1 to 64 letters")
            for x in ["a/b", "../../etc", '"a\\n"', "5", "Fö ö", "-a", "a\u202eb", "☀"]
        ),
        (f"label={'a' * 300}", f'label = "{"a" * 56}...: must be text of 1 to 64 letters'),
        ("deviations={l2_halved: true, l2_missing: true}", "l2_missing = true: must be false where"),
        ("deviations.one_statistic=true; data.normalize=scale", "must be false, as the inputs are not normalised"),
        ("deviations.same_order=true; training.shuffle=false", "must be false, as the images are not shuffled"),
        ("deviations.cycles_as_epochs=true; training.schedule.kind=cosine", "the schedule has no cycles"),
        ("seed=[1", "seed: cannot be read as YAML: expected ',' or ']'"),
        ("seed=!!python/name:os.system", "the tag !!python/name:os.system is not allowed; write a plain value"),
    ],
)
def test_each_kind_of_mistake_has_its_own_words(words, expected):
    text = message(None, *words.split("; "))
    assert text.startswith("--set: ")
    assert expected in text
    assert "\n" not in text


def test_mistakes_in_the_environment_name_it(monkeypatch):
    monkeypatch.setenv("CIFARNET_SET", "training.lamda=1 nonsense")
    assert message(None).split("\n") == [
        'CIFARNET_SET: "nonsense" is not KEY=VALUE, such as training.lambda=0.001',
        "CIFARNET_SET: training.lamda = 1: unknown key; did you mean training.lambda?",
    ]
    monkeypatch.setenv("CIFARNET_SET", "'seed=1")
    assert message(None) == "CIFARNET_SET: No closing quotation; write KEY=VALUE words, quoted as in a shell"


def test_a_config_that_is_not_there_gets_the_nearest_name(tmp_path):
    assert message("figure-33") == '"figure-33": no such config; did you mean figure-3?'
    assert "name a YAML file, or one of assignment-1, figure-3" in message(tmp_path)
    for name in ("x" * 5000, "a\0b", "a\nb", ""):
        assert "no such config" in message(name)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xff\xfes\0e\0e\0d\0", "1: byte 0xff is not UTF-8; save the file as UTF-8"),
        (b"seed: 1\nlabel: F\xf6rs\xf6k\n", "2: byte 0xf6 is not UTF-8; save the file as UTF-8"),
        (b"seed: 1\nlabel: \x07\n", "2: cannot be read as YAML: special characters are not allowed"),
        (b"seed: 1\n---\nseed: 2\n", "2: cannot be read as YAML: found another document"),
        (b"- 1\n- 2\n", " [1, 2] is no config; write keys and values, such as seed: 1"),
        (b"seed: 1\n\tlabel: x\n", "2: cannot be read as YAML: found character '\\t' that cannot start any token"),
        (b"a: [1\nb: 2\n", "2: cannot be read as YAML: expected ',' or ']', but got ':' while parsing a flow sequence"),
        (b"seed: 1\na: !!python/object/apply:os.system [ls]", "2: cannot be read as YAML: the tag !!python/"),
        (b"a: &x [1]\nb: *x\n", "1: cannot be read as YAML: anchors and aliases are not allowed; write the value out"),
        (b"<<: {seed: 1}", "1: << = "),
        (b"? [a, b]\n: 1", "1: cannot be read as YAML: a key must be a word, not a list or a mapping"),
        (b'label: "\\UFFFFFFFF"', "1: cannot be read as YAML: "),
        (b"seed: " + b"9" * 5000, "1: cannot be read as YAML: Exceeds the limit"),
        (b"[" * 1000, "1: cannot be read as YAML: maximum recursion depth exceeded"),
        (b'"a\\eb": 1', "1: a\\x1bb = 1: unknown key"),
    ],
)
def test_a_file_that_is_no_config_is_one_clear_line(write, content, expected):
    text = message(write(content))
    assert text.startswith(f"some.yaml:{expected}")
    assert "\n" not in text


@pytest.mark.parametrize("mistake", ["{}s: 1", "{}: [[1]]", "{}: !!python/name:os.x x", "{}: *x", "{0}: 1\n{1}{0}: 1"])
def test_a_mistake_in_any_key_is_named_by_file_line_and_key(write, mistake):
    for key in flatten(plain(load("figure-3"))):
        *parents, name = key.split(".")
        above, space = [f"{'  ' * depth}{parent}:" for depth, parent in enumerate(parents)], "  " * len(parents)
        text = "\n".join([*above, space + mistake.format(name, space)])
        place = rf"some\.yaml:{text.count(chr(10)) + 1}: ({re.escape(key)}s?\b|cannot be read as YAML: )"
        assert re.search(place, message(write(text))), text


yamlish = st.text(alphabet="abe:{}[],-!&*'\"\\%#?|> \n\t019._~", max_size=40)


@settings(max_examples=75)
@given(st.one_of(st.binary(max_size=60), yamlish.map(str.encode)))
def test_any_bytes_are_settings_or_a_config_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)
    try:
        load(path)
    except ConfigError as error:
        assert str(error).startswith("any.yaml")
