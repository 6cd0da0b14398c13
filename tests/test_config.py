"""What a config says and which layer wins, what is written reads back the same, and what a mistake is called."""

import json
import math
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cifarnet import config
from cifarnet.config import Settings, dump, flatten, load, override, plain, resolve
from cifarnet.config.document import parse_yaml
from cifarnet.config.keys import current_key
from cifarnet.config.schema import Training, as_label
from cifarnet.errors import ConfigError
from cifarnet.nn.losses import L2, CrossEntropy
from cifarnet.nn.optimizers import Momentum
from cifarnet.nn.schedules import Constant, Cyclic

CONFIGS = Path(__file__).parent.parent / "configs"


@pytest.fixture(autouse=True, scope="module")
def _no_environment():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CIFARNET_SET", raising=False)
        yield


@pytest.fixture
def write(tmp_path):
    """Writes a config."""

    def write(content, name="some.yaml"):
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path / name

    return write


def message(source, *overrides, **flags):
    """The message of the error that loading must raise: printable lines that fit a terminal."""
    with pytest.raises(ConfigError) as caught:
        load(source, overrides, **flags)
    text = str(caught.value)
    assert all(line.isprintable() and len(line) < 400 for line in text.split("\n"))
    assert caught.value.exit_code == 2
    return text


# --- YAML ---


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[("1e-5", 1e-5), ("1E-5", 1e-5), ("1.e-5", 1e-5), ("1.0e-05", 1e-5), ("1e3", 1e3), (".1", 0.1), ("-.5", -0.5)],
        *[("+.5e+1", 5.0), ("1.", 1.0), ("1_000", 1000), ("1_000.5", 1000.5), ("+1", 1), ("-0", 0), ("010", 10)],
        *[("0x1F", 31), ("0o17", 15), (".inf", math.inf), ("-.INF", -math.inf), ("true", True), ("False", False)],
        *[(".nan", math.nan), ("null", None), ("~", None), ("", None), ("'1'", "1"), ('"true"', "true")],
        ("a b", "a b"),
        *((text, text) for text in ["yes", "no", "on", "off", "y", "1__0", "_1", "1_", "1e", "e5", ".", "0b1", "1:30"]),
        *((text, text) for text in ["2001-01-01", "inf", "nan", "NaN", "0xG", "1,000", "tRUE"]),
    ],
)
def test_words_mean_what_yaml_1_2_says(text, value):
    found = parse_yaml(f"a: {text}").value["a"]
    assert found == value or (found != found and value != value)
    assert type(found) is type(value)


def test_a_document_knows_the_line_of_every_key(write):
    found = config.read_yaml(write("a: {b: 1, c: [2, {d: 3}]}\n\n# comment\ne:\n  f:\n  - g: 4\n"))
    assert found.value == {"a": {"b": 1, "c": [2, {"d": 3}]}, "e": {"f": [{"g": 4}]}}
    assert found.lines == {
        ("a",): 1, ("a", "b"): 1, ("a", "c"): 1, ("a", "c", 1, "d"): 1, ("e",): 4, ("e", "f"): 5, ("e", "f", 0, "g"): 6
    }  # fmt: skip
    assert found.problems == []


@pytest.mark.parametrize("text", ["", "\ufeff", "# nothing\n", "---\n...\n", "null", "{}"])
def test_an_empty_file_is_all_defaults(write, text):
    assert load(write(text)) == Settings(label="some")
    assert load() == Settings()


# --- layers ---


def test_whole_numbers_and_floats_mix_where_nothing_is_lost():
    words = ["training.batch_size=1e2", "training.schedule.n_s=500.0", "network.hidden=[5e1]", "data.train=[3.0]"]
    found = load(None, [*words, "seed=1e1", "training.lambda=1"])
    assert (found.training.batch_size, found.network.hidden, found.data.train) == (100, (50,), (3,))
    assert found.training.schedule == Cyclic(n_s=500)
    assert (repr(found.training.lam), repr(found.seed)) == ("1.0", "10")


def test_the_label_is_the_file_name_in_letters_of_any_script(write):
    names = {
        "my-run": "my-run",
        "my run (2)": "my-run--2-",
        "实验": "实验",
        "हिन्दी-1": "हिन्दी-1",
        "_.опыт": "опыт",
        "☀": "unnamed",
    }
    names |= {"fo\u0308rso\u0308k": "försök", "x" * 70: "x" * 64}  # as macOS writes it; as long as it may be
    for name, label in names.items():
        assert load(write("seed: 1", f"{name}.yaml")).label == label
    assert load(None, label="о\u0301пыт") == load(None, ["label=о\u0301пыт"])
    assert load(write("label: other", "my-run.yaml")).label == "other"
    assert load(write('label: "1e-5"')).label == "1e-5"


def test_a_flag_wins_over_set_that_over_the_environment_that_over_the_file(write, monkeypatch):
    path = write("seed: 1")
    assert load().seed == 42
    assert load(path).seed == load({"seed": 1}).seed == 1
    monkeypatch.setenv("CIFARNET_SET", "seed=2 'training.schedule.n_s=2 epochs'")
    assert load(path).seed == 2
    assert load(path).training.schedule == Cyclic(n_s="2 epochs")
    assert load(path, ["seed=3"]).seed == 3
    assert load(path, ["seed=3", "seed=4"]).seed == load(path, "seed=4").seed == 4
    assert load(path, ["seed=3"], seed=5, label=None).seed == 5
    assert load(path, seed=0).seed == 0
    assert config.load_saved(path).seed == 1  # what a run folder says has run, nothing changes


def test_every_value_says_where_it_comes_from(write, monkeypatch):
    monkeypatch.setenv("CIFARNET_SET", "data.limit=500")
    path = write("seed: 1\ntraining:\n  lambda: 0.1\n  schedule: {kind: cyclic, n_s: 3}\nnetwork:\n  hidden:\n  - 1\n")
    origins = resolve(path, ["training.lambda=0.2", "network={init: {std: 1}}"], label="x").origins
    assert {key: origin for key, origin in origins.items() if origin != "default"} == {
        "label": "--label",
        "seed": "some.yaml:1",
        "data.limit": "CIFARNET_SET",
        "network.hidden": "some.yaml:6",
        "network.init.std": "--set",
        "training.lambda": "--set",
        "training.schedule.kind": "some.yaml:4",
        "training.schedule.n_s": "some.yaml:4",
    }
    assert resolve(path).origins["label"] == "some.yaml"


def test_set_merges_mappings_and_replaces_everything_else():
    found = load("figure-3", ["training.schedule={n_s: 7}", "network={hidden: [3, 4]}", "network.init.std=0.1"])
    assert found.training.schedule == Cyclic(n_s=7)
    assert found.network.hidden == (3, 4)
    assert plain(found)["network"]["init"] == {"std": 0.1}
    assert load("assignment-1", ["network.init=he"]).network.init == "he"
    assert load("figure-4", ["training.schedule={}"]) == load("figure-4")


def test_a_mapping_that_is_loaded_stays_as_it_is():
    given = {"search": {}, "network": {"hidden": [3]}}
    load(given, ["search.coarse.trials=3", "network.hidden=[4]"])
    assert given == {"search": {}, "network": {"hidden": [3]}}


@pytest.mark.parametrize(
    "words",
    [
        ["training.schedule={kind: constant, eta: .05}"],
        ["training.schedule.kind=constant", "training.schedule.eta=.05"],
        ["training.schedule.eta=.05", "training.schedule.kind=constant"],
    ],
)
def test_a_new_kind_drops_what_lower_layers_say_of_the_old(words):
    schedule = load("figure-3", words).training.schedule
    assert schedule == Constant(kind="constant", eta=0.05)
    assert plain(load("figure-3", words))["training"]["schedule"] == {"kind": "constant", "eta": 0.05, "epochs": 40}


def test_a_new_kind_keeps_the_keys_that_it_has(write):
    path = write("training: {schedule: {kind: exponential, eta: .02, epochs: 7, factor: .5}}")
    schedule = plain(load(path, ["training.schedule.kind=constant"]))["training"]["schedule"]
    assert schedule == {"kind": "constant", "eta": 0.02, "epochs": 7}
    wrong = write("training: {schedule: {kind: constant, n_s: 5}}")
    assert "the kind constant has no n_s; it has epochs, eta" in message(wrong)
    same_layer = ["training.schedule.n_s=5", "training.schedule.kind=constant"]
    assert "the kind constant has no n_s; it has epochs, eta" in message(None, *same_layer)


def test_short_forms_mean_what_they_say(write):
    """A number is a list of one, a word is a kind; what the new kind has too is kept."""
    words = ["network.hidden=100", "training.optimizer=adam", "training.schedule=cosine"]
    found, origins = config.resolve("figure-4", words, {"--eta-max": "training.schedule.eta_max=0.2"})
    full = ["network.hidden=[100]", "training.optimizer.kind=adam", "training.schedule.kind=cosine"]
    assert found == config.load("figure-4", [*full, "training.schedule.eta_max=0.2"])
    assert (origins["training.schedule.kind"], origins["training.schedule.eta_max"]) == ("--set", "--eta-max")
    option = {"--schedule": "training.schedule=constant"}
    assert resolve(None, ["training.schedule.n_s=5"], option).settings.training.schedule == Constant(kind="constant")
    given = write("training: {optimizer: {kind: momentum, beta: 0.8}}")
    assert load(given, ["training.optimizer=nesterov"]).training.optimizer == Momentum(kind="nesterov", beta=0.8)
    written = write("{network: {hidden: 7}, training: {optimizer: adam, schedule: linear}}")
    assert config.load(written).network.hidden == (7,)
    assert config.load(written).training == Training.model_validate({"optimizer": "adam", "schedule": "linear"})
    assert 'training.schedule.kind = "cosin": must be' in message(None, "training.schedule=cosin")
    assert {"type": "string", "enum": ["sgd", "momentum", "nesterov", "adam"]} in (
        config.json_schema()["$defs"]["Training"]["properties"]["optimizer"]["anyOf"]
    )


def test_override_changes_settings_by_the_same_rules():
    base = load("figure-3")
    assert override(base, {"network.hidden": [5e1, 20], "training.schedule.kind": "cosine"}, "search") == load(
        "figure-3", ["network.hidden=[50, 20]", "training.schedule.kind=cosine"]
    )
    with pytest.raises(ConfigError, match=r"^search: training\.lambda = -1: must be at least 0$"):
        override(base, {"training.lambda": -1}, "search")


# --- keys of older versions ---


def test_jitter_is_read_as_augmentation(write):
    text = "training:\n  jitter: {flip: true}\nsearch: {over: {training.jitter.shift: {values: [1, 2]}}}\n"
    found = resolve(write(text), ["training.jitter.shift=2", "training.augmentation.noise=.1"])
    assert found.settings.training.augmentation.model_dump(exclude_defaults=True) == {
        "flip": True, "shift": 2, "noise": 0.1
    }  # fmt: skip
    assert list(found.settings.search.over) == ["training.augmentation.shift"]
    assert found.origins["training.augmentation.flip"] == "some.yaml:2"
    assert found.origins["training.augmentation.shift"] == "--set"
    assert "jitter" not in dump(found.settings)
    assert current_key("training.jitter.flip") == "training.augmentation.flip"


def test_halving_of_old_run_folders_is_left_out(write):
    for value in ("null", "2"):
        path = write(f"search: {{fine: {{halving: {value}, trials: 3}}}}")
        assert config.load_saved(path) == load(path)
        assert plain(load(path))["search"]["fine"] == plain(load(None, ["search.fine.trials=3"]))["search"]["fine"]


# --- what is written ---


@pytest.mark.parametrize("name", sorted(config.shipped()))
def test_shipped_configs_load_by_name_and_say_why_they_exist(name):
    assert load(name) == load(CONFIGS / f"{name}.yaml") == load(f"{name}.yaml")
    assert load(name).label == name
    modeline, reason = config.find(name).read_text(encoding="utf-8").splitlines()[:2]
    assert modeline == "# yaml-language-server: $schema=schema.json"
    assert re.match(r"# \w.{30,}", reason)


def test_shipped_configs_are_the_assignments_settings():
    fig3, fig4, one, overfit = (load(name) for name in ("figure-3", "figure-4", "assignment-1", "overfit"))
    assert fig3.training.schedule == Cyclic(n_s=500, cycles=1, eta_min=1e-5, eta_max=0.1)
    assert fig4.training.schedule == Cyclic(n_s=800, cycles=3, eta_min=1e-5, eta_max=0.1)
    for found, per_cycle in (fig3, 10), (fig4, 9):
        assert (found.evaluation.per_cycle, found.training.lam) == (per_cycle, 0.01)
        assert (found.data.train, found.data.validation, found.updates) == ((1,), (2,), 1000 if found is fig3 else 4800)
    assert (one.sizes, one.training.shuffle, one.data.normalize, one.training.lam) == ((3072, 10), False, "scale", 0)
    assert one.training.schedule == Constant(kind="constant", eta=0.01, epochs=40)
    assert (overfit.data.n_train, overfit.steps_per_epoch, overfit.training.lam) == (100, 1, 0)


def test_settings_count_images_and_name_their_loss():
    held_out = load(None, ["data={train: [1, 2], validation: 500}", "training={label_smoothing: .1, lambda: .2}"])
    assert (held_out.data.n_train, held_out.data.n_validation) == (19_500, 500)
    assert (held_out.training.loss_function, held_out.training.l2) == (CrossEntropy(0.1), L2(0.2))
    assert load(None, ["deviations.statistics_of_file=true"]).data.practice.basis == "file"
    batches = load(None, ["data={validation: [2, 3], limit: 20_000, dims: 7}", "network.hidden=[5, 4]"])
    assert (batches.data.n_train, batches.data.n_validation) == (10_000, 20_000)
    assert batches.sizes == (7, 5, 4, 10)
    assert load(None, ["data.limit=950"]).steps_per_epoch == 9


def test_what_is_just_right_is_no_mistake():
    for word in ("eta_min=.1", "eta_max=1e-5", "cycles=20"):
        load(None, [f"training.schedule.{word}", "training.schedule.cycle_growth=2", "network.init.std=[.1, .2]"])
    over = load(None, ["search.over.training.schedule.eta_max.linear=[2, 2]"]).search.over
    assert list(over) == ["training.schedule.eta_max"]


def test_a_file_here_wins_over_a_shipped_name_and_a_folder_does_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "figure-3").mkdir()
    assert load("figure-3").training.lam == 0.01
    (tmp_path / "figure-4").write_text("seed: 7")
    assert load("figure-4").seed == 7


def test_dump_is_complete_and_any_yaml_reader_reads_it_alike():
    text = dump(load("figure-3"))
    assert list(yaml.safe_load(text)) == ["label", "seed", "data", "network", "training", "evaluation", "search"]
    assert yaml.safe_load(text) == plain(load("figure-3"))
    for line in ("  lambda: 0.01", "    eta_min: 1.0e-05", "  hidden: [50]", "search: null"):
        assert f"\n{line}\n" in text


mapping, rates, counts = st.fixed_dictionaries, st.floats(1e-300, 1e300), st.integers(1, 10**6)
LOOKALIKES = ["1e-5", "yes", "null", "0o17", "0x1F", "1_000", "1.", "12", "2001-01-01", "true", "N", "1e3"]
labels = st.one_of(st.text(min_size=1).map(as_label).filter(bool), st.sampled_from(LOOKALIKES))
batches = mapping({"train": st.sampled_from([[1], [3, 4], "all"]), "validation": st.integers(1, 9900)})
deviations = mapping({"std": rates})
networks = mapping({"hidden": st.lists(st.integers(1, 1000)), "init": st.one_of(st.just("he"), deviations)})
cyclic = mapping({"n_s": st.one_of(counts, st.just("3 epochs")), "eta_min": st.floats(1e-30, 1e-3)})
decay = mapping({"kind": st.sampled_from(["step", "exponential"]), "eta": rates, "factor": st.floats(1e-9, 1)})
trainings = mapping({"lambda": st.floats(0, 1e300), "schedule": st.one_of(cyclic, decay)})
seeds = st.integers(0, 2**63 - 1)
trees = mapping({"label": labels, "seed": seeds, "data": batches, "network": networks, "training": trainings})


@settings(max_examples=15)
@given(trees)
def test_what_is_dumped_loads_equal_to_the_last_bit(tmp_path_factory, tree):
    found = load(tree)
    path = tmp_path_factory.getbasetemp() / "round.yaml"
    path.write_text(dump(found), encoding="utf-8")
    assert load(path) == found
    assert yaml.safe_load(dump(found)) == plain(found)


def test_the_schema_and_the_reference_in_configs_are_up_to_date():
    assert json.loads((CONFIGS / "schema.json").read_text("utf-8")) == config.json_schema(), "cifarnet config schema"
    assert (CONFIGS / "README.md").read_text("utf-8") == config.reference(), "cifarnet config reference"


def test_the_reference_has_every_key():
    known, text = config.keys(), config.reference()
    assert {"seed", "training.lambda", "training.schedule.factor", "search.fine.l_max"} <= set(known)
    assert set(flatten(plain(load("search")))) - {"network.init"} <= set(known) | {"search.over"}
    assert all(f"| `{key.rpartition('.')[2]}` |" in text for key in known if not key.endswith("kind"))
    assert "| `shift` | a whole number, at least 0, at most 16 | `0` | Move an image" in text


# --- mistakes ---

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
        ("training.lambda=-1", "training.lambda = -1: must be at least 0"),
        ("training.lambda=.nan", "training.lambda = NaN: must be a finite number"),
        ("training.lambda=1e999", "training.lambda = Infinity: must be a finite number"),
        ('training.lambda="1"', 'training.lambda = "1": must be a number'),
        ("training.lam=1", "training.lam = 1: unknown key; did you mean training.lambda?"),
        ("training.Batch-Size=1", "training.Batch-Size = 1: unknown key; did you mean training.batch_size?"),
        ("eta_min=1", "eta_min = 1: unknown key; did you mean training.schedule.eta_min?"),
        ("search.fine.trial=1", "search.fine.trial = 1: unknown key; did you mean search.fine.trials?"),
        ("zzz=1", "zzz = 1: unknown key; known here: label, seed, deviations, data, network, training, evaluation"),
        ("seed=9223372036854775808", "seed = 9223372036854775808: must be below 9223372036854775808"),
        ("training.schedule.eta=1", "training.schedule.eta = 1: the kind cyclic has no eta; it has cycle_growth,"),
        ("training.schedule.kind=cycle", "cyclic, linear, cosine, constant, step or exponential; did you mean cyclic?"),
        ("training.schedule.kind=[1]", "schedule.kind = [1]: must be cyclic, linear, cosine, constant, step or"),
        ("training.schedule=x", 'schedule.kind = "x": must be cyclic, linear, cosine, constant, step or'),
        ("training.schedule.n_s=0 epochs", 'n_s = "0 epochs": must be a whole number of steps, from 1 to 1e9, or text'),
        ("network.init.std=[.1]", "network.init.std = [0.1]: must be 2, one for each layer"),
        ("search.over.training.lambda={}", "search.over.training.lambda = {}: must have one of log10, linear and"),
        ("search.over.training.lambda.log10=[2, 1]", "must have the lower end of its interval first"),
        ("training.schedule={cycle_growth: 2, cycles: 21}", "cycles = 21: must be at most 20 where cycles grow"),
        ("training={loss: hinge, label_smoothing: .1}", "label_smoothing = 0.1: must be 0 with the hinge loss"),
        ("network.init=normal", 'network.init = "normal": must be xavier, he, or a standard deviation such as'),
        ("network.init.std=0", "network.init.std = 0: must be above 0"),
        ("network.hidden=[10, 0]", "network.hidden[1] = 0: must be at least 1"),
        ("data.train=[]", "data.train = []: must be all, or a list of batches 1 to 5"),
        ("data.train=[1, 1]", "data.train = [1, 1]: must name every batch once"),
        ("data.validation=[1]", "data.validation = [1]: must not name batch 1, which trains; name another"),
        ("data.validation=0", "must be a number of images to hold out, at least 1, or a list of batches 1 to 5"),
        ("data.limit=1", "training.batch_size = 100: must be at most 1, the number of training images"),
        ("search.over.seed={linear: [1, 2], values: [1]}", "must have one of log10, linear and values"),
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
        ("=1", '"=1" is not KEY=VALUE, such as training.lambda=0.001'),
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
        (b"seed 1", ' "seed 1" is no config; write keys and values'),
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
