"""What a notebook shows: every cell is executed by nbclient in a kernel of its own."""

import re

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
pytestmark = pytest.mark.slow

CELLS = """\
import cifarnet

images = {"source": "synthetic", "limit": 500, "validation": 1000}
small = {"data": images, "network": {"hidden": [10]}, "training": {"schedule": {"n_s": 10}}}
run = cifarnet.train(small, label="shown")
run
# %%
run.draw("curves")
# %%
check = cifarnet.gradcheck(small, dims=3, samples=2)
check
# %%
cifarnet.find_eta(small).draw()
# %%
trials = {"trials": 2, "n_s": 5, "cycles": 1}
parts = {"coarse": trials, "fine": trials, "final": {"train": [1], "validation": 1000, "n_s": 5}}
coarse = cifarnet.search(small | {"search": parts}, jobs=1)
fine = cifarnet.search(stage="fine", earlier=coarse, jobs=1)
fine.trials[0]["validation_accuracy"]
# %%
training = cifarnet.start(small, label="left")
for record in training:
    if record.step == 7:
        break
training, record, training.run.settings, training.dataset, training.state, run.model
# %%
list(training.run.resume())[-1].step
# %%
from matplotlib import pyplot as plt

figure, axes = plt.subplots(1, 3)
assert run.draw("curves", axes=axes) is figure
plt.close()
run.draw()
# %%
cifarnet.train(small, progress=False)
"""


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """The outputs of the cells, executed in their order."""
    cells = [nbformat.v4.new_code_cell(text) for text in CELLS.split("# %%\n")]
    notebook, folder = nbformat.v4.new_notebook(cells=cells), tmp_path_factory.mktemp("notebook")
    where = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=where).execute()
    return [cell.outputs for cell in notebook.cells]


def shown(outputs, kind):
    """The one value of a kind that a cell ends with."""
    [found] = [output.data[kind] for output in outputs if output.output_type == "execute_result"]
    return found


def streams(outputs):
    return "".join(output.text for output in outputs if output.output_type == "stream")


def test_a_run_is_shown_with_its_result_and_curves(outputs):
    page = shown(outputs[0], "text/html")
    assert "of the test images classified rightly" in page
    assert "data:image/png;base64," in page
    assert "training.schedule.n_s</td><td>10<" in page
    assert re.match(r"Run\(.*, completed\)$", shown(outputs[0], "text/plain"))
    assert "passed" in shown(outputs[2], "text/html")


def test_figures_are_shown_once_as_pictures(outputs):
    """Also after pyplot was imported, which shows figures of its own."""
    for cell in (outputs[1], outputs[3], outputs[7]):
        [picture] = [output for output in cell if "image/png" in output.get("data", {})]
        assert picture.data["image/png"].startswith("iVBORw0KGgo")
    assert outputs[1][-1].metadata["image/png"]["width"] == pytest.approx(605, abs=5)


def test_a_bar_is_shown_while_something_runs(outputs):
    """Of tqdm.auto: a widget, or text; none where nobody wants it, and no warning about what is not installed."""
    for cell, unit in {0: "update", 2: "derivative", 3: "update", 4: "trial"}.items():
        text = streams(outputs[cell]) + "".join(str(o.data) for o in outputs[cell] if o.output_type == "display_data")
        assert unit in text or "100%" in text
        assert "Warning" not in text
    assert not streams(outputs[8])


def test_searches_and_resumed_trainings_work(outputs):
    assert 0 < float(shown(outputs[4], "text/plain")) < 1
    assert shown(outputs[6], "text/plain") == "20"


def test_values_are_shown_in_short(outputs):
    """A tuple of a training, its record, settings, images and state, and a network: no array."""
    text = shown(outputs[5], "text/plain")
    assert len(text) < 1000
    for start in (
        "Training(",
        "Record(step 7",
        "Settings(label='left'",
        "Dataset(synthetic",
        "State(step 7",
        "Model(3072",
    ):
        assert start in text
