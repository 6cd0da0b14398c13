"""Runs for other tools: each opened by the tool itself, or by its own reader, and compared; scikit-learn's rules."""

import csv
import doctest
import importlib
import json
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import cifarnet
from cifarnet.errors import ConfigError, Diverged, RunError
from cifarnet.export import export, forms, handin
from cifarnet.nn.network import named_views
from tests.common import SHORT

slow = partial(pytest.param, marks=pytest.mark.slow)


@pytest.fixture(scope="module", params=[{}, slow({"dims": 100}), {"hidden": []}, slow({"hidden": [7, 5]})], ids=str)
def run(request, tmp_path_factory):
    """A finished run: two layers, fewer inputs, one layer, three layers."""
    extra = [f"{'data' if key == 'dims' else 'network'}.{key}={value}" for key, value in request.param.items()]
    return cifarnet.train(SHORT, extra, runs_dir=tmp_path_factory.mktemp("runs"), formats=["svg"])


def test_onnxruntime_gives_the_same_probabilities(run):
    """From pixels, to 1e-5, for any number of images, none included; classes in the metadata."""
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    [name] = export(run, "onnx")
    session = runtime.InferenceSession(str(run.path / name), providers=["CPUExecutionProvider"])
    for n in (0, 1, 64):
        images = np.random.default_rng(n).integers(0, 256, (n, 32, 32, 3), np.uint8)
        [P] = session.run(None, {"pixels": images})
        assert P.shape == (n, 10)
        np.testing.assert_allclose(P, run.predict(images), atol=1e-5, rtol=0)
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == list(run.model.classes)


def test_the_event_file_holds_curves_figures_and_settings(run):
    """Read back record by record; exported again, the file is replaced."""
    pytest.importorskip("tensorboardX")
    [name] = export(run, "tensorboard")
    assert export(run, "tensorboard") == [name]
    assert len(list((run.path / name).parent.iterdir())) == 1
    events = list(read_events((run.path / name).read_bytes()))
    assert events[0].file_version == "brain.Event:2"
    values = {(value.tag, event.step): value for event in events for value in event.summary.value}
    records = run.records
    for step, accuracy in zip(records["step"], records["validation_accuracy"], strict=True):
        assert values["accuracy/validation", int(step)].simple_value == pytest.approx(accuracy)
    assert values["eta", 2].simple_value == pytest.approx(records["eta"][1])
    assert values["curves", 0].image.encoded_image_string.startswith(b"\x89PNG")
    assert (("weights", 0) in values) is (run.settings.data.dims is None)
    assert any(tag.startswith("settings") for tag, _ in values)


def read_events(content):
    """The events of a file of TFRecords, each with a checksum of its length and of its content."""
    import struct

    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c

    while content:
        length, check = struct.unpack("<QI", content[:12])
        body = content[12 : 12 + length]
        assert check == masked_crc32c(content[:8])
        assert struct.unpack("<I", content[12 + length : 16 + length])[0] == masked_crc32c(body)
        event = Event()
        event.ParseFromString(body)
        yield event
        content = content[16 + length :]


def test_tables_hold_every_number(run):
    """Weights come back to the last bit, records as they are, settings and results by key."""
    files = export(run, "csv")
    read = {name: list(csv.reader((run.path / name).read_text().splitlines())) for name in files}
    for name, values in named_views(run.model.theta, run.model.sizes).items():
        table = np.array(read[f"export/{name}.csv"][1:], np.float32)
        assert (table.reshape(values.shape) == values).all()
    header, *rows = read["export/metrics.csv"]
    assert header == list(run.records)
    assert [float(row[0]) for row in rows] == run.records["step"].tolist()
    assert dict(read["export/summary.csv"])["results.test_accuracy"] == str(run.results["test_accuracy"])
    assert dict(read["export/summary.csv"])["settings.data.source"] == "synthetic"


@pytest.mark.parametrize(("to", "module"), [("onnx", "onnx"), ("tensorboard", "tensorboardX")])
def test_a_missing_extra_says_what_to_install(run, monkeypatch, to, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=rf"pip install 'cifarnet\[{to}\]'"):
        export(run, to)


@pytest.fixture
def classifier():
    """scikit-learn takes seconds to import."""
    return pytest.importorskip("cifarnet.export.sklearn", exc_type=ImportError).CifarnetClassifier


@pytest.fixture
def digits():
    return pytest.importorskip("sklearn.datasets").load_digits(return_X_y=True)


def test_the_classifier_passes_all_checks_of_scikit_learn(classifier):
    from sklearn.utils.estimator_checks import check_estimator

    check_estimator(classifier(n_s=25), on_skip=None)


def test_the_example_of_the_classifier_runs(classifier):
    assert doctest.testmod(sys.modules[classifier.__module__]).failed == 0


def test_the_classifier_learns_digits_in_a_pipeline_and_a_search(classifier, digits):
    """Better than 90 % on images that it has not seen, with lambda chosen by cross-validation."""
    from sklearn.model_selection import GridSearchCV, train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    X, y = digits
    model = make_pipeline(StandardScaler(), classifier(n_s=60, random_state=1))
    X, unseen, y, labels = train_test_split(X, y, random_state=0)
    search = GridSearchCV(model, {"cifarnetclassifier__lam": [0, 0.001]}, cv=2).fit(X, y)
    assert search.score(unseen, labels) > 0.9


def test_the_same_random_state_gives_the_same_network(classifier, digits):
    """To the last bit; a layer may be its number of nodes, one of NumPy's; another state gives another network."""
    kinds = [((20,), 5, 1), (20, 5.0, 1), ((np.int64(20),), 5, 1), (20, 5, 2)]
    thetas = [classifier(hidden, n_s=n_s, random_state=seed).fit(*digits).theta_ for hidden, n_s, seed in kinds]
    assert [(theta == thetas[0]).all() for theta in thetas] == [True, True, True, False]


def test_a_constant_column_says_nothing(classifier, digits):
    """Its deviation is 0 but for rounding: an input that differs by a thousandth is not a million deviations away."""
    X, y = (part[:200] for part in digits)
    network = classifier(n_s=20, random_state=0, batch_size=20.0).fit(np.column_stack([X, np.full(len(X), 0.1)]), y)
    assert network.score(np.column_stack([X, np.full(len(X), 0.101)]), y) > 0.5


def test_a_batch_may_have_all_rows_and_no_more(classifier):
    X, y = np.random.default_rng(0).standard_normal((12_000, 2)), np.arange(12_000) % 2
    both = [classifier((), batch_size=size, n_s=1, random_state=1).fit(X, y).theta_ for size in (11_000, 99_000)]
    assert not (both[0] == both[1]).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"lam": -1}, "training.lambda = -1"),
        ({"hidden": (20, 0)}, "network.hidden"),
        ({"eta_min": 0.2, "eta_max": 0.1}, "training.schedule.eta_min = 0.2: must be at most eta_max"),
    ],
)
def test_the_classifier_validates_as_a_config_does(classifier, digits, wrong, message):
    with pytest.raises(ValueError, match=message):
        classifier(**wrong).fit(*digits)


def test_without_scikit_learn_the_error_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "cifarnet.export.sklearn", raising=False)
    for name in {"sklearn", *(name for name in sys.modules if name.startswith("sklearn."))}:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=r"pip install 'cifarnet\[sklearn\]'"):
        importlib.import_module("cifarnet.export.sklearn")


# A student's own report


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of each part of the assignment, of two seeds for the cycles; labels have what LaTeX and Markdown eat."""
    folder = tmp_path_factory.mktemp("runs")
    few = {"data": SHORT["data"] | {"validation": 100, "dims": 6}, "training": SHORT["training"]}
    stage = {"trials": 4, "n_s": 5, "cycles": 1}
    search = {"coarse": stage, "fine": stage, "final": {"train": [1], "validation": 100, "n_s": 5, "cycles": 1}}
    to, fast = {"runs_dir": folder, "formats": ["png"]}, ["data.source=synthetic", "training.schedule.epochs=2"]
    made = [cifarnet.train(few, seed=seed, label="a_b", **to) for seed in (1, 2)]
    made.append(cifarnet.train("overfit", [*fast, "data.validation=100"], **to))
    made.append(cifarnet.train("assignment-1", [*fast, "data.validation=100", "data.limit=1000"], **to))
    made.append(cifarnet.gradcheck(few, dims=3, samples=2, runs_dir=folder))
    made.append(cifarnet.find_eta(few, **to))
    made.append(cifarnet.search(few | {"search": search}, jobs=1, **to))
    made.append(cifarnet.search(stage="fine", earlier=made[-1], jobs=1, **to))
    made.append(cifarnet.train(made[-1].path / "best.yaml", **to))
    return made


def test_a_report_has_every_number_of_the_runs_in_the_order_of_the_assignment(runs, tmp_path):
    """As Markdown: sections, results, means over seeds, the best three trials, the final result, blanks, figures."""
    [path, *figures] = handin.write(runs, "md", tmp_path / "mine")
    text = path.read_text()
    headings = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    assert headings == [part.title for key, part in handin.PARTS.items() if key != "two layers"] + [
        "Where the numbers come from"
    ]
    assert "SYNTHETIC" in text
    for run in runs:
        assert run.name.replace("_", r"\_") in text
        numbers = [run.results[f"{split}_accuracy"] for split in ("train", "test")] if run.kind == "train" else []
        assert all(f"| {100 * number:.2f} % |" in text for number in numbers)
    mean = np.mean([run.results["test_accuracy"] for run in runs[:2]])
    deviation = np.std([run.results["test_accuracy"] for run in runs[:2]], ddof=1)
    assert f"| {100 * mean:.2f} ± {100 * deviation:.2f} % |" in text
    for search in runs[6:8]:
        for rank, trial in enumerate(search.trials[:3], 1):
            assert f"| {rank} | {trial['lambda']:.4g} | {100 * trial['validation_accuracy']:.2f} % |" in text
    assert f"classifies {100 * runs[-1].results['test_accuracy']:.2f} % of the test images rightly" in text
    assert all(f"Settings of search, {stage}\n" in text for stage in ("coarse", "fine"))
    assert text.count("[Your words:") > 8
    assert figures and all(f"]({figure.relative_to(path.parent)})" in text for figure in figures)
    assert all(figure.read_bytes().startswith(b"\x89PNG") for figure in figures)
    assert handin.missing(runs) == {} and "Fine search" in handin.missing(runs[:3])


def test_a_report_is_written_into_the_folder_that_is_named(runs, tmp_path, monkeypatch):
    """Also into the one where one is, and into one whose parents are missing."""
    monkeypatch.chdir(tmp_path)
    for folder in (Path(), Path("a/b")):
        report, *figures = handin.write(runs[:4], "md", folder)
        assert report == folder / "report.md" and figures
        assert all(file.is_file() for file in (report, *figures))


def test_runs_of_two_folders_may_be_called_the_same(runs, tmp_path):
    """Also where ``latest`` names them: each keeps its figures, and its own name."""
    paths = [shutil.copytree(runs[3].path, tmp_path / folder / runs[3].name) for folder in "ab"]
    (paths[1] / "figures/curves.png").write_bytes(b"other")
    for path in paths:
        (path.parent / "latest").symlink_to(path.name)
    found = [cifarnet.load(path.parent / "latest") for path in paths]
    assert [run.name for run in found] == [runs[3].name] * 2
    report, *figures = handin.write(found, "md", tmp_path / "report")
    assert len(set(figures)) == len(figures)
    assert [figure.read_bytes() == b"other" for figure in figures if "curves" in figure.name] == [False, True]
    assert all(f"]({figure.relative_to(report.parent)})" in report.read_text() for figure in figures)


def test_a_report_is_never_overwritten_and_needs_runs_that_have_ended(runs, tmp_path):
    handin.write(runs[:1], "md", tmp_path)
    with pytest.raises(RunError, match="is there, perhaps with your words in it"):
        handin.write(runs[:1], "md", tmp_path)
    stopped = cifarnet.start(SHORT, runs_dir=tmp_path)
    stopped.close()
    with pytest.raises(RunError, match=r"no result to report: it was interrupted.*--resume"):
        handin.write([stopped.run], "tex", tmp_path)
    assert not (tmp_path / "report.tex").exists()


def test_a_report_says_which_training_diverged(runs, tmp_path):
    with pytest.raises(Diverged):
        cifarnet.train(runs[0].settings, ["training.schedule.eta_max=1e30"], runs_dir=tmp_path, label="blown")
    lost = cifarnet.load("latest", tmp_path)
    [path, *_] = handin.write([*runs[:2], lost], "md", tmp_path / "mine")
    assert re.search(r"\nblown diverged: the (cost|loss) .*lower eta", path.read_text())
    assert "of 2 seeds" in path.read_text()


def test_a_report_as_html_is_one_file(runs, tmp_path):
    [path] = handin.write(runs, "html", tmp_path)
    addresses = re.findall(r'(?:src|href)="([^"]{0,20})', path.read_text())
    assert addresses and all(address.startswith("data:image/") for address in addresses)
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex: apt-get install texlive-latex-base")
def test_a_report_compiles_with_pdflatex(runs, tmp_path):
    """With all figures as PDF, drawn from the records where the run folder has PNG alone."""
    [path, *figures] = handin.write(runs, "tex", tmp_path)
    assert {figure.suffix for figure in figures} == {".pdf"}
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", path.name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


def test_text_means_itself_in_every_form():
    r"""What a folder holds is never a command: \input of LaTeX, a tag of HTML, a picture of Markdown."""
    hostile = r"\input{/etc/passwd} <b> [x](y) & % $1 #_^~ |"
    assert forms.tex(r"\input{a_b}") == r"\textbackslash{}input\{a\_b\}"
    assert forms.tex("1e-05, 2.1e-05") == r"$10^{-5}$, $2.1 \cdot 10^{-5}$"
    assert forms.tex("20261127-train-1e-3-curves, n_s") == "20261127-train-1e-3-curves, $n_s$"
    assert forms.tex("η_min, n_s, 10^l, λ ± 日") == r"$\eta_{\min}$, $n_s$, $10^{l}$, $\lambda$ $\pm$ ?"
    assert forms.markdown("<b> [x](y) |") == r"\<b\> \[x\](y) \|"
    assert "<b>" not in forms.marked(hostile)
    assert "\n" not in forms.tex("a\n\n\\end{document}") + forms.markdown("a\n\n# b")
