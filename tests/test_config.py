"""What a config says and which layer wins, and what is written reads back the same."""

import json
import math
import re

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cifarnet import config
from cifarnet.config import Settings, dump, flatten, load, override, plain, resolve
from cifarnet.config.document import parse_yaml
from cifarnet.config.keys import current_key
from cifarnet.config.schema import Training, as_label
from cifarnet.errors import ConfigError
from cifarnet.nn.losses import L2, CrossEntropy
from cifarnet.nn.optimizers import Momentum
from cifarnet.nn.schedules import Constant, Cyclic
from tests.common import ROOT

CONFIGS = ROOT / "configs"


# YAML


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


# Layers


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


def test_what_is_searched_is_replaced_where_it_is_set_as_a_mapping():
    """Set key by key, an axis is added."""
    word, own = "search.over={training.lambda: {values: [1, 2]}}", set(load("width").search.over)
    assert set(load("width", [word]).search.over) == {"training.lambda"} < own | {"training.lambda"}
    assert set(load("width", [word, "search.over.seed.values=[1]"]).search.over) == {"training.lambda", "seed"}
    assert set(load("width", ["search.over.seed.values=[1]"]).search.over) == {*own, "seed"}
    assert load("width", ["search.over={}"]).search.over == {}


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


def test_a_file_here_wins_over_a_shipped_name_and_a_folder_does_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "figure-3").mkdir()
    assert load("figure-3").training.lam == 0.01
    (tmp_path / "figure-4").write_text("seed: 7")
    assert load("figure-4").seed == 7


def test_settings_count_images_and_name_their_loss():
    held_out = load(None, ["data={train: [1, 2], validation: 500}", "training={label_smoothing: .1, lambda: .2}"])
    assert (held_out.data.n_train, held_out.data.n_validation) == (19_500, 500)
    assert (held_out.training.loss_function, held_out.training.l2) == (CrossEntropy(0.1), L2(0.2))
    assert load(None, ["deviations.statistics_of_file=true"]).data.practice.basis == "file"
    batches = load(None, ["data={validation: [2, 3], limit: 20_000, dims: 7}", "network.hidden=[5, 4]"])
    assert (batches.data.n_train, batches.data.n_validation) == (10_000, 20_000)
    assert batches.sizes == (7, 5, 4, 10)
    assert load(None, ["data.limit=950"]).steps_per_epoch == 9


def test_values_at_their_limits_are_accepted():
    for word in ("eta_min=.1", "eta_max=1e-5", "cycles=20"):
        load(None, [f"training.schedule.{word}", "training.schedule.cycle_growth=2", "network.init.std=[.1, .2]"])
    over = load(None, ["search.over.training.schedule.eta_max.linear=[2, 2]"]).search.over
    assert list(over) == ["training.schedule.eta_max"]


def test_keys_of_earlier_versions_are_read(write):
    """Jitter is augmentation now; search.coarse.halving is gone, but null and what old folders have load."""
    text = "training:\n  jitter: {flip: true}\nsearch: {over: {training.jitter.shift: {values: [1, 2]}}}\n"
    found = resolve(write(text), ["training.jitter.shift=2", "training.augmentation.noise=.1"])
    augmentation = found.settings.training.augmentation
    assert (augmentation.flip, augmentation.shift, augmentation.noise) == (True, 2, 0.1)
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


# What is written


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


def test_a_dump_has_the_sections_in_their_order_and_short_values():
    text = dump(load("figure-3"))
    assert list(yaml.safe_load(text)) == ["label", "seed", "data", "network", "training", "evaluation", "search"]
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
