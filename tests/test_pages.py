"""The pages of runs and of the report: what they say, and that a real browser shows it, where there is one."""

import numpy as np
import pytest
import yaml

from cifarnet import pages, plots
from cifarnet.errors import RunError
from cifarnet.runs import Run, catalog
from tests.test_plots import finished


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two completed trainings, one that diverged without results, a damaged one, the index over them, and a report."""
    folder = tmp_path_factory.mktemp("runs")
    for label, lam in (("first", 0.1), ("second", 0.01)):
        assert plots.draw(finished(folder, label, lam)) == []
    lost = Run.create(folder, "train", finished(folder / "other", "lost").settings, environment={})
    lost.finish("diverged", error="a cost of <infinity>")
    lost.note("try a smaller eta & see")
    (folder / "damaged").mkdir()
    (folder / "damaged" / "run.json").write_text("{")
    pages.write_index(folder, catalog.list_runs(folder))
    (folder / "report.html").write_text(report(folder, standalone=False))
    return folder


REPORT = """
book:
  state: {synthetic: false, passes: [{jobs: 7, seconds: 60, workers: 2}, {jobs: 8, seconds: 61}]}
  incomparable: ""
  official: true
  environment: {cpu: a CPU, cores: 2, numpy: "2.0", blas: [{internal_api: openblas, version: "0.3"}]}
  chapters:
    - study: {id: he-2020, author: A. He, year: 2020, title: A2, findings: So., assumptions: [B & C]}
      outcome: &counts {agrees: 2, differs: 1, settings: 1, incomparable: 0, not_run: 1}
      accuracies: *counts
      claims:
        - claim: {says: Longer < shorter, explanation: By luck., place: p. 4, measure: test_accuracy}
          <<: &numbers {difference: 0.1, error: 0.1, n: 3}
          verdict: does not hold
      sections:
        - exhibit: {id: table-1, title: Cycles, place: p. 3}
          settings: [{text: "500", quantity: n_s, row: "", verdict: setting, reason: ""}]
accuracies: *counts
numbers: *counts
entry: {quantity: test accuracy, text: 46 %, mean: 0.4, std: 0.1, verdict: agrees, reason: near, <<: *numbers}
<<: {total: 4, claims: 3, claims_hold: 1, claims_fail: 1, claims_open: 0, claims_not_run: 1}
"""


def report(folder, standalone):
    """The report page of one study with a table, a claim, a chart and an image."""
    context = yaml.safe_load(REPORT)
    x, y = np.arange(9.0), np.linspace(2, 1, 9)
    chart = plots.chart("loss", "epoch", [plots.Series("eta", x, y, y - 0.1, y + 0.1)], [plots.Point("reported", 8, 1)])
    uri = pages.data_uri(plots.render(plots.weights(np.eye(3072, 3)), "png"))
    figure = {
        "caption": "1 cycle",
        "charts": [chart],
        "images": [{"uri": uri, "alt": "Three hidden nodes", "title": "W"}],
    }
    lines = [({"title": "1 cycle"}, [context["entry"]] * 2, [finished(folder / "trainings")])]
    context["book"]["chapters"][0]["sections"][0] |= {"lines": lines, "figures": [figure]}
    functions = {"show": lambda v, q: f"{v:g}", "gap": lambda v, q: f"{v:+g}", "duration": str, "isnan": np.isnan}
    words = {"title": "Reports", "command": "cifarnet reproduce-report", "seeds": 3, "standalone": standalone}
    return pages.template("report.html.j2").render(**context, **functions, **words)


def test_the_report_says_what_was_compared_and_what_was_not_run(tmp_path):
    text, alone = report(tmp_path, standalone=False), report(tmp_path, standalone=True)
    assert "Longer &lt; shorter" in text and "B &amp; C" in text and "By luck." in text
    assert text.count("1 was not run") == 3
    assert "7 trainings and gradient checks in 60 on 2 threads<" in text and "checks in 61<" in text
    assert ">46 %</td>" in text and ">46 %</td>" not in alone


def test_the_page_of_a_training_has_all_that_it_records(folder):
    [path] = folder.glob("*-train-first")
    text = (path / "run.html").read_text()
    for words in ("SYNTHETIC", "70.00%", "training.lambda", "Confusions", "numpy", "Weights", "train_cost", "1.25",
                  f"cifarnet train --config {path / 'config.yaml'}"):  # fmt: skip
        assert words in text, words
    assert text.count("data:image/png;base64,") == len(plots.FIGURES) == 3
    assert all(f"--training: {style['training']};" in text for style in plots.style.PAGE.values())
    rows = text[text.index("<h2>Confusions") : text.index("<h2>Settings")]
    assert [rows.count(f">{count}</td>") for count in (30, 10, 20, 40)] == [1, 1, 1, 1]
    assert rows.index(">10<") < rows.index(">dog</th><td")


def test_a_run_without_results_has_a_page_where_nothing_is_taken_for_html(folder):
    [path] = folder.glob("*-train-lost")
    text = (path / "run.html").read_text()
    assert "a cost of &lt;infinity&gt;" in text and "try a smaller eta &amp; see" in text
    assert "<img" not in text


def test_the_index_has_a_row_a_run_with_what_differs_and_leaves_damaged_ones_out(folder):
    text = (folder / "index.html").read_text()
    assert "3 runs" in text and text.count("<tr>") == 4
    assert ">lambda</th>" in text and ">0.01</td>" in text and ">50.00%</td>" in text
    assert "damaged" not in text


def test_a_run_that_is_left_says_so_on_its_page(tmp_path):
    settings = finished(tmp_path / "other").settings
    for error, status in ((KeyboardInterrupt, "interrupted"), (ValueError, "failed")):
        run = Run.create(tmp_path, "gradcheck", settings, environment={})
        with pytest.raises(error), pages.page_of(run):
            raise error
        assert run.status == status and status in (run.path / "run.html").read_text()
    with pages.page_of(run):
        pass
    (run.path / "run.html").unlink()
    pages.write_missing(run)
    assert (run.path / "run.html").is_file()
    (run.path / "run.json").unlink()
    with pytest.raises(RunError):
        pages.write(Run(run.path))


def test_a_folder_whose_name_is_not_utf8_has_its_page_and_its_link(tmp_path):
    path = tmp_path / "odd\udcff <&>"
    finished(tmp_path).path.rename(path)
    text = pages.write_index(tmp_path, catalog.list_runs(tmp_path)).read_text()
    assert '<a href="odd%FF%20%3C%26%3E/run.html">odd? &lt;&amp;&gt;</a>' in text
    assert (path / "run.html").is_file()


@pytest.fixture
def opened(browser, folder):
    """Open every page in turn, in a viewport of a width in CSS pixels."""

    def opened(width):
        metrics = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        for path in (folder / "index.html", folder / "report.html", *folder.glob("*-train-*/run.html")):
            browser.get(path.as_uri())
            browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
            yield path

    return opened


@pytest.mark.parametrize("width", [390, 1280])
def test_pages_load_without_errors_and_fit(browser, opened, width):
    for path in opened(width):
        assert browser.get_log("browser") == [], path
        assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
        assert browser.execute_script("return [...document.images].every(i => i.naturalWidth > 0)")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        widths = "return [...document.querySelectorAll('svg.chart')].map(s => s.getBoundingClientRect().width)"
        assert all(width > 200 for width in browser.execute_script(widths))


def test_links_resolve_and_everything_can_be_read_aloud(browser, opened):
    script = """return [
      [...document.images].every(i => i.alt.length > 10),
      [...document.querySelectorAll('svg.chart')].every(s => s.getAttribute('aria-label').length > 20),
      [...document.querySelectorAll('table')].every(t => t.querySelector('thead th[scope=col]')),
      [...document.querySelectorAll('table')].every(t => t.querySelector('tbody th[scope=row]')),
      document.querySelectorAll('h1').length == 1 && !!document.documentElement.lang,
      (ids => new Set(ids).size == ids.length)([...document.querySelectorAll('[id]')].map(e => e.id)),
      [...document.querySelectorAll('a[href^="#"]')].every(a => document.getElementById(a.hash.slice(1))),
    ]"""
    for path in opened(1280):
        assert browser.execute_script(script) == [True] * 7, path
        links = browser.execute_script("return [...document.links].map(a => a.getAttribute('href'))")
        files = [link for link in links if not link.startswith("#") and link not in ("numbers.csv", "report.md")]
        assert all((path.parent / link).exists() for link in files), files


def test_a_dark_page_is_dark_and_its_lines_are_light(browser, opened):
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    for _ in opened(1280):
        script = "return [getComputedStyle(document.body).backgroundColor, ...[...document.querySelectorAll("
        script += "'svg.chart path[stroke*=training]')].map(p => getComputedStyle(p).stroke)]"
        page, *lines = [sum(map(int, colour[4:-1].split(","))) for colour in browser.execute_script(script)]
        assert page < 150 and all(line > 300 for line in lines)
