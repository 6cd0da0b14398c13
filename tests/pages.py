"""Runs of every kind and status with their pages, and the page of a report."""

import json
import re

import numpy as np

from cifarnet import pages, plots, reports
from cifarnet.experiments import pool
from cifarnet.runs import Run, catalog
from cifarnet.studies import read_studies
from tests.seventh import STUDY
from tests.test_plots import finished, ranged


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


def every_page(folder):
    """Runs of every kind and status, one that is damaged, the index over them, and a report; a link to each page."""
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
