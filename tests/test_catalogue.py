"""Many runs at a glance: what is listed, in which order, and what tells two runs apart."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner

from cifarnet import catalogue, plots, runs
from cifarnet.cli.runs import runs as command
from cifarnet.cli.tables import duration
from cifarnet.errors import ConfigError

HEADER = "step,epoch,cycle,eta,train_cost,train_loss,train_accuracy,validation_cost,validation_loss,validation_accuracy"


@pytest.fixture
def make(tmp_path):
    """Make a finished run of some settings, results and environment."""

    def make(label, lam, accuracy, *, seed=1, kind="train", status="completed", **environment):
        settings = {"label": label, "seed": seed, "training": {"lambda": lam, "schedule": {"n_s": "2 epochs"}}}
        files = {"environment.json": {"numpy": "2", "blas": [{"num_threads": 2}]} | environment}
        run = runs.create(tmp_path, kind, label, json.dumps(settings), files, settings=settings)
        run.append(dict.fromkeys(HEADER.split(","), 0.5))
        if status != "running":
            run.finish(status, results={"validation_accuracy": accuracy, "test_accuracy": accuracy - 0.1})
        return run.path

    return make


@pytest.fixture
def call(tmp_path):
    """Run a command of the group; returns what it printed."""

    def call(*arguments, code=0):
        done = CliRunner().invoke(command, [*arguments], env={"CIFARNET_RUNS_DIR": str(tmp_path)})
        assert done.exit_code == code, done.output
        return done.output

    return call


def names(found):
    return [e.path.name.rpartition("-train-")[2] for e in found]


def test_a_list_shows_the_settings_that_differ_and_no_others(make, call):
    """lambda differs and is a column; n_s does not and is none; the newest run comes first."""
    make("a", 0.1, 0.4)
    make("b", 0.001, 0.5)
    text = call("list")
    header, _, first, second = text.splitlines()
    assert header.split() == ["run", "age", "kind", "label", "status", "lambda", "validation", "test", "time"]
    assert " b " in first
    assert "0.001" in first
    assert "50.00%" in first
    assert " a " in second


def test_filters_compare_numbers_as_numbers_and_words_as_words(make, tmp_path):
    """Each sign, a short name for a key, a value that is not there, and all conditions together."""
    for label, lam, accuracy in (("a", 0.1, 0.4), ("b", 0.001, 0.5), ("c", 0.00001, 0.6)):
        make(label, lam, accuracy)
    make("d", 0, 0, status="running")
    found = sorted(catalogue.entries(tmp_path), key=lambda e: e.path.name[-1])
    for condition, expected in {
        "training.lambda<1e-3": "cd",
        "lambda<=1e-3": "bcd",
        "lambda > 0.01": "a",
        "lambda=0.001": "b",
        "label!=a": "bcd",
        "status==running": "d",
        "n_s=2 epochs": "abcd",
        "test_accuracy>=0.4": "bc",
        "test_accuracy!=7": "abcd",
    }.items():
        assert "".join(names(catalogue.select(found, [condition]))) == expected, condition
    assert names(catalogue.select(found, ["lambda<1", "label>=b", "status!=running"])) == ["b", "c"]


def test_a_filter_that_means_nothing_is_an_error(make, tmp_path):
    """The message proposes the nearest key, or says what a condition looks like."""
    make("a", 0.1, 0.4)
    found = catalogue.entries(tmp_path)
    with pytest.raises(ConfigError, match=r"--filter lamda: .* training\.lambda"):
        catalogue.select(found, ["lamda<1"])
    with pytest.raises(ConfigError, match="is not KEY"):
        catalogue.select(found, ["lambda"])
    with pytest.raises(ConfigError, match=r"--sort vaidation_accuracy: .* validation_accuracy"):
        catalogue.arrange(found, "vaidation_accuracy")


def test_sorting_puts_runs_without_the_value_last(make, tmp_path):
    """Smallest first, or largest first with a minus."""
    for label, accuracy in (("a", 0.5), ("b", 0.6), ("c", 0.4)):
        make(label, 0, accuracy)
    make("d", 0, 0, status="running")
    found = catalogue.entries(tmp_path)
    assert names(catalogue.arrange(found, "test_accuracy")) == ["c", "a", "b", "d"]
    assert names(catalogue.arrange(found, "-test_accuracy")) == ["b", "a", "c", "d"]
    assert names(catalogue.arrange(found, "label")) == ["a", "b", "c", "d"]


def test_a_damaged_folder_is_listed_as_unreadable(make, call, tmp_path):
    """And does not keep the others from being listed; what is no run is not listed."""
    make("a", 0.1, 0.4)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    (tmp_path / "no-run").mkdir()
    text = call("list")
    assert "unreadable" in text
    assert "completed" in text
    assert "no-run" not in text


def test_machines_get_everything_unrounded(make, call):
    """--json is one object with every run, --csv has the numbers as they were recorded."""
    make("a", 0.1, 1 / 3)
    found = json.loads(call("list", "--json"))["runs"]
    assert found[0]["results"]["validation_accuracy"] == 1 / 3
    assert found[0]["settings"]["training"]["lambda"] == 0.1
    header, row = call("list", "--csv").splitlines()
    assert dict(zip(header.split(","), row.split(","), strict=True))["validation_accuracy"] == str(1 / 3)


def test_a_thousand_runs_are_listed_in_under_a_second(make, call, tmp_path):
    """Reading, filtering, sorting and the table itself; a copy of one folder stands for each."""
    text = (make("a", 0.1, 0.4) / "run.json").read_text()
    for index in range(1000):
        folder = tmp_path / f"20250101-{index:06d}-train-x"
        folder.mkdir()
        (folder / "run.json").write_text(text.replace('"lambda": 0.1', f'"lambda": {index}'))
    start = time.process_time()  # not of the clock, as the machine may be shared
    assert len(call("list", "--filter", "lambda>=0", "--sort", "-lambda").splitlines()) == 1003
    assert time.process_time() - start < 1


def test_listing_loads_neither_numpy_nor_matplotlib_nor_pydantic(make, tmp_path):
    """What takes longer to import than a thousand runs to read."""
    make("a", 0.1, 0.4)
    code = f"import sys; sys.argv = ['cifarnet', 'runs', 'list', '--runs-dir', {str(tmp_path)!r}]\n"
    code += "from cifarnet.cli import main\n"
    code += "try: main()\nexcept SystemExit: sys.stderr.write(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "completed" in done.stdout
    assert not {"numpy", "matplotlib", "pydantic", "yaml"} & set(done.stderr.split())


def test_compare_shows_what_differs_and_overlays_the_curves(make, call, tmp_path):
    """lambda and numpy's version differ and are shown, what is the same is not; one figure with both runs."""
    a, b = make("a", 0.1, 0.4), make("b", 0.2, 0.5, numpy="3")
    text = call("compare", a.name, b.name, "--format", "svg")
    assert "training.lambda" in text
    assert "n_s" not in text
    assert "numpy" in text
    assert "have the same settings" not in text
    figure = (tmp_path / "comparison.svg").read_text()
    assert a.name in figure
    assert b.name in figure
    found = json.loads(call("compare", a.name, b.name, "--json"))
    assert found["settings"]["training.lambda"] == [0.1, 0.2]
    assert found["results"]["validation_accuracy"] == [0.4, 0.5]
    assert found["environment"] == {"numpy": ["2", "3"]}


def test_where_runs_of_the_same_settings_differ_the_cause_is_named(make, call):
    """Threads, code and images are told apart; the same results need no cause; an unknown cause is called so."""
    a = make("a", 0.1, 0.4, git_commit="x").name
    threads = make("b", 0.1, 0.5, git_commit="x", blas=[{"num_threads": 1}]).name
    code = make("c", 0.1, 0.5, git_commit="y").name
    unknown = make("d", 0.1, 0.5, git_commit="x").name
    same = make("e", 0.1, 0.4, git_commit="x").name
    assert "threads of the BLAS (blas.num_threads)" in call("compare", a, threads)
    assert "the code is not the same (git_commit)" in call("compare", a, code)
    assert "nothing that was recorded explains it" in call("compare", a, unknown)
    assert "and differ" not in call("compare", a, same)
    assert call("compare", a, a, code=2)


def test_a_note_is_shown_with_its_run(make, call):
    """Two notes, both kept, each on one line."""
    make("a", 0.1, 0.4)
    call("note", "latest", "the one\nfor the report")
    call("note", "latest", "second")
    text = call("show", "latest")
    assert "the one for the report" in text
    assert "second" in text
    assert len(json.loads(call("show", "--json"))["notes"]) == 2


def test_show_tells_what_repeats_a_run(make, call):
    """Results, settings, and the command."""
    path = make("a", 0.1, 0.4)
    text = call("show", path.name)
    assert "40.00%" in text
    assert "training.lambda" in text
    assert f"cifarnet train --config {path / 'config.yaml'}" in text


def test_the_best_runs_are_kept(make, call, tmp_path):
    """The K of highest validation accuracy stay, and so do running runs and those of other kinds."""
    a, b, c = (make(label, 0, accuracy) for label, accuracy in (("a", 0.5), ("b", 0.6), ("c", 0.4)))
    live, check = make("d", 0, 0, status="running"), make("e", 0, 0, kind="gradcheck")
    assert "2 removed" in call("rm", "--keep-best", "1", "--yes")
    assert [p.exists() for p in (a, b, c, live, check)] == [False, True, False, True, True]
    assert not list(tmp_path.glob(".*part"))


def test_removing_asks_and_leaves_latest_right(make, call, tmp_path):
    """Without a terminal and --yes nothing is removed; afterwards latest names the newest that is left."""
    a, b = make("a", 0, 0.5), make("b", 0, 0.6)
    assert "--yes" in call("rm", "latest", code=2)
    assert b.exists()
    call("rm", "latest", "--yes")
    assert not b.exists()
    assert runs.find("latest", tmp_path).name == a.name
    call("rm", a.name, "--yes")
    assert not (tmp_path / "latest").is_symlink()
    assert call("rm", code=2)


def test_a_running_run_is_never_removed(make, call):
    """It stays, the message names it, the exit code is that of a failure."""
    path = make("a", 0, 0, status="running")
    assert f"{path} is running and stays" in call("rm", path.name, "--yes", code=1)
    assert path.exists()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.9, "59.9 s"), (200, "3 min 20 s"), (7260, "2 h 1 min"), (3e5, "3 d 11 h"), (np.inf, "?")],
)
def test_times_have_the_units_that_matter(seconds, text):
    """Seconds, minutes, hours, days."""
    assert duration(seconds) == text


def test_an_overlay_has_a_line_for_every_run_and_split():
    """Two lines a run in each of three panels, at the values of the tables; accuracies in per cent."""
    table = {name: np.array([0.1, np.nan, 0.3]) for name in HEADER.split(",")} | {"step": np.arange(3.0)}
    figure = plots.overlay({"a": table, "b": table})
    assert [len(panel.lines) for panel in figure.axes] == [4, 4, 4]
    assert figure.axes[2].lines[1].get_xydata().tolist() == [[0, 10], [2, 30]]
