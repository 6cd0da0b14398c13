"""Students' files, and what the gradient check says of one."""

from functools import partial
from pathlib import Path

import pytest

from cifarnet.mistakes import check

slow = partial(pytest.param, marks=pytest.mark.slow)
FILES = Path(__file__).parent / "students"
LISTS, ONE_LAYER, NETWORK, ROWS, CLASS, LAYERS, DEEP, FLAT, HELPER = (
    (FILES / f"{name}.py").read_text()
    for name in ("lists", "one_layer", "network", "rows", "a_class", "model", "deep", "flat", "layers")
)


def changed(text, *replaced):
    for old, new in replaced:
        assert old in text
        text = text.replace(old, new)
    return text


SEPARATE = changed(
    LISTS.replace("W, b", "W1, b1, W2, b2").replace("W[0]", "W1").replace("W[1]", "W2").replace("b[0]", "b1"),
    ("b[1]", "b2"), ("return [gW1, gW2], [gb1, gb2]", "return gb1, gb2, gW1, gW2"),
)  # fmt: skip


@pytest.fixture(autouse=True)
def few(request, monkeypatch):
    """Few entries of each parameter have a numerical derivative, but where a test may take its time."""
    if not request.node.get_closest_marker("slow"):
        monkeypatch.setattr(check, "COORDINATES", 4)
        monkeypatch.setattr(check, "FEW", 2)


def write(folder, text):
    path = folder / "my_network.py"
    path.write_text(text)
    (folder / "layers.py").write_text(HELPER)
    return path


def results(folder, text, name=None):
    made = check.start(write(folder, text), name, runs_dir=folder / "runs")
    assert len([*made]) == len(made)
    return made.run.results
