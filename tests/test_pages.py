"""The pages of runs and of the report: what they say."""

import json
import re
from pathlib import Path

import pytest

from cifarnet import config, pages, readable
from cifarnet.api import compare
from cifarnet.errors import RunError
from cifarnet.experiments import gradients, range_test
from cifarnet.nn.schedules import Ramp
from cifarnet.pages import render
from cifarnet.plots.style import PAGE
from cifarnet.runs import Run, catalog
from tests.pages import charts, every_page, started
from tests.test_plots import finished


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    yield from every_page(tmp_path_factory.mktemp("runs"))


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
    assert text.count('<details class="exhibit"') == 6 and 'aria-label="Contents"' in text
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
