"""Many runs: found, listed, filtered, sorted and compared."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cifarnet import readable
from cifarnet.api import compare
from cifarnet.cli.runs import overview
from cifarnet.config import Settings
from cifarnet.errors import ConfigError, RunError
from cifarnet.runs import Run, catalog
from tests.common import python


def test_a_run_is_found_by_path_by_latest_and_by_a_unique_beginning(make):
    run = make("a")
    runs_dir = run.path.parent
    for name in (str(run.path), "latest", run.name, run.name[:12]):
        assert Run.find(name, runs_dir).path.resolve() == run.path.resolve()
    other = make("b")
    with pytest.raises(RunError, match=rf"{run.name[:8]}: 2 runs in .* begin like this \(.*{other.name}"):
        Run.find(run.name[:8], runs_dir)


def test_a_tilde_is_the_home_folder(make, tmp_path, monkeypatch):
    run = make("a")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Run.find("latest", Path("~/runs")).path == run.path
    assert [found.path for found in catalog.list_runs(Path("~/runs"))] == [run.path]
    made = Run.create(Path("~/runs"), "train", run.settings, environment={})
    made.release()
    assert made.path.parent == tmp_path / "runs"
    with pytest.raises(RunError, match=r"~nobody/x: no run in .* begins like this"):
        Run.find("~nobody/x", tmp_path / "runs")


@pytest.mark.parametrize("kind", ["copy", "dangling", "missing", "nonsense"])
def test_without_a_link_latest_is_the_newest_by_name(make, kind):
    """A copy of a run in its place is never listed, and stays when a run is made or removed."""
    a, b = (make(label) for label in "ab")
    latest = a.path.parent / "latest"
    latest.unlink()
    if kind == "copy":
        shutil.copytree(a.path, latest)
    elif kind == "dangling":
        latest.symlink_to("gone")
    elif kind == "nonsense":
        latest.write_bytes(b"\xff../a")
    assert Run.find("latest", a.path.parent).path == b.path
    assert [found.path for found in catalog.list_runs(a.path.parent)] == [b.path, a.path]
    Run.find("latest", a.path.parent).remove()
    assert a.path.exists() and not b.path.exists()
    c = make("c")
    assert Run.find("latest", a.path.parent).path == c.path
    assert (latest / "run.json").is_file() and latest.is_symlink() == (kind != "copy")
    if kind == "copy":
        Run(latest).remove()
        assert [found.path for found in catalog.list_runs(a.path.parent)] == [c.path, a.path]


def test_removing_a_run_leaves_latest_right(make):
    a, b, c = (make(label) for label in "abc")
    runs_dir = a.path.parent
    (runs_dir / "20990101-alias").symlink_to(a.path)
    c.remove()
    assert Run.find("latest", runs_dir).path == b.path
    a.remove()
    assert Run.find("latest", runs_dir).path == b.path
    b.remove()
    assert not [path for path in runs_dir.iterdir() if path.name != "20990101-alias"]
    with pytest.raises(RunError, match="there are no runs yet; cifarnet train makes one"):
        Run.find("latest", runs_dir)


def test_latest_is_the_newest_that_has_what_a_command_needs(make, tmp_path):
    """And a run that has not says what it is, and how to go on with it."""
    trained, stopped = make("a"), make("b", status="interrupted")
    check, search, _ = make("c", kind="gradcheck"), make("d", kind="search"), make("e")
    trained.write("model.npz", b"")
    stopped.write("checkpoints/cycle-1.npz", b"")
    stopped.update(updates=909)
    runs_dir = tmp_path / "runs"
    for need, expected in {"network": trained, "search": search, "training": stopped}.items():
        assert Run.find("latest", runs_dir, need).path == expected.path
    with pytest.raises(RunError, match="c has no network: it is a gradient check"):
        Run.find(check.name, runs_dir, "network")
    path = rf"{runs_dir}/\S+-b"
    advice = f"after 909 updates: cifarnet train --resume {path}, or cifarnet evaluate {path} --checkpoint cycle-1"
    with pytest.raises(RunError, match=f"b has no network: it was interrupted {advice}"):
        _ = Run(stopped.path).model
    with pytest.raises(RunError, match="c is no training: it is a gradient check"):
        Run.find(check.name, runs_dir, "training")
    trained.remove()
    with pytest.raises(RunError, match=r"no other run will do, and the newest .*e has no network: it is a completed"):
        Run.find("latest", runs_dir, "network")


def labels(found):
    return "".join(run.label for run in found)


def test_runs_of_earlier_versions_are_read(make):
    """Settings called jitter and halving; a find-eta without environment and settings: no column, no error."""
    run, new, old = make("a"), make("b"), make("c", kind="find-eta")
    (old.path / "environment.json").unlink()
    for made, change in (
        (run, {"training": {"lambda": 0.1, "jitter": {"flip": True}}, "search": {"coarse": {"halving": 2}}}),
        (old, None),
    ):
        info = json.loads(made.read_bytes("run.json"))
        info["settings"] = info["settings"] | change if change else {}
        made.write_json("run.json", info)
    path = run.path / "config.yaml"
    path.write_text(path.read_text().replace("augmentation:", "jitter:"))
    choices = Run(run.path).choices
    assert choices["training.augmentation.flip"] is True and choices["search.coarse.halving"] == 2
    assert Run(run.path).settings == run.settings
    assert [*catalog.columns([Run(new.path), Run(old.path)], "table")] == [*catalog.columns([Run(new.path)], "table")]
    compared = compare.compare([Run(new.path), Run(old.path)])
    assert (compared["settings"], compared["results"]["test_accuracy"]) == ({}, [0.4, 0.4])


def test_a_list_shows_the_settings_that_differ_and_no_others(make, tmp_path):
    """A setting named like a column has its full key; the newest run comes first; CSV has values and keys."""
    make("a", 0.1, 1 / 3)
    make("b", 0.001, 0.5, data={"train": [1, 2], "validation": 200})
    found = catalog.list_runs(tmp_path / "runs")
    table = catalog.columns(found, "table")
    assert [*table] == ["run", "kind", "label", "status", "lambda", "split", "validation", "test", "time"]
    row = [table[heading].summary(found[:1]) for heading in ("label", "lambda", "split", "validation")]
    assert row == ["b", "0.001", "1, 2 / 200 images", "50.00 %"]
    sheet = catalog.columns(found, "csv")
    assert [*sheet][:6] == ["run", "kind", "label", "status", "started", "seconds"]
    assert [sheet[key].of(found[1]) for key in ("training.lambda", "validation_accuracy")] == [0.1, 1 / 3]
    assert sheet["data.validation"].of(found[0]) == 200
    assert [*catalog.columns(found, "page")][:5] == ["run", "kind", "label", "status", "started"]


def test_a_search_is_listed_with_what_did_best_and_its_kind_stays(make, tmp_path, monkeypatch):
    """Before a trial has ended there is no value of what it tries; kinds that differ are the last to leave a table."""
    for label, results in (("begun", {}), ("done", {"best": {"index": 1, "lambda": 0.02, "eta_max": 7}})):
        make(label, kind="search", results=results | {"trials": 3})
    make("a", 0.001, data={"train": [1, 2], "validation": 200})
    found = catalog.list_runs(tmp_path / "runs")
    column = catalog.columns(found, "table")["lambda"]
    assert [column.summary([run]) for run in found] == ["0.001", "0.02", ""]
    assert found[1].values["training.schedule.eta_max"] == Settings().training.schedule.eta_max
    monkeypatch.setenv("COLUMNS", "70")
    heading = overview([[run] for run in found]).splitlines()[0].split()
    assert heading == ["run", "kind", "lambda", "validation", "test"]


def test_short_names_of_keys_tell_them_apart():
    names = catalog.short_names(["network.hidden", "training.dropout.hidden", "training.optimizer.kind"])
    assert [*names.values()] == ["hidden", "dropout.hidden", "optimizer.kind"]


def test_a_result_named_like_a_setting_has_a_name_of_its_own(make):
    found = [Run(make("a", results={"seed": 7, "test_accuracy": 0.5}).path)]
    assert (found[0].values["seed"], found[0].values["results.seed"]) == (42, 7)
    assert catalog.select(found, ["seed=42"]) == catalog.select(found, ["results.seed=7"]) == found


@pytest.fixture
def four(make, tmp_path):
    for label, lam, accuracy in (("a", 0.1, 0.4), ("b", 0.001, 0.5), ("c", 0.00001, 0.6)):
        make(label, lam, accuracy)
    make("d", 0, status="running", data={"limit": 300, "validation": 200})
    return sorted(catalog.list_runs(tmp_path / "runs"), key=lambda run: run.label)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("training.lambda<1e-3", "cd"),
        ("lambda<=1e-3", "bcd"),
        ("lambda > 0.01", "a"),
        ("lambda=0.001", "b"),
        ("label!=a", "bcd"),
        ("label>=b", "bcd"),
        ("label>3", ""),
        ("status==stale", "d"),
        ("n_s=500", "abcd"),
        ("data.validation!=[2]", "d"),
        ("test_accuracy>=0.4", "bc"),
        ("test_accuracy>=40%", "bc"),
        ("test_accuracy >= 40 %", "bc"),
        ("test_accuracy != 40 %", "acd"),
        ("limit=null", "abc"),
        ("limit!=null", "d"),
        ("shuffle=true", "abcd"),
        *((f"hidden{three}", "abcd") for three in ("=3", "=[3]", "<4", "!=5", "!=3,4")),
        *((f"hidden{other}", "") for other in ("=0", "!=3", "=3, 4", "=[]")),
    ],
)
def test_filters_compare_numbers_as_numbers_and_words_as_words(four, condition, expected):
    assert labels(catalog.select(four, [condition])) == expected
    assert labels(catalog.select(four, [condition, "label=a"])) == ("a" if "a" in expected else "")


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ("lamda<1", r"lamda: .*try .*training\.lambda"),
        ("lambda", "'lambda' is not KEY, one of < <= = != >= >, VALUE"),
        ("lambda=<1", "is not KEY"),
        ("lambda<>1", "is not KEY"),
        ("lambda~1", "is not KEY"),
        ("lambda<", "is not KEY"),
        ("lambda<small", r"training\.lambda is a number such as 0\.1, and 'small' is none"),
        ("test_accuracy>44 percent", "test_accuracy is a number"),
    ],
)
def test_a_filter_that_means_nothing_is_refused(four, condition, why):
    """Also where another condition leaves no run."""
    with pytest.raises(ConfigError, match=f"--filter {why}|--filter .*{why}"):
        catalog.select(four, ["label=nobody", condition])


def test_sorting_puts_runs_without_the_value_last(four):
    assert labels(catalog.arrange(four, "test_accuracy")) == "abcd"
    assert labels(catalog.arrange(four, "-test_accuracy")) == "cbad"
    assert labels(catalog.arrange(four, "-label")) == "dcba"
    with pytest.raises(ConfigError, match=r"--sort vaidation_accuracy: .* validation_accuracy"):
        catalog.arrange(four, "vaidation_accuracy")


def test_a_run_is_found_by_the_short_name_that_it_is_shown_by(four):
    names = catalog.handles(four)
    assert all(Run.find(name, path.parent).path == path for path, name in names.items())


def test_listing_loads_neither_numpy_nor_matplotlib_nor_pydantic(four):
    code = "import sys; from pathlib import Path; from cifarnet.runs import catalog\n"
    code += "found = catalog.list_runs(Path(sys.argv[1])); catalog.select(found, ['lambda<1'])\n"
    code += "cells = [c.summary([run]) for c in catalog.columns(found, 'table').values() for run in found]\n"
    code += "assert 'stale' in cells and not {'numpy', 'matplotlib', 'pydantic', 'yaml'} & set(sys.modules)"
    python("-c", code, four[0].path.parent)


def test_compare_shows_what_differs_and_why_results_do(make):
    """The same results need no cause; where one run ended early, that is it."""
    a = make("a", 0.1, 0.4, git_commit="x")
    threads = make("b", 0.1, 0.5, git_commit="x", blas=[{"num_threads": 1}])
    code, unknown = make("c", 0.1, 0.5, git_commit="y"), make("d", 0.1, 0.5, git_commit="x")
    same, stopped = make("e", 0.1, 0.4, git_commit="x"), make("f", 0.1, status="interrupted", git_commit="x")
    other = make("g", 0.2, 0.5, numpy="3", git_commit="x", argv=["other"])
    found = compare.compare([a, other])
    assert found["settings"] == {"label": ["a", "g"], "training.lambda": [0.1, 0.2]}
    assert (found["environment"], found["causes"]) == ({"numpy": ["2", "3"]}, [])
    assert found["results"]["validation_accuracy"] == [0.4, 0.5]
    for b, cause in {
        threads: "sums are split differently over the threads of the BLAS (blas.num_threads)",
        code: "the code is not the same (git_commit)",
        unknown: "nothing that was recorded explains it",
        stopped: "the first one is completed, the second one interrupted",
    }.items():
        assert [*compare.causes([a, b])] == [{"runs": [a.name, b.name], "why": cause}]
    assert not [*compare.causes([a, same])]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.9, "59.9 s"), (200, "3 min 20 s"), (7260, "2 h 1 min"), (3e5, "3 d 11 h"), (np.inf, "?")],
)
def test_times_have_the_units_that_matter(seconds, text):
    assert readable.duration(seconds) == text
