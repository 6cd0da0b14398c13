"""The config room: what is read, in which order of precedence, and that what is written reads back the same."""

from __future__ import annotations

import json
import math
import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cifarnet.cli.config import config
from cifarnet.config import Settings, dump, find, load, plain, resolve, saved, schema, shipped
from cifarnet.config.document import scalar
from cifarnet.config.settings import LABEL, Cyclic

CONFIGS = Path(__file__).parent.parent / "configs"


@pytest.fixture(autouse=True, scope="module")
def _no_environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CIFARNET_SET", raising=False)
        yield


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(text: str, name: str = "some.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5),
        ("1E-5", 1e-5),
        ("1.e-5", 1e-5),
        ("1.0e-05", 1e-5),
        ("1e5", 1e5),
        (".1", 0.1),
        ("-.5", -0.5),
        ("+.5e+1", 5.0),
        ("1.", 1.0),
        ("1_000", 1000),
        ("1_000.5", 1000.5),
        ("+1", 1),
        ("-0", 0),
        ("010", 10),
        ("0x1F", 31),
        ("0o17", 15),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        *((text, text) for text in ["yes", "no", "on", "off", "y", "1__0", "_1", "1_", "1e", "e5", ".", "-", "0b1"]),
        *((text, text) for text in ["1:30", "2001-01-01", "inf", "nan", "NaN", "0xG", "1,000", "tRUE", "9" * 5000]),
    ],
)
def test_words_mean_what_yaml_1_2_says(text: str, value: Any) -> None:
    """Unquoted words follow YAML 1.2's core schema, with underscores between digits."""
    found = scalar(text)
    assert found == value
    assert type(found) is type(value)


def test_nan_is_a_word_of_yaml() -> None:
    """.nan is the float that equals nothing."""
    assert math.isnan(scalar(".nan"))


def test_quoted_numbers_are_text(write: Callable[..., Path]) -> None:
    """Quotes make text of anything, so a label may look like a number."""
    assert load(write('label: "1e-5"')).label == "1e-5"


def test_defaults() -> None:
    """No source, or an empty file, is all defaults."""
    assert load() == Settings()


@pytest.mark.parametrize("text", ["", "\ufeff", "# nothing\n", "---\n...\n", "null", "{}"])
def test_an_empty_file_is_all_defaults(write: Callable[..., Path], text: str) -> None:
    """An empty file, a byte order mark, comments, null and {} change nothing but the label."""
    assert load(write(text)) == Settings(label="some")


def test_the_design_example(write: Callable[..., Path]) -> None:
    """The config of the design document means what it says."""
    path = write(
        "# Figure 3 of the assignment: one cycle on one batch\n"
        "label: figure-3\nseed: 42\n"
        "data: {source: cifar10, train: [1], validation: [2], normalize: standardize}\n"
        "network: {hidden: [50], init: xavier}\n"
        "training:\n  batch_size: 100\n  lambda: 0.01\n"
        "  schedule: {kind: cyclic, n_s: 500, cycles: 1, eta_min: 1e-5, eta_max: 1e-1}   # n_s: 2 epochs\n"
        "evaluation: {per_cycle: 10}\n"
    )
    found = load(path)
    assert found.training.lam == 0.01
    assert found.training.schedule == Cyclic(kind="cyclic", n_s=500, cycles=1, eta_min=1e-5, eta_max=0.1)
    assert found == load("figure-3")


def test_whole_numbers_and_floats_mix_where_nothing_is_lost() -> None:
    """1e3 and 500.0 are whole numbers where one is wanted, and 1 is a float; even inside lists and unions."""
    found = load(
        None, ["training.batch_size=1e2", "training.schedule.n_s=500.0", "network.hidden=[5e1]", "data.train=[3.0]"]
    )
    assert (found.training.batch_size, found.network.hidden, found.data.train) == (100, (50,), (3,))
    assert found.training.schedule == Cyclic(n_s=500)
    lam = load(None, ["training.lambda=1"]).training.lam
    assert lam == 1.0
    assert isinstance(lam, float)


def test_a_schedule_without_kind_is_cyclic() -> None:
    """Keys of the default schedule need no kind beside them."""
    assert load(None, ["training.schedule.n_s=2 epochs"]).training.schedule == Cyclic(n_s="2 epochs")


def test_the_label_is_the_file_name(write: Callable[..., Path]) -> None:
    """Without a label the file's name is one, if it can be."""
    assert load(write("seed: 1", "my-run.yaml")).label == "my-run"
    assert load(write("seed: 1", "my run.yaml")).label == "unnamed"
    assert load(write("label: other", "my-run.yaml")).label == "other"


def test_precedence(write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A flag wins over --set, that over the environment, that over the file, that over the default."""
    path = write("seed: 1")
    assert load().seed == 42
    assert load(path).seed == 1
    monkeypatch.setenv("CIFARNET_SET", "seed=2 'training.schedule.n_s=2 epochs'")
    assert load(path).seed == 2
    assert load(path).training.schedule == Cyclic(n_s="2 epochs")
    assert load(path, ["seed=3"]).seed == 3
    assert load(path, ["seed=3", "seed=4"]).seed == 4
    assert load(path, ["seed=3"], seed=5, label=None).seed == 5


def test_origins(write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every leaf says where it comes from: the line of the file, the variable, the option or the default."""
    monkeypatch.setenv("CIFARNET_SET", "data.limit=500")
    path = write("seed: 1\ntraining:\n  lambda: 0.1\n  schedule: {kind: cyclic, n_s: 3}\nnetwork:\n  hidden:\n  - 1\n")
    origins = resolve(path, ["training.lambda=0.2"], label="x").origins
    assert origins["seed"] == "some.yaml:1"
    assert origins["training.schedule.n_s"] == "some.yaml:4"
    assert origins["network.hidden"] == "some.yaml:6"
    assert origins["training.lambda"] == "--set"
    assert origins["data.limit"] == "CIFARNET_SET"
    assert origins["label"] == "--label"
    assert origins["training.schedule.eta_min"] == "default"
    assert resolve(path).origins["label"] == "some.yaml"


def test_set_merges_mappings_and_replaces_the_rest() -> None:
    """--set of a mapping changes the keys it names; a list or a word is replaced whole."""
    found = load("figure-3", ["training.schedule={n_s: 7}", "network={hidden: [3, 4]}", "network.init.std=0.1"])
    assert found.training.schedule == Cyclic(n_s=7)
    assert found.network.hidden == (3, 4)
    assert plain(found)["network"]["init"] == {"std": 0.1}
    assert load("assignment-1", ["network.init=he"]).network.init == "he"


@pytest.mark.parametrize(
    "words",
    [
        ["training.schedule={kind: constant, eta: .05}"],
        ["training.schedule.kind=constant", "training.schedule.eta=.05"],
        ["training.schedule.eta=.05", "training.schedule.kind=constant"],
    ],
)
def test_a_new_kind_drops_the_files_keys_of_the_old(words: list[str]) -> None:
    """--set of another kind drops the file's keys that it does not know, in whatever order the words come."""
    schedule = load("figure-3", words).training.schedule
    assert plain(load("figure-3", words))["training"]["schedule"] == {"kind": "constant", "eta": 0.05, "epochs": 40}
    assert schedule.kind == "constant"


def test_a_new_kind_keeps_what_it_shares(write: Callable[..., Path]) -> None:
    """Keys that both kinds know stay as the file has them."""
    path = write("training: {schedule: {kind: exponential, eta: .02, epochs: 7, factor: .5}}")
    schedule = plain(load(path, ["training.schedule.kind=constant"]))["training"]["schedule"]
    assert schedule == {"kind": "constant", "eta": 0.02, "epochs": 7}


def test_settings_do_not_change() -> None:
    """Settings are frozen, and can be hashed and pickled for workers."""
    found = load("figure-3")
    with pytest.raises(ValidationError, match="frozen"):
        found.seed = 1  # type: ignore[misc]
    assert hash(found) == hash(load("figure-3"))
    assert pickle.loads(pickle.dumps(found)) == found


@pytest.mark.parametrize("name", sorted(shipped()))
def test_shipped_configs(name: str) -> None:
    """Each loads by name and by path, names the schema on its first line and says on the second why it exists."""
    assert load(name) == load(CONFIGS / f"{name}.yaml") == load(f"{name}.yaml")
    assert load(name).label == name
    modeline, reason = find(name).read_text(encoding="utf-8").splitlines()[:2]
    assert modeline == "# yaml-language-server: $schema=schema.json"
    assert re.match(r"# \w.{30,}", reason)


def test_the_assignments_settings() -> None:
    """The shipped configs are the assignments' settings, seen after defaults."""
    fig4, one, overfit = load("figure-4"), load("assignment-1"), load("overfit")
    assert fig4.training.schedule == Cyclic(n_s=800, cycles=3, eta_min=1e-5, eta_max=0.1)
    assert (fig4.evaluation.per_cycle, fig4.training.lam, fig4.data.train, fig4.data.validation) == (
        9,
        0.01,
        (1,),
        (2,),
    )
    assert (one.sizes, one.training.shuffle, one.data.normalize, one.training.lam) == ((3072, 10), False, "scale", 0)
    assert plain(one)["training"]["schedule"] == {"kind": "constant", "eta": 0.01, "epochs": 40}
    assert (overfit.data.n_train, overfit.training.batch_size, overfit.training.lam) == (100, 100, 0)


def test_shipped_configs_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare name means the shipped config, unless a file of that name is here; a folder of that name is no config."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "figure-3").mkdir()
    assert load("figure-3").training.lam == 0.01
    (tmp_path / "figure-4").write_text("seed: 7")
    assert load("figure-4").seed == 7


def test_dump_is_complete_and_in_order() -> None:
    """dump writes every key, in the models' order, lambda by its name, and PyYAML reads it alike."""
    text = dump(load("figure-3"))
    assert list(yaml.safe_load(text)) == ["label", "seed", "data", "network", "training", "evaluation", "search"]
    assert yaml.safe_load(text) == plain(load("figure-3"))
    assert "\n  lambda: 0.01\n" in text
    assert "\n    eta_min: 1.0e-05\n" in text
    assert "\n  hidden: [50]\n" in text


counts = st.integers(1, 10**6)
rates = st.floats(1e-300, 1e300)
schedules = st.one_of(
    st.fixed_dictionaries(
        {"kind": st.just("cyclic"), "eta_min": st.floats(1e-30, 1e-3), "eta_max": st.floats(1e-3, 1e3)},
        optional={
            "n_s": st.one_of(counts, st.from_regex(r"[1-9][0-9]{0,5} epochs?", fullmatch=True)),
            "cycles": counts,
        },
    ),
    st.fixed_dictionaries({"kind": st.just("constant"), "eta": rates, "epochs": counts}),
    st.fixed_dictionaries({"kind": st.just("step"), "eta": rates, "factor": st.floats(1e-9, 1), "every": counts}),
    st.fixed_dictionaries({"kind": st.just("exponential"), "eta": rates, "factor": st.floats(1e-9, 1)}),
)
trees = st.fixed_dictionaries(
    {},
    optional={
        "label": st.one_of(
            st.from_regex(LABEL.replace("$", r"\Z"), fullmatch=True),
            st.sampled_from(["1e-5", "yes", "null", "0o17", "0x1F", "1_000", "1.", "12", "2001-01-01", "true", "N"]),
        ),
        "seed": st.integers(0, 2**63 - 1),
        "data": st.fixed_dictionaries(
            {},
            optional={
                "train": st.sampled_from([(1,), (3, 4), "all"]),
                "validation": st.one_of(st.integers(1, 9999), st.just((2,))),
                "dims": st.one_of(st.none(), st.integers(1, 3072)),
                "limit": st.one_of(st.none(), st.integers(100, 5000)),
            },
        ),
        "network": st.fixed_dictionaries(
            {},
            optional={
                "hidden": st.lists(st.integers(1, 1000)).map(tuple),
                "init": st.one_of(st.sampled_from(["xavier", "he"]), rates.map(lambda std: {"std": std})),
            },
        ),
        "training": st.fixed_dictionaries(
            {}, optional={"lambda": st.floats(0, 1e300), "shuffle": st.booleans(), "schedule": schedules}
        ),
    },
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(trees)
def test_what_is_dumped_loads_equal(tmp_path_factory: pytest.TempPathFactory, tree: dict[str, Any]) -> None:
    """Whatever the settings, dump and load return them, to the last bit of every float."""
    assume(tree.get("data", {}).get("train") != "all" or isinstance(tree["data"].get("validation"), int))
    whole = Settings.model_validate(tree)
    path = tmp_path_factory.getbasetemp() / "round.yaml"
    path.write_text(dump(whole), encoding="utf-8")
    assert load(path) == whole
    assert plain(load(path)) == plain(whole)


def test_show() -> None:
    """config show prints YAML that loads, with the origin of each value as a comment in one column."""
    result = CliRunner().invoke(
        config, ["show", "--config", "figure-3", "--set", "data.limit=500", "--seed", "3"], catch_exceptions=False
    )
    lines = result.stdout.splitlines()
    assert "seed: 3                   # --seed" in lines
    assert "  limit: 500              # --set" in lines
    assert "    eta_min: 1.0e-05      # figure-3.yaml:8" in lines
    assert "  shuffle: true           # default" in lines
    assert yaml.safe_load(result.stdout) == plain(load("figure-3", ["data.limit=500"], seed=3))


def test_show_as_json() -> None:
    """config show --json prints one object of settings and origins."""
    result = CliRunner().invoke(config, ["show", "--json", "--label", "x"], catch_exceptions=False)
    found = json.loads(result.stdout)
    assert found["settings"] == plain(load(label="x"))
    assert found["origins"]["label"] == "--label"


def test_the_schema_that_editors_use_is_up_to_date() -> None:
    """configs/schema.json is what config schema prints."""
    result = CliRunner().invoke(config, ["schema"], catch_exceptions=False)
    assert result.stdout == (CONFIGS / "schema.json").read_text(encoding="utf-8"), "run: cifarnet config schema"
    assert json.loads(result.stdout) == schema()
    assert schema()["$defs"]["Training"]["properties"]["lambda"]["minimum"] == 0


@pytest.mark.parametrize("command", ["show", "schema"])
def test_help_has_an_example(command: str) -> None:
    """Each command's help shows how to call it."""
    assert "Example:\n  " in CliRunner().invoke(config, [command, "--help"]).stdout


def test_what_a_run_keeps_is_read_without_the_environment(tmp_path, monkeypatch):
    """CIFARNET_SET changes what is about to run, never what a run folder says has run."""
    monkeypatch.setenv("CIFARNET_SET", "seed=3")
    (tmp_path / "config.yaml").write_text(dump(Settings(seed=1)))
    assert saved(tmp_path / "config.yaml").seed == 1
    assert load(tmp_path / "config.yaml").seed == 3
