"""The figures: what is on them, in which order, the same bytes each time, whatever the user's matplotlib is set to."""

import html
import math
import re
from concurrent.futures import ThreadPoolExecutor

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from cifarnet import plots
from cifarnet.config import Settings
from cifarnet.nn.model import Model
from cifarnet.nn.network import parameter_count
from cifarnet.plots import charts, experiments, style
from cifarnet.plots.figures import ramps
from cifarnet.runs import Run
from tests.common import files

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
COLUMNS = [f"{split}_{name}" for split in ("train", "validation") for name in ("cost", "loss", "accuracy")]


def records(n, last=1000):
    t = np.linspace(0, 1, n)
    falling = {name: 1.5 + np.exp(-5 * t) + 0.1 * i * t for i, name in enumerate(COLUMNS)}
    return {"step": np.round(last * t)} | {k: 0.5 - 0.1 * v if "accuracy" in k else v for k, v in falling.items()}


def finished(runs_dir, label="first", lam=0.1, dims=None):
    """A completed training as a run folder, without having trained."""
    data = {"source": "synthetic", "limit": 1000, "dims": dims}
    training = {"lambda": lam, "schedule": {"kind": "cyclic", "n_s": 10}}
    settings = Settings.model_validate({"label": label, "data": data, "training": training})
    run = Run.create(runs_dir, "train", settings, environment={"numpy": "2.0", "data": {"official": False}})
    table = records(11, last=settings.updates)
    for row in zip(*table.values(), strict=True):
        run.append(dict(zip(table, row, strict=True)))
    theta = np.random.default_rng(0).normal(size=parameter_count(settings.sizes)).astype(np.float32)
    d = settings.sizes[0]
    run.write_arrays("model.npz", Model(theta, settings.sizes, np.zeros(d), np.ones(d), CLASSES).arrays(20))
    run.write("confusion-test.csv", "cat,dog\n30,10\n20,40\n")
    run.finish("completed", results={"test_accuracy": 0.7, "validation_accuracy": 0.5, "train_cost": 1.25})
    return run


def ranged(runs_dir):
    """A completed range test as a run folder."""
    settings = Settings.model_validate({"data": {"source": "synthetic", "limit": 1000}})
    run = Run.create(runs_dir, "find-eta", settings, environment={})
    for eta in np.geomspace(1e-4, 1, 9).tolist():
        run.append(
            {"eta": eta, "accuracy": 0.3 - (eta - 0.1) ** 2, "loss": math.nan if eta < 2e-4 else 2 + eta}, "one.csv"
        )
    found = {"one": {"training.schedule.eta_min": 1e-3, "training.schedule.eta_max": 0.1}}
    run.finish("completed", results={"rule": "Rule: by eye.", "found": found})
    return run


def texts(figure):
    """The text of the figure's SVG."""
    return re.findall(r"<text[^>]*>([^<]+)</text>", plots.render(figure, "svg").decode())


def tiles(figure, h, w):
    """The images in a figure's one montage, row by row, whose cells are h x w pixels."""
    picture = np.asarray(figure.axes[0].images[0].get_array())
    rows, columns = picture.shape[0] // h, picture.shape[1] // w
    return [picture[r * h : r * h + 32, c * w : c * w + 32, :3] for r in range(rows) for c in range(columns)]


def hidden(figure):
    return tiles(figure, 34, 34)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def some_figures():
    rng = np.random.default_rng(0)
    trials = [{"values": {"training.lambda": lam}, "accuracy": 0.4, "spread": 0.01} for lam in (0.0, 1e-3)]
    ramp = {"eta": np.geomspace(1e-5, 1, 9), "accuracy": np.linspace(0.1, 0.4, 9), "loss": np.linspace(2, 9, 9)}
    growth = [{"members": n, "mean_probability": 0.4, "majority_vote": 0.4} for n in (1, 2)]
    yield plots.curves(records(28), steps_per_epoch=100)
    yield plots.eta(np.arange(10), np.linspace(0, 1, 10), steps_per_epoch=3)
    yield plots.weights(rng.normal(size=(3072, 12)))
    yield plots.confusion(np.arange(100).reshape(10, 10), CLASSES)
    yield plots.overlay({"one": records(5), "other": records(9)})
    yield plots.predictions(np.zeros((1, 32, 32, 3), np.uint8), np.full((1, 10), 0.1), CLASSES, ["a.png"])
    yield plots.search({"coarse": trials, "fine": trials[1:]}, {"training.lambda": True})
    yield plots.range_test({"hidden-50": ramp}, {"hidden-50": (1e-4, 1e-1)}, log=True)
    yield plots.members([0.4, 0.3], growth)


@pytest.mark.slow
def test_same_input_gives_same_bytes_in_threads_and_under_any_matplotlibrc():
    kinds = ["png", "svg", "pdf"] * 3
    expected = [plots.render(*drawn) for drawn in zip(some_figures(), kinds, strict=True)]
    users = {"text.usetex": True, "font.size": 30, "axes.grid": False, "lines.linewidth": 9, "savefig.dpi": 20}
    with matplotlib.rc_context(users), ThreadPoolExecutor(4) as pool:
        assert list(pool.map(plots.render, some_figures(), kinds)) == expected
        assert matplotlib.rcParams["font.size"] == 30
    dates = b"<dc:date>", b"Date", b"Matplotlib", b"Software"
    assert not [word for word in dates for file in expected if word in file]


def test_names_from_outside_are_shown():
    names = ["$x^", "a_b$c$", "_under", "\\frac{", "odd\udcff.png", "two\nlines\0", "猫", "<&>", "x" * 18]
    n = len(names)
    ramp = {"eta": np.array([0.1, 1]), "accuracy": np.array([0.1, 0.2]), "loss": np.array([2.0, 1])}
    images, classes = np.zeros((n, 32, 32, 3), np.uint8), np.arange(n)
    for figure in (
        plots.overlay({name: records(3) for name in names}),
        plots.predictions(images, np.full((n, 2), 0.5), ("cat", "dog"), names),
        plots.confusion(np.eye(n, dtype=int), names),
        plots.mistakes(images, classes, classes, np.full(n, 0.9), names),
        plots.range_test({name: ramp for name in names}, {}, log=True),
    ):
        shown = " ".join(texts(figure))
        assert all(html.escape(style.plain(name), quote=False) in shown for name in names)


def test_curves_are_labelled_and_show_the_records_with_epochs_above_their_steps():
    table = records(28)
    figure = plots.curves(table, steps_per_epoch=100)
    shown = texts(figure)
    assert shown.count("update step") == shown.count("epoch") == 3
    assert {"cost (loss + λ Σ W²)", "mean loss per image", "accuracy (%)", "1,000"} <= set(shown)
    assert shown.count("training") == shown.count("validation") == 1
    for line, column in zip(figure.axes[2].lines, ("train_accuracy", "validation_accuracy"), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), table["step"])
        np.testing.assert_allclose(line.get_ydata(), 100 * table[column])
    training, validation = figure.axes[0].lines  # distinct without colour, too
    assert (training.get_linestyle(), validation.get_linestyle()) == ("-", "--")
    grey = [sum(int(c[i : i + 2], 16) for i in (1, 3, 5)) for c in (training.get_color(), validation.get_color())]
    assert abs(grey[0] - grey[1]) > 20
    ticks = figure.axes[0].xaxis.get_minor_ticks()
    assert {tick.label2.get_text(): tick.get_loc() for tick in ticks} == {str(e): 100 * e for e in (0, 2, 4, 6, 8, 10)}
    assert all(tick.label2.get_visible() and not tick.label1.get_visible() for tick in ticks)


def test_what_was_not_measured_is_left_out():
    table = records(11)
    table["train_loss"][3:9] = np.nan
    for name in ("cost", "loss", "accuracy"):
        table[f"validation_{name}"][:] = np.nan
    figure = plots.curves(table, steps_per_epoch=100)
    (loss,) = figure.axes[1].lines
    np.testing.assert_array_equal(loss.get_xdata(), [0, 100, 200, 900, 1000])
    assert "validation" not in texts(figure)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_any_number_of_records_is_drawn_without_a_warning(n):
    figure = plots.curves(records(n), steps_per_epoch=100)
    assert plots.render(figure, "png")
    assert n != 1 or figure.axes[0].lines[0].get_markersize() > 0


def test_curves_that_are_constant_or_diverge_have_plain_scales():
    flat = {name: np.full(5, 2.302585) for name in COLUMNS} | {"step": np.arange(5.0)}
    assert not [text for text in texts(plots.curves(flat, steps_per_epoch=1)) if "e" in text and "+" in text]
    grown = {name: np.array([1.0, 1e6, 1e30, np.inf]) for name in COLUMNS} | {"step": np.arange(4.0)}
    figure = plots.curves(grown, steps_per_epoch=1)
    assert "1e30" in texts(figure)
    assert len(figure.axes[0].lines[0].get_xdata()) == 3


def test_everything_is_on_the_page_and_the_legend_covers_no_data():
    figure = plots.stamp(plots.curves(records(500, last=490_000), steps_per_epoch=450))
    plots.render(figure, "png")
    box = figure.get_tightbbox()
    assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.get_figwidth() and box.y1 <= figure.get_figheight()
    panel = figure.axes[0]
    epochs = [tick.label2.get_window_extent().y1 for tick in panel.xaxis.get_minor_ticks()]
    assert panel.get_legend().get_window_extent().y0 >= max(epochs)


def test_figures_fit_a_page_of_a4_with_text_of_9_points():
    three, one = (
        plots.curves(records(9), steps_per_epoch=100, names=n) for n in (["cost", "loss", "accuracy"], ["cost"])
    )
    assert [figure.get_figwidth() * 2.54 for figure in (three, one)] == pytest.approx([16, 8])
    assert "font: 9px" in plots.render(one, "svg").decode().replace("font-size:", "font:")
    box = plots.render(three, "pdf").split(b"/MediaBox [")[1].split(b"]")[0].split()
    assert float(box[2]) == pytest.approx(16 / 2.54 * 72)
    assert len(one.axes) == 1 and one.axes[0].get_ylabel() == "cost (loss + λ Σ W²)"


def test_curves_that_are_the_same_are_both_seen_in_an_overlay_and_named():
    table = records(5, last=2000)
    figure = plots.overlay({"λ = 0.01": table, "λ = 0.1": table, "λ = 1": records(3)})
    below, _, above, *_ = figure.axes[0].lines[1::2]
    assert below.get_linewidth() > above.get_linewidth() and below.get_color() != above.get_color()
    shown = texts(figure)
    assert [name for name in shown if "λ =" in name] == ["λ = 0.01", "λ = 0.1", "λ = 1"]
    assert shown.count("1,000") == 3 and {"training", "validation"} <= set(shown)
    many = plots.overlay({f"run {i:02}": records(3) for i in range(12)})
    plots.render(many, "png")
    legend = many.axes[0].get_legend().get_window_extent()
    assert legend.x1 <= many.bbox.x1 and legend.y1 <= many.bbox.y1
    assert legend.y0 > many.axes[0].get_window_extent().y1


def test_pictures_stand_in_a_grid_each_with_its_three_likeliest_classes():
    images = np.arange(7 * 3072, dtype=np.uint32).astype(np.uint8).reshape(7, 32, 32, 3)
    P = np.tile(np.array([0.1, 0.6, 0.05, 0.25]), (7, 1))
    figure = plots.predictions(images, P, ("cat", "dog", "ship", "frog"), [f"{i}.png" for i in range(6)] + ["x" * 99])
    shown = texts(figure)
    assert "x" * 9 + "…" + "x" * 8 in shown
    assert [text for text in shown if text.endswith("%")] == ["dog 60 %", "frog 25 %", "cat 10 %"] * 7
    bars = figure.axes[0].patches
    assert [bar.get_width() for bar in bars[:3]] == pytest.approx([32 * 0.6, 32 * 0.25, 32 * 0.1])
    assert len({bar.get_x() for bar in bars}) == 5 and len({bar.get_y() for bar in bars}) == 6


def test_figures_are_drawn_on_given_axes():
    figure = Figure()
    axes = figure.subplots(2, 3).ravel()
    assert plots.curves(records(5), steps_per_epoch=100, axes=axes[:3]) is figure
    assert all(len(panel.lines) == 2 for panel in axes[:3])
    assert plots.eta(np.arange(3), np.ones(3), steps_per_epoch=1, axes=axes[3]) is figure
    np.testing.assert_array_equal(axes[3].lines[0].get_ydata(), np.ones(3))
    assert axes[3].get_ylim()[0] == 0
    assert plots.weights(np.ones((3072, 2)), axes=axes[4]) is figure
    assert plots.confusion(np.eye(10, dtype=int), CLASSES, axes=axes[5]) is figure
    assert plots.render(figure, "png")


def test_hidden_nodes_are_sorted_by_norm_and_each_has_its_own_range(rng):
    directions = rng.normal(size=(3072, 3))
    directions /= np.linalg.norm(directions, axis=0)
    shown = hidden(plots.weights(directions * [2.0, 3.0, 1.0]))
    alone = [hidden(plots.weights(directions[:, [node]]))[0] for node in (1, 0, 2)]
    np.testing.assert_array_equal(shown, alone)
    assert (shown[0].min(), shown[0].max()) == (0, 255)
    (grey,) = hidden(plots.weights(np.full((3072, 1), 3.0)))
    assert set(grey.ravel()) == {128}
    assert plots.render(plots.weights(np.full((3072, 2), np.nan, np.float32)), "png")
    W1 = np.zeros((3072, 1))
    W1[33] = 1  # of the red plane, row 1, column 1
    (image,) = hidden(plots.weights(W1))
    assert np.argwhere(image).tolist() == [[1, 1, 0]]


def test_large_layers_show_a_hundred_nodes_and_no_layer_all_classes_by_name(rng):
    figure = plots.weights(np.ones((3072, 400), np.float32))
    assert len(hidden(figure)) == 100
    assert "100 of 400 hidden nodes, largest norm first, each scaled to its own range" in texts(figure)
    W1 = rng.normal(size=(3072, 10)) * np.arange(1, 11)
    figure = plots.weights(W1, classes=CLASSES)
    assert [text for text in texts(figure) if text in CLASSES] == list(CLASSES)
    np.testing.assert_array_equal(tiles(figure, 40, 44)[0], hidden(plots.weights(W1[:, :1]))[0])
    with pytest.raises(ValueError, match="weights of 20 inputs are not 32 x 32 colour images"):
        plots.weights(np.ones((20, 50)))


def test_a_confusion_has_true_rows_and_predicted_columns():
    matrix = np.zeros((10, 10), int)
    matrix[3, 5], matrix[2, 2] = 1234, 3
    figure = plots.confusion(matrix, CLASSES)
    (cell,) = [text for text in figure.axes[0].texts if text.get_text() == "1,234"]
    assert cell.get_position() == (5, 3)
    assert cell.get_color() == "white"  # on a dark cell
    assert "3 of 1,237 images right; colour: fraction of the true class" in texts(figure)


def test_mistakes_say_what_was_taken_for_what(rng):
    images = rng.integers(0, 255, (7, 32, 32, 3), np.uint8)
    figure = plots.mistakes(images, np.arange(7), np.arange(1, 8), np.linspace(0.97, 0.5, 7), CLASSES)
    assert texts(figure)[:2] == ["airplane", "→ automobile 97 %"]
    np.testing.assert_array_equal(tiles(figure, 44, 44)[:7], images)
    none = np.zeros(0, int)
    assert texts(plots.mistakes(images[:0], none, none, np.zeros(0), CLASSES)) == ["no mistakes"]


def test_a_searched_lambda_of_0_stands_left_of_the_others():
    trials = [{"values": {"training.lambda": lam}, "accuracy": 0.4, "spread": 0.0} for lam in (1e-4, 0, 1e-1)]
    assert experiments.placed({"search": trials}, "training.lambda", True)["search"][1] == pytest.approx(-4.5)
    figure = plots.search({"search": trials}, {"training.lambda": True})
    assert figure.axes[0].lines[0].get_xdata().tolist() == pytest.approx([-4, -4.5, -1])
    assert "log₁₀ λ" in texts(figure)


def test_a_setting_that_is_0_in_all_trials_has_one_tick_in_the_middle_of_its_axis():
    values = {"training.lambda": 0, "network.dropout.hidden": 0, "training.batch_size": 100}
    trials = [{"values": values, "accuracy": accuracy, "spread": 0.0} for accuracy in (0.4, 0.3)]
    figure = plots.search({"coarse": trials}, dict(zip(values, (True, False, False), strict=True)))
    ticks = [note for note in figure.axes[0].texts if note.get_text() in ("0", "100") and note.xy[0] < 3]
    assert [(note.get_text(), note.xy) for note in ticks] == [("0", (0, 0.5)), ("0", (1, 0.5)), ("100", (2, 0.5))]
    assert "0.3162" not in texts(figure)


def test_a_chart_has_its_lines_and_marks_in_the_colours_of_the_page_and_words():
    x, y = np.arange(4.0), np.array([0.1, np.nan, 0.3, 0.4])
    lines = [plots.Series("training", x, y, y - 0.1, y + 0.1), plots.Series("validation", x, y, y, y)]
    points = [plots.Point("reported", 3, 0.45), plots.Point("ours", 1, 0.4, 0.01), plots.Point("ours", 2, math.nan)]
    drawn = plots.chart("accuracy <x>", "epoch", lines, points, percent=True)
    words = "accuracy &lt;x&gt;: training 10 % to 40 %; validation 10 % to 40 %; ours 40 %; reported 45 %"
    assert f'aria-label="{words}"' in drawn.svg
    assert re.findall(r">([^<]+)</text>", drawn.svg) == ["0 %", "20 %", "40 %", "0", "1", "2", "3", "epoch"]
    assert set(re.findall(r"var\(--(\w+)\)", drawn.svg)) == {"training", "validation", "soft", "rule", "ink"}
    assert 'd="M46.0 150.6L230.0 84.5L322.0 51.4" stroke="var(--training)"' in drawn.svg  # of -0.025 to 0.525
    assert drawn.svg.count("<circle") == 1 and "#" not in drawn.svg
    assert drawn.data["series"][0] == {
        "name": "training", "colour": "training", "x": [0, 2, 3], "y": [10, 30, 40],
        "low": [0, 20, 30], "high": [20, 40, 50],
    }  # fmt: skip
    assert "low" not in drawn.data["series"][1] and drawn.data["unit"] == " %"
    assert [s["name"] for s in drawn.data["series"][2:]] == ["reported", "ours"]
    assert plots.chart("cost", "step", lines, marks=[2.0]).svg.count("2 3") == 1
    nothing = np.full(4, np.nan)
    assert plots.chart("loss", "epoch", [plots.Series("eta", x, nothing, nothing, nothing)]) is None


@given(st.floats(-1e4, 1e4), st.floats(1e-3, 1e6))
def test_the_ticks_of_a_chart_are_a_few_round_numbers_within_it(low, size):
    scale = charts.Scale([[low, low + size]], 0, 100, 0.05)
    ticks = scale.ticks()
    assert 2 <= len(ticks) <= 6
    assert all(-0.1 <= scale(tick) <= 100.1 for tick in ticks)


def test_a_finished_run_has_all_its_figures_and_is_stamped(tmp_path):
    run = finished(tmp_path)
    run.formats = ("png", "svg")
    assert plots.draw(run) == []
    names = ("curves", "eta", "weights")
    assert files(run.path / "figures") == {f"{name}.{kind}" for name in names for kind in ("png", "svg")}
    assert all(plots.SYNTHETIC in path.read_text() for path in (run.path / "figures").glob("*.svg"))
    run = finished(tmp_path, "few", dims=8)
    assert [name for name, spec in plots.FIGURES.items() if spec.available(run)] == ["curves", "eta"]


def test_the_panels_of_the_curves_and_a_range_test_are_drawn_from_a_folder(tmp_path):
    run, test = finished(tmp_path), ranged(tmp_path)
    run.formats, test.formats = ("svg",), ("pdf",)
    assert plots.draw(run, plots.PANELS) == plots.draw(test) == []
    assert files(run.path / "figures") == {"cost.svg", "loss.svg", "accuracy.svg"}
    assert files(test.path / "figures") == {"range-test.pdf"}
    assert ramps(test)[2], "eta rose by factors"
