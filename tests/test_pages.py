"""The pages of runs and of the report: what they say, and that a real browser shows it, where there is one."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from cifarnet import config, pages, plots, readable, reports
from cifarnet.api import compare
from cifarnet.errors import RunError
from cifarnet.experiments import gradients, pool, range_test
from cifarnet.nn.schedules import Ramp
from cifarnet.pages import render
from cifarnet.plots.style import PAGE
from cifarnet.runs import Run, catalog
from cifarnet.studies import read_studies
from tests.test_plots import finished, ranged

KINDS = ("index", "first", "stopped", "goes-on", "diverges", "search", "check", "range", "report")


def started(runs_dir, kind, label, **more):
    """A run of a kind, with settings that no figure needs."""
    settings = finished(runs_dir / "other", label).settings.model_copy(update={"label": label})
    return Run.create(runs_dir, kind, settings, environment={}, **more)


def searched(runs_dir):
    """A coarse search of lambda with two seeds: two trials are completed, one has diverged, one is missing."""
    values = [1e-3, 0.0, 1e-1, 1e-5]
    trials = [{"index": i, "seed": s, "values": {"training.lambda": v}} for i, v in enumerate(values) for s in (1, 2)]
    plan = {"stage": "coarse", "general": False, "space": {"training.lambda": {"log10": [-5, -1]}}, "trials": trials}
    run = started(runs_dir, "search", "search", files={"plan.json": plan})
    for index, seed, accuracy in ((0, 1, 0.40), (1, 1, 0.45), (0, 2, 0.42), (1, 2, 0.47), (2, 1, None)):
        status = "diverged" if accuracy is None else "completed"
        row = {"index": index, "seed": seed, "lambda": values[index], "cycles": 1, "best_validation_accuracy": accuracy}
        row |= {"validation_accuracy": accuracy, "validation_loss": 1.5, "seconds": 2.0, "status": status}
        run.append(row, "trials.csv")
    run.finish("completed", results={"trials": 4})
    return run


def checked(runs_dir):
    """A gradient check that fails at one of two parameters."""
    run = started(runs_dir, "gradcheck", "check")
    row = {"method": "centred", "hidden": [10, 10], "lambda": 0.1, "max_relative_error": 1e-5, "n": 2000, "kinks": 0}
    right = row | {"name": "W1", "norm_relative_error": 3e-10, "tolerance": 1e-8, "passed": True}
    wrong = row | {"name": "b1", "norm_relative_error": 0.25, "tolerance": 1e-8, "passed": False}
    run.finish("completed", results={"passed": False, "parameters": [right, wrong]})
    return run


STUDY = """
title: A seventh report
author: N. N.
year: 2021
exhibits:
  - id: runs
    title: Two trainings
    place: Section 2
    settings:
      data: {train: [1], validation: 100, dims: 20, limit: 200}
      network: {hidden: [8]}
      training: {batch_size: 20, schedule: {kind: cyclic, n_s: 10, cycles: 1}}
      evaluation: {per_cycle: 4}
    figures: [cost, loss, accuracy, eta]
    rows:
      - {id: a, title: lambda 0, reported: [{text: 46%, measure: test_accuracy}]}
      - id: b
        title: lambda 0.1
        settings: {training: {lambda: 0.1}}
        reported: [{text: "0.1000", measure: test_accuracy}]
  - id: one
    title: One layer
    place: Section 3
    settings: {data: {train: [1], validation: 100, limit: 200}, network: {hidden: []}, training: {schedule: {n_s: 2}}}
    figures: [loss, templates]
    rows: [{id: one, title: one layer}]
"""


def reported(folder):
    """The page of two reports of one author and year, trained on synthetic data."""
    source = folder / "studies"
    source.mkdir(parents=True)
    (source / "seventh.yaml").write_text(STUDY)
    (source / "eighth.yaml").write_text(STUDY.replace("seventh", "eighth"))
    studies, scope = read_studies(source), reports.Scope(1, synthetic=True)
    with pool.local(1) as executor:
        for _ in reports.reproduce(studies, scope, folder, executor, None):
            pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Runs of every kind and status, one that is damaged, the index over them, and a report; a link to each page."""
    folder = tmp_path_factory.mktemp("runs")
    first, second = finished(folder, "first", 0.1), finished(folder, "second", 0.01)
    assert plots.draw(first) == plots.draw(second) == []
    first.write("figures/mistakes-test.png", plots.render(plots.weights(np.eye(3072, 3)), "png"))
    runs = {"first": first, "search": searched(folder), "check": checked(folder), "range": ranged(folder)}
    for label in ("stopped", "goes-on"):
        runs[label] = started(folder, "train", label)
        runs[label].write("metrics.csv", cycles(first))
    runs["stopped"].finish("interrupted", updates=12)
    runs["diverges"] = started(folder, "train", "diverges")
    runs["diverges"].finish("diverged", error="a cost of <infinity>")
    runs["diverges"].note("try a smaller eta & see")
    (folder / "damaged").mkdir()
    (folder / "damaged" / "run.json").write_text("{")
    pages.write_index(folder, catalog.list_runs(folder))
    reported(folder / "reports")
    found = {name: run.path / "run.html" for name, run in runs.items()}
    found |= {"index": folder / "index.html", "report": folder / "reports" / "index.html"}
    yield found
    runs["goes-on"].release()


def cycles(run):
    """The curves of a run, as of two cycles and with the last record half written."""
    header, *rows = run.read_bytes("metrics.csv").decode().splitlines()
    lines = [f"{header},cycle", *(f"{row},{1 + (i > 5)}" for i, row in enumerate(rows))]
    return "\n".join(lines) + "\n24,0."


def charts(text):
    """The data of the charts of a page, as the script reads them."""
    found = re.findall(r"data-chart='([^']+)'", text)
    return {chart["title"]: chart for chart in map(json.loads, found)}


def test_the_page_of_a_training_has_all_that_it_records(folder):
    text = folder["first"].read_text()
    for words in ("SYNTHETIC", "70.00 %", "training.lambda", "Confusions", "numpy", "Weights", "train_cost", "1.25",
                  "Surest mistakes: test images", f"cifarnet train --config {folder['first'].parent / 'config.yaml'}",
                  f"cifarnet evaluate {folder['first'].parent}"):  # fmt: skip
        assert words in text, words
    assert all(f"--training: {theme['training']};" in text for theme in PAGE.values())
    rows = text[text.index("<h2>Confusions") : text.index("<figcaption>Weights")]
    assert re.findall(r"--shade: ([\d.]+)%\">(\d+)<", rows) == [
        ("45.0", "30"), ("15.0", "10"), ("20.0", "20"), ("40.0", "40")
    ]  # fmt: skip
    assert rows.index(">10<") < rows.index(">dog</th><td")
    assert "http-equiv" not in text


def test_curves_of_a_page_have_their_values_and_the_ends_of_cycles(folder):
    found = charts(folder["stopped"].read_text())
    assert list(found) == ["cost (loss + λ Σ W²)", "mean loss per image", "accuracy", "learning rate η"]
    accuracy = found["accuracy"]
    assert [s["name"] for s in accuracy["series"]] == ["training", "validation"]
    assert accuracy["unit"] == " %" and accuracy["marks"] == [10] and len(accuracy["series"][0]["x"]) == 11
    eta = found["learning rate η"]["series"][0]
    assert max(eta["y"]) == 0.1 and eta["x"][eta["y"].index(0.1)] == 10


def test_an_interrupted_run_shows_how_far_it_came_and_how_to_go_on(folder):
    text = folder["stopped"].read_text()
    assert f"cifarnet train --resume {folder['stopped'].parent}<" in text
    assert "after 20 of 20 updates" in text and "http-equiv" not in text


def test_the_page_of_a_run_that_goes_on_reloads_itself(folder):
    text = folder["goes-on"].read_text()
    assert '<meta http-equiv="refresh" content="5">' in text
    assert "--resume" not in text and len(charts(text)) == 4


def test_a_run_without_results_has_a_page_where_nothing_is_taken_for_html(folder):
    text = folder["diverges"].read_text()
    assert "a cost of &lt;infinity&gt;" in text and "try a smaller eta &amp; see" in text
    assert "<img" not in text and not charts(text)


def test_the_page_of_a_search_ranks_its_trials_and_says_what_is_next(folder):
    text, path = folder["search"].read_text(), folder["search"].parent
    rows = re.findall(r"<tr><th scope=\"row\">(\d)</th>(.*?)</tr>", text)
    assert [index for index, _ in rows] == ["1", "0", "2", "3"]
    cells = [re.findall(r"<td[^>]*>([^<]*)</td>", row) for _, row in rows]
    assert cells[0] == ["0", "46.00 %", "1.41 %", "46.00 %", "1.5000", "4.0 s", "completed"]
    assert [row[-1] for row in cells] == ["completed", "completed", "diverged", "missing"]
    assert "2 of 4 planned trials are completed" in text and ">46.00 %</div>" in text
    assert f"cifarnet search-lambda fine --from {path}<" in text and f"--config {path / 'best.yaml'}<" in text
    trials, best = charts(text)["validation accuracy"]["series"]
    assert trials["x"] == [-3.5, -3] and trials["y"] == [46, 41] and trials["notes"] == ["trial 1", "trial 0"]
    assert best["name"] == "best" and best["x"] == [-3.5], "0 stands left of the others"


def test_the_page_of_a_gradient_check_has_tolerance_and_verdict_of_each_parameter(folder):
    text = folder["check"].read_text()
    assert ">FAILED</div>" in text and "1 of 2 parameters differ from the numerical gradient" in text
    assert (
        '<th scope="row">W1</th><td class="good">✓ right</td><td class="n ">3.0e-10</td><td class="n ">1.0e-08' in text
    )
    assert '<th scope="row">b1</th><td class="bad">≠ wrong</td><td class="n ">2.5e-01</td>' in text


def test_the_page_of_a_range_test_has_its_curves_and_what_it_chose(folder):
    text = folder["range"].read_text()
    assert "Rule: by eye." in text and f"cifarnet train --config {folder['range'].parent / 'one.yaml'}" in text
    found = charts(text)
    assert list(found) == ["validation accuracy", "mean loss of the batches"]
    assert found["validation accuracy"]["x"] == "log₁₀ η" and found["validation accuracy"]["marks"] == [-3, -1]
    assert len(found["mean loss of the batches"]["series"][0]["x"]) == 8, "the first has no batch"
    assert found["mean loss of the batches"]["domain"] == found["validation accuracy"]["domain"] == [-4, 0]


def test_the_index_has_a_row_a_run_results_first_and_leaves_damaged_ones_out(folder):
    text = folder["index"].read_text()
    assert "8 runs" in text and text.count("<tr data-run=") == 8
    headings = re.findall(r"<th scope=\"col\"[^>]*>([^<]+)</th>", text)
    assert headings[:7] == ["run", "curve", "validation", "test", "kind", "status", "lambda"]
    assert ">0.01</td>" in text and ">50.00 %</td>" in text and "damaged" not in text
    assert text.count('<svg class="spark"') == text.count('type="checkbox"') == 4
    curves = json.loads(re.search(r'id="curves">(.*?)</script>', text)[1])
    assert all(len(found["step"]) == len(found["validation accuracy"]) == 11 for found in curves.values())


def test_runs_in_a_figure_are_named_by_what_differs(tmp_path):
    runs = [finished(tmp_path, "one", lam) for lam in (0.1, 0.01)]
    assert compare.legends(runs) == ["λ = 0.1", "λ = 0.01"]
    same = [*runs, finished(tmp_path, "two", 0.01)]
    assert compare.legends(same)[0] == "λ = 0.1"
    assert compare.legends(same)[1:] == [f"{name} λ = 0.01" for name in list(catalog.handles(same).values())[1:]]
    assert compare.legends(runs[:1]) == list(catalog.handles(runs[:1]).values())


def test_pages_are_light_and_carry_their_script_with_its_licence(folder):
    for path in folder.values():
        text = path.read_text()
        assert len(text.encode()) < 500_000
        assert "https://github.com/leeoniya/uPlot" in text and not re.findall(r'(?:src|href)="https?:', text)
    assert "MIT License" in (Path(pages.__file__).parent / "uplot" / "LICENSE").read_text()


def test_an_index_of_many_runs_stays_light(tmp_path, monkeypatch):
    """Here of a hundred, with a tenth of the points that an index may have."""
    monkeypatch.setattr("cifarnet.pages.index.TICKED", 12_000)
    run = finished(tmp_path)
    header, *rows = run.read_bytes("metrics.csv").decode().splitlines()
    run.write("metrics.csv", "\n".join([header, *rows * 3, ""]))
    for i in range(100):
        (tmp_path / f"20260101-{i:06}-train-first").symlink_to(run.path)
    runs = [Run.listed(path) for path in sorted(tmp_path.glob("20260101-*"))]
    text = render.html("index.html.j2", render.index(runs))
    assert text.count(b"<svg") == 100 and len(text) < 290_000, len(text)


def test_the_report_says_what_was_compared_and_folds(folder):
    text = folder["report"].read_text()
    assert text.count('<details class="exhibit"') == 4 and 'aria-label="Contents"' in text
    assert text.count(">N. N., 2021: A seventh report<") == text.count(">N. N., 2021: A eighth report<") == 3
    assert ">46 %</td>" in text and ">10.00 %</td>" in text, "accuracies have one format, with the report's digits"


@pytest.mark.parametrize(
    ("text", "shown"),
    [("46 %", "46 %"), ("46.13%", "46.13 %"), (".4586", "45.86 %"), ("0.1000", "10.00 %"), ("–", "–"), ("", "")],
)
def test_reported_accuracies_are_percentages(text, shown):
    assert readable.reported(text, "test accuracy") == shown
    assert readable.reported(text, "cost") == text


def test_a_damaged_record_is_said_on_the_page_and_the_index_stands(tmp_path):
    for kind, label, file in (
        ("train", "a", "metrics.csv"),
        ("search", "b", "plan.json"),
        ("train", "c", "confusion-test.csv"),
    ):
        run = started(tmp_path, kind, label)
        run.write(file, b"\xff\n")
        run.finish("completed", results={})
    run = started(tmp_path, "gradcheck", "d")
    run.finish("completed", results={"passed": True})
    pages.write_index(tmp_path, catalog.list_runs(tmp_path))
    texts = [path.read_text() for path in sorted(tmp_path.glob("[0-9]*/run.html"))]
    assert len(texts) == 4 and all("cannot be read" in text for text in texts)


def test_a_run_that_is_left_says_so_on_its_page(tmp_path):
    for error, status in ((KeyboardInterrupt(), "interrupted"), (ValueError("odd"), "failed")):
        run = started(tmp_path, "gradcheck", "left")
        with pytest.raises(type(error)), pages.live_page(run):
            raise error
        assert run.status == status and status in (run.path / "run.html").read_text()
        assert run.info.get("error", "") == str(error)
    with pages.live_page(run):
        pass
    (run.path / "run.json").unlink()
    with pytest.raises(RunError):
        pages.write(Run(run.path))


def test_a_page_is_written_anew_while_its_run_goes_on_but_not_all_the_time(tmp_path, monkeypatch):
    run = started(tmp_path, "train", "long")
    with pages.live_page(run) as refresh:
        refresh()
        assert not (run.path / "run.html").exists(), "two seconds have not passed"
        monkeypatch.setattr(render, "REFRESH_SECONDS", 0)
        refresh()
        assert 'http-equiv="refresh"' in (run.path / "run.html").read_text()
        run.finish("completed", results={})
    assert "http-equiv" not in (run.path / "run.html").read_text()


def test_the_pages_of_a_gradient_check_and_a_range_test_are_written_as_these_go_on(tmp_path, monkeypatch):
    """Each with what there is so far."""
    monkeypatch.setattr(render, "REFRESH_SECONDS", 0)
    images = {"source": "synthetic", "limit": 500, "validation": 1000, "dims": 20}
    settings = config.load({"data": images, "network": {"hidden": [5]}})
    for kind, experiment in (
        ("gradcheck", gradients.check(settings, runs_dir=tmp_path)),
        ("find-eta", range_test.start(settings, Ramp(eta_min=1e-3, eta_max=0.1, epochs=4), runs_dir=tmp_path)),
    ):
        records = iter(experiment)
        for _ in range(9):
            next(records)
        text = (experiment.run.path / "run.html").read_text()
        assert 'http-equiv="refresh"' in text and (kind == "gradcheck" or charts(text))
        records.close()
        text = (experiment.run.path / "run.html").read_text()
        assert "interrupted" in text and f"cifarnet {kind} --config {experiment.run.path / 'config.yaml'}" in text


def test_a_folder_whose_name_is_not_utf8_has_its_page_and_its_link(tmp_path):
    path = tmp_path / "odd\udcff <&>"
    finished(tmp_path).path.rename(path)
    text = pages.write_index(tmp_path, catalog.list_runs(tmp_path)).read_text()
    assert '<a href="odd%FF%20%3C%26%3E/run.html">odd? &lt;&amp;&gt;</a>' in text
    assert (path / "run.html").is_file()


@pytest.fixture
def opened(browser, folder):
    """Open a page in a viewport of a width in CSS pixels, light or dark, with or without scripts."""

    def opened(name, width=1280, theme="light", *, scripts=True, unfold=True):
        metrics = {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": theme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": features})
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not scripts})
        browser.get(folder[name].as_uri())
        if scripts and unfold:
            browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
            for place in browser.find_elements("css selector", ".live"):
                browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", place)
        return folder[name]

    yield opened
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def wait(browser, script, *arguments):
    """Wait until a script returns what is true; return that."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 30).until(lambda b: b.execute_script(f"return {script}", *arguments))


def hover(browser, place, selector):
    """Move the mouse into the middle of a chart; return the values that it then shows."""
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", place)
    over = wait(browser, "arguments[0].querySelector('.u-over')", place)
    box = browser.execute_script(
        "const b = arguments[0].getBoundingClientRect(); return [b.x, b.y, b.width, b.height]", over
    )
    for part in (0.45, 0.5):
        event = {"type": "mouseMoved", "x": box[0] + part * box[2], "y": box[1] + box[3] / 2}
        browser.execute_cdp_cmd("Input.dispatchMouseEvent", event)
    script = f"[...arguments[0].querySelectorAll('{selector}')].map(e => e.textContent).filter(t => /\\d/.test(t))"
    return wait(browser, f"(found => found.length > 1 && found)({script})", place)


@pytest.mark.parametrize(("width", "theme"), [(390, "dark"), (1280, "light")])
@pytest.mark.slow
def test_every_kind_of_page_fits_its_window_and_shows_values_under_the_mouse(browser, opened, width, theme):
    for name in KINDS:
        opened(name, width, theme)
        if name == "index":
            browser.execute_script("document.querySelectorAll('#runs input').forEach(box => box.click())")
        places = browser.find_elements("css selector", ".live, .overlay")
        assert len(places) == {"index": 1, "search": 1, "range": 2, "check": 0, "diverges": 0, "report": 18}.get(
            name, 4
        )
        for place in places[:4]:
            assert hover(browser, place, ".u-value"), name
        assert browser.get_log("browser") == [], name
        assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
        assert browser.execute_script("return [...document.images].every(i => i.naturalWidth > 0)")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width, name
        widths = "return [...document.querySelectorAll('.live .uplot')].map(s => s.getBoundingClientRect().width)"
        assert all(200 < found <= width for found in browser.execute_script(widths))
        ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, ground[4:-1].split(","))) < 150) == (theme == "dark")


@pytest.mark.slow
def test_lines_are_light_on_a_dark_page_and_change_with_it(browser, opened):
    opened("first", theme="dark")
    script = "getComputedStyle(document.querySelectorAll('.u-marker')[1]).borderTopColor"
    colour = wait(browser, f"document.querySelectorAll('.u-marker').length > 5 && {script}")
    assert sum(map(int, colour[4:-1].split(","))) > 300
    features = [{"name": "prefers-color-scheme", "value": "light"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    wait(browser, f"{script} != '{colour}'")


@pytest.mark.slow
def test_links_resolve_and_everything_can_be_read_aloud(browser, opened):
    script = """return [
      [...document.images].every(i => i.alt.length > 10),
      [...document.querySelectorAll('svg.chart, svg.spark')].every(s => s.getAttribute('aria-label').length > 20),
      [...document.querySelectorAll('main table:not(.u-legend)')].every(t => t.querySelector('thead th[scope=col]')),
      [...document.querySelectorAll('main table:not(.u-legend)')].every(t => t.querySelector('tbody th[scope=row]')),
      document.querySelectorAll('h1').length == 1 && !!document.documentElement.lang,
      (ids => new Set(ids).size == ids.length)([...document.querySelectorAll('[id]')].map(e => e.id)),
      [...document.querySelectorAll('a[href^="#"]')].every(a => document.getElementById(a.hash.slice(1))),
    ]"""
    for name in KINDS:
        path = opened(name)
        assert browser.execute_script(script) == [True] * 7, name
        links = browser.execute_script("return [...document.links].map(a => a.getAttribute('href'))")
        files = [link for link in links if not link.startswith("#")]
        assert all((path.parent / link).exists() for link in files), files


@pytest.mark.slow
def test_without_a_script_and_in_print_the_charts_stand_as_drawings(browser, opened):
    from selenium.webdriver.support.ui import WebDriverWait

    def shown(selector):
        return [found.is_displayed() for found in browser.find_elements("css selector", selector)]

    opened("first", scripts=False)
    assert shown("svg.chart") == [True] * 4 and shown(".uplot") == [] and shown("figure .key") == [True]
    opened("index", scripts=False)
    assert not any(shown(".scripted")) and len(shown("svg.spark")) == 4
    opened("first")
    WebDriverWait(browser, 30).until(lambda _: shown("svg.chart") == [False] * 4)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert shown("svg.chart") == [True] * 4 and not any(shown(".uplot"))


def column(browser, heading):
    """The texts of a column of the rows that are shown."""
    script = """
    const index = [...document.querySelectorAll('#runs thead th')].findIndex(th => th.textContent == arguments[0]);
    return [...document.querySelectorAll('#runs tbody tr')].filter(row => !row.hidden)
        .map(row => row.cells[index].textContent.trim())"""
    return browser.execute_script(script, heading)


@pytest.mark.slow
def test_the_index_is_sorted_by_a_click_and_filtered_by_words_and_conditions(browser, opened):
    opened("index", unfold=False)
    click = "[...document.querySelectorAll('#runs thead button')].find(b => b.textContent == arguments[0]).click()"
    browser.execute_script(click, "lambda")
    shown = [text for text in column(browser, "lambda") if text]  # what has none comes last
    assert column(browser, "lambda")[: len(shown)] == sorted(shown, reverse=True)
    browser.execute_script(click, "lambda")
    assert column(browser, "lambda")[: len(shown)] == sorted(shown)
    browser.execute_script(click, "test")
    assert [bool(text) for text in column(browser, "test")] == [True] * 2 + [False] * 6, "what has none comes last"
    filters = browser.find_element("css selector", "input[type=search]")
    for words, count in (
        ("stopped", 1),
        ("lambda<0.05 first", 0),
        ("lambda<0.05 second", 1),
        ("test>=70%", 2),
        ("x=y", 0),
    ):
        filters.clear()
        filters.send_keys(words)
        assert len(column(browser, "run")) == count, words
        assert browser.find_element("css selector", "output").text == f"{count} of 8"


@pytest.mark.slow
def test_ticked_runs_are_laid_over_each_other_and_named_by_what_differs(browser, opened):
    opened("index", unfold=False)
    figure = browser.find_element("css selector", ".overlays")
    assert not figure.is_displayed()
    rows = "[...document.querySelectorAll('#runs tbody tr')]"
    tick = (
        f"{rows}.filter(row => /first|second/.test(row.textContent)).forEach(row => row.querySelector('input').click())"
    )
    browser.execute_script(tick)
    labels = "[...document.querySelectorAll('.u-label')].map(e => e.textContent)"
    assert wait(browser, labels) == ["update step", "λ = 0.01", "λ = 0.1"]
    assert hover(browser, figure, ".u-value") == ["10", "31.68 %", "31.68 %"]
    browser.find_element("css selector", "option:nth-child(5)").click()
    assert hover(browser, figure, ".u-value")[1] == "1.6321"
    browser.execute_script(tick)
    assert not figure.is_displayed()


@pytest.mark.slow
def test_the_report_has_its_contents_in_sight_and_opens_what_a_link_leads_to(browser, opened):
    opened("report", unfold=False)
    browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true); scrollTo(0, 1500)")
    top = "document.querySelector('nav').getBoundingClientRect().top"
    assert wait(browser, f"scrollY > 500 && {top} >= 0 && {top} < 100")
    opened("report", unfold=False)
    assert [d.get_attribute("open") for d in browser.find_elements("css selector", ".exhibit")] == ["true", None] * 2
    browser.execute_script("location.hash = document.querySelectorAll('.exhibit')[1].id")
    assert wait(browser, "document.querySelectorAll('.exhibit')[1].open")
    browser.find_element("css selector", "button.fold").click()
    assert wait(browser, "document.querySelectorAll('.exhibit[open]').length == 4")
