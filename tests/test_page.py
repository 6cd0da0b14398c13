"""The pages of runs: what they show, and that a real browser shows it: headless Chromium, where there is one."""

import json

import pytest
from click.testing import CliRunner

import cifarnet
from cifarnet import catalogue, page, runs
from cifarnet.cli import cli

TINY = {"data": {"source": "synthetic", "limit": 1000}, "training": {"schedule": {"n_s": 10}}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A runs folder with two trainings, one that diverged without results, a damaged one, and the index over them."""
    folder = tmp_path_factory.mktemp("runs")
    for label, lam in (("first", 0.1), ("second", 0.01)):
        cifarnet.train(TINY, [f"training.lambda={lam}"], runs_dir=folder, label=label)
    lost = runs.create(folder, "train", "lost", "", settings={"data": {"source": "synthetic"}})
    lost.finish("diverged", error="a cost of <infinity>")
    lost.note("try a smaller eta & see")
    (folder / "damaged").mkdir()
    (folder / "damaged" / "run.json").write_text("{")
    done = CliRunner().invoke(cli, ["runs", "page", "--runs-dir", str(folder), "--json"])
    assert json.loads(done.stdout)["page"] == str(folder / "index.html"), done.output
    return folder


def test_a_training_leaves_its_page(folder):
    """Result, settings, curves, weights, confusions, environment, and the command that repeats it."""
    [path] = folder.glob("*-train-first")
    text = (path / "run.html").read_text()
    info = runs.read(path)
    for words in (
        "SYNTHETIC", f"{info['results']['test_accuracy']:.2%}", "training.lambda", "Confusions", "numpy", "Weights",
        f"cifarnet train --config {path / 'config.yaml'}",
    ):  # fmt: skip
        assert words in text, words
    assert text.count("data:image/png;base64,") == 3
    table = runs.read_table(path / "confusion-test.csv")
    assert sum(table[name][k] for k, name in enumerate(table)) == 10_000 * info["results"]["test_accuracy"]


def test_a_run_without_results_has_a_page_too(folder):
    """Its status, its error and its notes, nothing taken for HTML."""
    [path] = folder.glob("*-train-lost")
    text = (path / "run.html").read_text()
    assert "a cost of &lt;infinity&gt;" in text
    assert "try a smaller eta &amp; see" in text
    assert "<img" not in text


def test_the_index_links_the_runs_and_leaves_damaged_ones_out(folder):
    """A row a run with the settings that differ."""
    text = (folder / "index.html").read_text()
    assert "3 runs" in text
    assert "training.lambda" in text
    assert "batch_size" in text  # the lost run has none
    assert "damaged" not in text


def test_an_index_over_nothing_is_an_error(tmp_path):
    """Which names the folder."""
    done = CliRunner().invoke(cli, ["runs", "page", "--runs-dir", str(tmp_path)])
    assert f"no runs in {tmp_path}" in str(done.exception)
    assert page.write_index(tmp_path, []) == tmp_path / "index.html"
    assert not catalogue.entries(tmp_path)


@pytest.mark.parametrize("width", [390, 1280])
def test_pages_load_whole_and_fit(browser, folder, width):
    """No console errors, nothing from the network, every image shown, no sideways scrolling but inside tables."""
    metrics = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    for path in (folder / "index.html", *folder.glob("*-train-*/run.html")):
        browser.get(path.as_uri())
        assert browser.get_log("browser") == []
        assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
        assert browser.execute_script("return [...document.images].every(i => i.naturalWidth > 0)")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_links_lead_to_pages_and_everything_can_be_read_aloud(browser, folder):
    """Every link of the index is a file; images have words, tables headers, and there is one heading of level 1."""
    browser.get((folder / "index.html").as_uri())
    links = browser.execute_script("return [...document.links].map(a => a.getAttribute('href'))")
    assert len(links) == 3
    assert all((folder / link).is_file() for link in links)
    script = """return [
      [...document.images].every(i => i.alt.length > 10),
      [...document.querySelectorAll('table')].every(t => t.querySelector('thead th[scope=col]')),
      [...document.querySelectorAll('table')].every(t => t.querySelector('tbody th[scope=row]')),
      document.querySelectorAll('h1').length == 1 && !!document.documentElement.lang,
    ]"""
    for link in ("index.html", *links):
        browser.get((folder / link).as_uri())
        assert browser.execute_script(script) == [True] * 4, link


def test_a_dark_page_is_dark(browser, folder):
    """Where the user prefers that."""
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    browser.get((folder / "index.html").as_uri())
    colour = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert sum(map(int, colour[4:-1].split(","))) < 150
