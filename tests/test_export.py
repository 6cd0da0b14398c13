"""Runs for other tools: each opened by the tool itself, or by its own reader, and compared."""

import csv
import json
import sys

import numpy as np
import pytest
from click.testing import CliRunner

import cifarnet
from cifarnet import network
from cifarnet.cli import cli
from cifarnet.errors import ConfigError
from cifarnet.export import export

TINY = {"data": {"source": "synthetic", "limit": 1000}, "training": {"schedule": {"n_s": 10}}}


@pytest.fixture(scope="module", params=[{}, {"dims": 100}, {"hidden": []}, {"hidden": [7, 5]}], ids=str)
def run(request, tmp_path_factory):
    """A finished run: two layers, fewer inputs, one layer, three layers."""
    extra = [f"{'data' if key == 'dims' else 'network'}.{key}={value}" for key, value in request.param.items()]
    return cifarnet.train(TINY, extra, runs_dir=tmp_path_factory.mktemp("runs"))


def test_onnxruntime_gives_the_same_probabilities(run):
    """From pixels, to 1e-5, for any number of images; classes in the metadata."""
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    [name] = export(run, "onnx")
    session = runtime.InferenceSession(str(run.path / name), providers=["CPUExecutionProvider"])
    for n in (1, 64):
        images = np.random.default_rng(n).integers(0, 256, (n, 32, 32, 3), np.uint8)
        [P] = session.run(None, {"pixels": images})
        np.testing.assert_allclose(P, run.predict(images), atol=1e-5, rtol=0)
    assert json.loads(session.get_modelmeta().custom_metadata_map["classes"]) == list(run.model.classes)


def test_the_event_file_holds_curves_figures_and_settings(run):
    """Read back record by record with check sums."""
    pytest.importorskip("tensorboardX")
    [name] = export(run, "tensorboard")
    events = list(read_events((run.path / name).read_bytes()))
    assert events[0].file_version == "brain.Event:2"
    values = {(value.tag, event.step): value for event in events for value in event.summary.value}
    records = run.records
    for step, accuracy in zip(records["step"], records["validation_accuracy"], strict=True):
        assert values["accuracy/validation", int(step)].simple_value == pytest.approx(accuracy)
    assert values["curves", 0].image.encoded_image_string.startswith(b"\x89PNG")
    assert any(tag.startswith("settings") for tag, _ in values)


def read_events(content):
    """The events of a file of TFRecords."""
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
    for name, values in network.named(run.model.theta, run.model.sizes).items():
        table = np.array(read[f"export/{name}.csv"][1:], np.float32)
        assert (table.reshape(values.shape) == values).all()
    header, *rows = read["export/metrics.csv"]
    assert len(rows) == len(run.records["step"])
    assert dict(read["export/summary.csv"])["results.test_accuracy"] == str(run.results["test_accuracy"])
    assert dict(read["export/summary.csv"])["settings.data.source"] == "synthetic"
    assert header == list(run.records)


@pytest.mark.parametrize(("to", "module"), [("onnx", "onnx"), ("tensorboard", "tensorboardX")])
def test_a_missing_extra_says_what_to_install(run, monkeypatch, to, module):
    """Wrong usage, exit code 2."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=rf"pip install 'cifarnet\[{to}\]'") as raised:
        export(run, to)
    assert raised.value.exit_code == 2


def test_the_command_names_the_files(run):
    """A line each, or JSON."""
    done = CliRunner().invoke(cli, ["export", str(run.path), "--to", "csv"])
    assert f"{run.path}/export/W1.csv" in done.stdout.splitlines()
    files = json.loads(CliRunner().invoke(cli, ["export", str(run.path), "--to", "csv", "--json"]).stdout)["files"]
    assert files == done.stdout.splitlines()
