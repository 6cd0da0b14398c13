"""The figures: what is on them, in which order, and the same bytes each time."""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from cifarnet import plots
from cifarnet.plots.pictures import montage

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
COLUMNS = [f"{split}_{name}" for split in ("train", "validation") for name in ("cost", "loss", "accuracy")]


def records(n, last=1000):
    t = np.linspace(0, 1, n)
    falling = {name: 1.5 + np.exp(-5 * t) + 0.1 * i * t for i, name in enumerate(COLUMNS)}
    return {"step": np.round(last * t)} | {k: 0.5 - 0.1 * v if "accuracy" in k else v for k, v in falling.items()}


def texts(figure):
    """The text of the figure's SVG."""
    return re.findall(r"<text[^>]*>([^<]+)</text>", plots.render(figure, "svg").decode())


def tiles(figure, h, w):
    """The images in a figure's one montage, row by row, whose cells are h x w pixels."""
    picture = np.asarray(figure.axes[0].images[0].get_array())
    rows, columns = picture.shape[0] // h, picture.shape[1] // w
    return [picture[r * h : r * h + 32, c * w : c * w + 32] for r in range(rows) for c in range(columns)]


def hidden(figure):
    return tiles(figure, 34, 34)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_the_room_does_not_import_matplotlib():
    """Importing cifarnet.plots leaves matplotlib alone, and drawing leaves pyplot alone."""
    code = """
import sys
from cifarnet import plots
assert "matplotlib" not in sys.modules
import numpy as np
plots.render(plots.weights(np.ones((3072, 3))), "png")
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_curves_are_labelled():
    """Three panels with update steps below and epochs above, accuracy in percent, both lines named, the title once."""
    shown = texts(plots.curves(records(11), steps_per_epoch=100, title="figure-3"))
    assert shown.count("update step") == shown.count("epoch") == 3
    assert {"cost (loss + λ Σ W²)", "mean loss per image", "accuracy (%)"} <= set(shown)
    assert [shown.count(text) for text in ("training", "validation", "figure-3")] == [1, 1, 1]
    assert "1,000" in shown


def test_epochs_stand_above_their_steps():
    """Step 1,000 is below epoch 10 where an epoch has 100 steps."""
    figure = plots.curves(records(11), steps_per_epoch=100)
    plots.render(figure, "svg")
    panel = figure.axes[0]
    np.testing.assert_allclose(np.array(panel.get_xlim()) / 100, panel.child_axes[0].get_xlim())


def test_curves_show_the_records():
    """A line is its column against the step, accuracy times 100."""
    table = records(28)
    accuracy = plots.curves(table, steps_per_epoch=100).axes[2]
    for line, column in zip(accuracy.lines, ("train_accuracy", "validation_accuracy"), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), table["step"])
        np.testing.assert_allclose(line.get_ydata(), 100 * table[column])


def test_lines_differ_without_colour():
    """The training line is solid, the validation line dashed, and their greys are not the same."""
    training, validation = plots.curves(records(11), steps_per_epoch=100).axes[0].lines
    assert (training.get_linestyle(), validation.get_linestyle()) == ("-", "--")
    grey = [sum(int(c[i : i + 2], 16) for i in (1, 3, 5)) for c in (training.get_color(), validation.get_color())]
    assert abs(grey[0] - grey[1]) > 20


def test_what_was_not_measured_is_left_out():
    """NaN breaks no line and asks for no point; a column that was never measured has no line and no legend entry."""
    table = records(11)
    table["train_loss"][3:9] = np.nan
    for name in ("cost", "loss", "accuracy"):
        table[f"validation_{name}"][:] = np.nan
    figure = plots.curves(table, steps_per_epoch=100)
    (loss,) = figure.axes[1].lines
    np.testing.assert_array_equal(loss.get_xdata(), [0, 100, 200, 900, 1000])
    assert "validation" not in texts(figure)


@pytest.mark.parametrize("kind", ["png", "svg"])
@pytest.mark.parametrize("n", [0, 1, 2, 500])
def test_any_number_of_records(n, kind):
    """No records, one, two and many are drawn without a warning."""
    assert plots.render(plots.curves(records(n), steps_per_epoch=100), kind)


def test_one_record_is_seen():
    """A single measurement has a marker, and no step beside it is negative."""
    figure = plots.curves({name: np.ones(1) for name in COLUMNS} | {"step": np.zeros(1)}, steps_per_epoch=100)
    assert figure.axes[0].lines[0].get_markersize() > 0
    assert not [text for text in texts(figure) if text.startswith("−")]


def test_constant_curves():
    """A cost that never changes is drawn, and its scale is in plain numbers."""
    table = {name: np.full(5, 2.302585) for name in COLUMNS} | {"step": np.arange(5.0)}
    assert not [text for text in texts(plots.curves(table, steps_per_epoch=1)) if "e" in text and "+" in text]


def test_diverging_curves():
    """Costs that grow past all bounds are drawn as far as they are finite."""
    table = {name: np.array([1.0, 1e6, 1e30, np.inf]) for name in COLUMNS} | {"step": np.arange(4.0)}
    figure = plots.curves(table, steps_per_epoch=1)
    assert plots.render(figure, "png")
    assert len(figure.axes[0].lines[0].get_xdata()) == 3


def test_bands_surround_their_line():
    """A band reaches from its lower to its upper bound, in the units of the panel."""
    table = records(5)
    bands = {"train_accuracy": (table["train_accuracy"] - 0.1, table["train_accuracy"] + 0.1)}
    figure = plots.curves(table, steps_per_epoch=100, bands=bands)
    (band,) = figure.axes[2].collections
    y = band.get_paths()[0].vertices[:, 1]
    assert y.max() == pytest.approx(100 * bands["train_accuracy"][1].max())
    assert not figure.axes[0].collections


def test_curves_are_drawn_on_given_axes():
    """A notebook's axes are used, and its figure comes back."""
    figure = Figure()
    axes = figure.subplots(1, 3)
    assert plots.curves(records(5), steps_per_epoch=100, axes=axes) is figure
    assert all(len(panel.lines) == 2 for panel in axes)


def test_legend_covers_no_data():
    """The legend stands above the last panel."""
    figure = plots.curves(records(28), steps_per_epoch=100)
    plots.render(figure, "png")
    panel = figure.axes[2]
    assert panel.get_legend().get_window_extent().y0 > panel.get_window_extent().y1


def test_everything_is_on_the_page():
    """No text of the curves reaches over the edge of the figure, with many digits too."""
    figure = plots.curves(records(500, last=490_000), steps_per_epoch=450, title="a" * 64)
    plots.render(figure, "png")
    box = figure.get_tightbbox()
    assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.get_figwidth() and box.y1 <= figure.get_figheight()


def test_eta():
    """The learning rate is drawn as given, from 0 up, against steps and epochs."""
    steps = np.arange(1001)
    etas = 0.1 * (1 - abs(steps / 500 - 1)) + 1e-5
    figure = plots.eta(steps, etas, steps_per_epoch=100)
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_ydata(), etas)
    assert figure.axes[0].get_ylim()[0] == 0
    assert {"learning rate η", "update step", "epoch"} <= set(texts(figure))


def test_hidden_nodes_are_sorted_by_norm(rng):
    """The node of largest norm comes first, whatever its column."""
    directions = rng.normal(size=(3072, 3))
    directions /= np.linalg.norm(directions, axis=0)
    shown = hidden(plots.weights(directions * [2.0, 3.0, 1.0]))
    alone = [hidden(plots.weights(directions[:, [node]]))[0] for node in (1, 0, 2)]
    np.testing.assert_array_equal(shown, alone)


def test_each_node_has_its_own_range(rng):
    """Every image reaches from 0 to 255, and a factor in front of a node's weights changes nothing."""
    W1 = rng.normal(size=(3072, 1))
    one, other = hidden(plots.weights(W1))[0], hidden(plots.weights(7 * W1))[0]
    assert (one.min(), one.max()) == (0, 255)
    np.testing.assert_array_equal(one, other)


def test_rows_of_weights_are_colour_planes():
    """The first 1,024 weights are red, row by row: weight 33 is in row 1, column 1."""
    W1 = np.zeros((3072, 1))
    W1[33] = 1
    (image,) = hidden(plots.weights(W1))
    assert np.argwhere(image).tolist() == [[1, 1, 0]]


def test_weights_without_a_range():
    """Equal weights are grey, and weights that are not finite are drawn as 0."""
    (grey,) = hidden(plots.weights(np.full((3072, 1), 3.0)))
    assert set(grey.ravel()) == {128}
    assert plots.render(plots.weights(np.full((3072, 2), np.nan, np.float32)), "png")


def test_large_layers_show_a_hundred():
    """Of 400 nodes the 100 largest are shown, and the title says so."""
    figure = plots.weights(np.ones((3072, 400), np.float32))
    assert len(hidden(figure)) == 100
    assert "100 of 400 hidden nodes, largest norm first," in texts(figure)


def test_class_templates_are_named_in_order(rng):
    """The one-layer network's images are not sorted, and each has its class below it."""
    W1 = rng.normal(size=(3072, 10)) * np.arange(1, 11)
    figure = plots.weights(W1, classes=CLASSES)
    assert [text for text in texts(figure) if text in CLASSES] == list(CLASSES)
    np.testing.assert_array_equal(tiles(figure, 43, 44)[0], hidden(plots.weights(W1[:, :1]))[0])


def test_weights_that_are_no_images():
    """Weights of fewer inputs are refused, and the message says how many there are."""
    with pytest.raises(ValueError, match="weights of 20 inputs are not 32 x 32 colour images"):
        plots.weights(np.ones((20, 50)))


@given(st.integers(0, 30), st.integers(1, 7), st.integers(1, 3), st.integers(1, 3))
def test_montage_holds_every_tile(k, columns, gap_y, gap_x):
    """Tile i is in row i // columns and column i % columns; all the rest is white."""
    tiles = np.arange(k, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 5, 3), np.uint8)
    picture = montage(tiles, columns, (gap_y, gap_x))
    for i in range(k):
        y, x = i // columns * (4 + gap_y), i % columns * (5 + gap_x)
        assert (picture[y : y + 4, x : x + 5] == i).all()
    assert (picture == 255).sum() == picture.size - k * 60


def test_confusion_has_true_rows_and_predicted_columns():
    """A count stands in the row of the true class and the column of the predicted one; a class may be empty."""
    matrix = np.zeros((10, 10), int)
    matrix[3, 5], matrix[2, 2] = 1234, 3
    figure = plots.confusion(matrix, CLASSES)
    (cell,) = [text for text in figure.axes[0].texts if text.get_text() == "1,234"]
    assert cell.get_position() == (5, 3)
    assert {"true class", "predicted class", *CLASSES} <= set(texts(figure))


def test_confusion_is_readable():
    """Dark cells have white text, light ones black."""
    figure = plots.confusion(np.array([[9, 1], [0, 10]]), ("cat", "dog"))
    assert [text.get_color() for text in figure.axes[0].texts] == ["white", "black", "black", "white"]


def test_mistakes_say_what_was_taken_for_what(rng):
    """Images stand in the order given, each with its classes and the probability in percent."""
    images = rng.integers(0, 255, (7, 32, 32, 3), np.uint8)
    true, predicted = np.arange(7), np.arange(1, 8)
    figure = plots.mistakes(images, true, predicted, np.linspace(0.97, 0.5, 7), CLASSES)
    assert figure.axes[0].texts[0].get_text() == "airplane → automobile\n97 %"
    np.testing.assert_array_equal(tiles(figure, 43, 44)[:7], images)


def test_no_mistakes():
    """A network that is always right gets a figure that says so."""
    none = np.zeros(0, int)
    figure = plots.mistakes(np.zeros((0, 32, 32, 3), np.uint8), none, none, np.zeros(0), CLASSES)
    assert texts(figure) == ["no mistakes"]


def test_pictures_are_drawn_on_given_axes():
    """A picture on a notebook's axes gives back the notebook's figure."""
    figure = Figure()
    assert plots.weights(np.ones((3072, 2)), axes=figure.add_subplot(1, 2, 1)) is figure
    assert plots.confusion(np.eye(10, dtype=int), CLASSES, axes=figure.add_subplot(1, 2, 2)) is figure


def some_figures():
    yield plots.curves(records(28), steps_per_epoch=100, title="figure-4")
    yield plots.eta(np.arange(10), np.linspace(0, 1, 10), steps_per_epoch=3)
    yield plots.weights(np.random.default_rng(0).normal(size=(3072, 12)))
    yield plots.confusion(np.arange(100).reshape(10, 10), CLASSES)


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_same_input_same_bytes(kind):
    """A figure drawn twice, and one made anew, give the same bytes, also from several threads at once."""
    first, again = list(some_figures()), list(some_figures())
    expected = [plots.render(figure, kind) for figure in first]
    assert [plots.render(figure, kind) for figure in first] == expected
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(plots.render, again, [kind] * 4)) == expected


def test_files_name_no_date_and_no_program():
    """Neither the PNG nor the SVG says when and with what version it was made."""
    figure = plots.eta(np.arange(3), np.ones(3), steps_per_epoch=1)
    png, svg = plots.render(figure, "png"), plots.render(figure, "svg")
    assert png.startswith(b"\x89PNG") and b"Software" not in png
    assert b"<dc:date>" not in svg and b"Matplotlib" not in svg
