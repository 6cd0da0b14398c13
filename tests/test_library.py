"""cifarnet as a library, and predict, which uses it: runs, records, probabilities and figures from Python."""

import csv
import doctest
import io
import json
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import cifarnet
from cifarnet import data, library, network
from cifarnet.cli.predict import predict
from cifarnet.errors import ConfigError, DataError
from cifarnet.model import Model

TINY = {"data": {"source": "synthetic", "limit": 1000}, "training": {"schedule": {"n_s": 10}}}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run on synthetic images."""
    return cifarnet.train(TINY, runs_dir=tmp_path_factory.mktemp("runs"), label="tiny", seed=3)


@pytest.fixture
def call(run):
    """Run predict with the run's folder; returns the result of click."""

    def call(*arguments):
        return CliRunner().invoke(predict, [str(run.path), *map(str, arguments)])

    return call


@pytest.fixture
def cat(tmp_path):
    """A picture of 60 x 40 pixels whose middle square is red, and its sides blue."""
    image = Image.new("RGB", (60, 40), "blue")
    image.paste("red", (10, 0, 50, 40))
    image.save(tmp_path / "cat.png")
    return tmp_path / "cat.png"


def test_the_examples_of_the_documentation_run(tmp_path, monkeypatch):
    """Every >>> of the library's docstrings prints what it says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CIFARNET_SET", raising=False)
    result = doctest.testmod(library)
    assert result.attempted > 10
    assert result.failed == 0


def test_importing_cifarnet_is_light():
    """numpy comes with the first name that needs it, and all names are there."""
    code = "import sys, cifarnet; assert 'numpy' not in sys.modules; cifarnet.load; assert 'numpy' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert all(hasattr(cifarnet, name) for name in dir(cifarnet))
    with pytest.raises(AttributeError, match="has no attribute 'loda'"):
        cifarnet.loda  # noqa: B018


def test_a_loaded_run_has_its_records_settings_and_results(run):
    """The arrays are those of metrics.csv; the settings are those that were given, flags over all."""
    again = cifarnet.load(run.path)
    assert again.status == "completed"
    assert (again.settings.label, again.settings.seed, again.settings.data.limit) == ("tiny", 3, 1000)
    assert again.records["step"].tolist() == list(range(0, 21, 2))
    assert again.results["updates"] == 20


def test_a_training_left_early_goes_on(run, tmp_path):
    """`LoadedRun.resume` ends with the same bytes; the page of the run then says completed."""
    for record in (training := cifarnet.start(TINY, runs_dir=tmp_path, label="tiny", seed=3)):
        if record.step == 7:
            break
    assert training.run.status == "interrupted"
    assert [record.step for record in training.run.resume()] == list(range(8, 21))
    for name in ("model.npz", "metrics.csv"):
        assert (training.run.path / name).read_bytes() == (run.path / name).read_bytes()
    assert "completed" in (training.run.path / "run.html").read_text()


def test_predict_agrees_with_evaluate(run):
    """On the test images, as pixels in both layouts and in both ranges, the accuracy is that of the run."""
    test = data.load(run.settings.data)
    pixels = test.pixels(test.test, range(2000))
    P = run.predict(pixels)
    np.testing.assert_allclose(
        P, network.predict(run.model.theta, run.model.sizes, test.test.X[:2000]), rtol=1e-3, atol=1e-5
    )
    rows = pixels.transpose(0, 3, 1, 2).reshape(-1, 3072)
    assert (run.predict(rows) == P).all()
    np.testing.assert_allclose(run.predict(rows / 255), P, atol=1e-6)
    found = run.evaluate()
    assert found["accuracy"] == run.results["test_accuracy"]


def test_what_are_no_images_is_refused():
    """Other shapes and normalised values would give probabilities that mean nothing."""
    model = Model(np.zeros(3073 * 10, np.float32), (3072, 10), np.zeros(3072), np.ones(3072), tuple("abcdefghij"))
    assert model.predict(np.zeros((0, 32, 32, 3), np.uint8)).shape == (0, 10)
    with pytest.raises(ValueError, match=r"shape \(2, 3, 32, 32\)"):
        model.predict(np.zeros((2, 3, 32, 32)))
    with pytest.raises(ValueError, match="from 0 to 255 or fractions from 0 to 1"):
        model.predict(np.full((1, 3072), -0.5))


@pytest.mark.parametrize("name", ["curves", "eta", "weights"])
def test_every_figure_is_drawn_on_given_axes(run, name):
    """On one's own axes, in a figure of one's own; a wrong name is refused."""
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.subplots(1, 3)
    assert run.draw(name, axes=axes if name == "curves" else axes[1]) is figure
    assert axes[1].has_data()
    with pytest.raises(ValueError, match="no figure 'curve'"):
        run.draw("curve")


def test_a_wrong_setting_in_a_dict_is_named(tmp_path):
    """As in a file."""
    with pytest.raises(ConfigError, match=r"did you mean training\.lambda"):
        cifarnet.start({"training": {"lamda": 1}}, runs_dir=tmp_path)


def test_a_training_that_is_left_is_interrupted(tmp_path):
    """Iteration is the training: stop, and the folder says so."""
    training = cifarnet.start(TINY, runs_dir=tmp_path)
    records = iter(training)
    next(records), next(records)
    assert training.run.status == "running"
    records.close()
    assert training.run.status == "interrupted"
    assert training.plan.updates == 20


def test_a_picture_is_cropped_to_its_middle_and_scaled(cat):
    """Of 60 x 40 pixels the 40 in the middle, all red; a picture of 32 x 32 stays as it is."""
    pixels = data.picture(cat)
    assert pixels.shape == (32, 32, 3)
    assert (pixels == [255, 0, 0]).all()
    exact = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    Image.fromarray(exact).save(cat.with_name("exact.png"))
    assert (data.picture(cat.with_name("exact.png")) == exact).all()


@pytest.mark.parametrize("name", ["L.png", "LA.png", "P.png", "RGBA.png", "L.jpg", "CMYK.jpg", "RGBA.webp", "I;16.png"])
def test_pictures_of_every_kind_are_read(tmp_path, name):
    """Grey, palettes, transparency, CMYK, 16 bits: the same grey comes out."""
    mode, path = name.partition(".")[0], tmp_path / name
    deep = Image.fromarray(np.full((50, 50), 153 * 257, np.uint16))
    (deep if mode == "I;16" else Image.new("RGB", (50, 50), (153, 153, 153)).convert(mode)).save(path)
    assert np.abs(data.picture(path).astype(int) - 153).max() <= 2


def test_what_is_transparent_is_white(tmp_path):
    """Also where its hidden colour is another."""
    Image.new("RGBA", (9, 9), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (data.picture(tmp_path / "clear.png") == 255).all()


def test_broken_pictures_are_named_and_skipped(call, cat):
    """Cut short, empty, text, not there: a line each on standard error, exit code 1, the whole one classified."""
    folder = cat.parent
    (folder / "cut.png").write_bytes(cat.read_bytes()[:60])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.webp").write_text("no picture")
    done = call(cat, folder / "cut.png", folder / "empty.jpg", folder / "text.webp", folder / "nowhere.png")
    assert done.exit_code == 1
    assert done.stderr.count("skipped: ") == 4
    for name in ("cut.png", "empty.jpg", "text.webp", "nowhere.png"):
        assert name in done.stderr
    assert "airplane" in done.stdout
    with pytest.raises(DataError, match=r"cut\.png: no picture that can be read"):
        data.picture(folder / "cut.png")


def test_a_folder_of_pictures_becomes_csv(call, run, cat):
    """A line each, probabilities that add up to 1, the class the likeliest; other files are not looked at."""
    (cat.parent / "notes.txt").write_text("")
    Image.new("RGB", (500, 300), "green").save(cat.parent / "b.JPG")
    done = call(cat.parent)
    assert done.exit_code == 0, done.output
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["image"] for row in rows] == [str(cat.parent / "b.JPG"), str(cat)]
    for row in rows:
        p = {name: float(row[name]) for name in run.model.classes}
        assert abs(sum(p.values()) - 1) < 1e-4
        assert row["class"] == max(p, key=p.get)


def test_predictions_as_json_and_as_a_picture(call, run, cat):
    """The same numbers; the figure lies in the run folder and says SYNTHETIC."""
    done = call(cat, "--json", "--picture", "--format", "svg")
    found = json.loads(done.stdout)
    expected = run.predict(data.picture(cat)[None])[0]
    assert list(found["images"][0]["probabilities"].values()) == pytest.approx(expected.tolist())
    figure = (run.path / "figures" / "predictions.svg").read_text()
    assert "cat.png" in figure
    assert "SYNTHETIC" in figure


def test_an_empty_folder_is_wrong_usage(call, tmp_path):
    """The message names it."""
    done = call(tmp_path)
    assert done.exit_code == 2
    assert "no pictures in there" in done.stderr
