"""A run for other tools: its network as ONNX, its curves and pictures as TensorBoard events, all of it as CSV."""

from __future__ import annotations

import csv
import importlib
import io
import json
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from cifarnet import network, plots
from cifarnet.errors import ConfigError
from cifarnet.library import LoadedRun
from cifarnet.model import Model
from cifarnet.nested import flat
from cifarnet.runs import Run

OPSET, IR_VERSION = 17, 8  # of 2022: read by everything that reads ONNX today


def export(run: LoadedRun, to: str) -> list[str]:
    """Write a run as ``onnx``, ``tensorboard`` or ``csv`` into its own folder; returns the names of the files.

    Raises
    ------
    ConfigError
        The library that it takes is not installed; the message says which.
    RunError
        The run cannot be read, or the files cannot be written.
    """
    forms: dict[str, Callable[[LoadedRun], Mapping[str, bytes | str]]]
    forms = {"onnx": onnx, "tensorboard": tensorboard, "csv": tables}
    files = forms[to](run)
    for name, content in files.items():
        Run(run.path).write(name, content)
    return list(files)


def need(module: str, extra: str) -> Any:
    """Import a library that an extra brings.

    Raises
    ------
    ConfigError
        If it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"this needs {module.partition('.')[0]}: pip install 'cifarnet[{extra}]' ({error})"
        ) from error


def onnx(run: LoadedRun) -> dict[str, bytes]:
    """The network, from pixels (n, 32, 32, 3) uint8 to probabilities (n, K): the normalisation is in the graph."""
    need("onnx", "onnx")
    from onnx import TensorProto, checker, helper

    model = run.model
    graph = helper.make_graph(
        [helper.make_node(kind, inputs, [output], **settings) for kind, inputs, output, settings in nodes(model)],
        "cifarnet",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", 32, 32, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", model.sizes[-1]])],
        [tensor(name, value) for name, value in constants(model).items()],
    )
    made = helper.make_model(graph, producer_name="cifarnet", opset_imports=[helper.make_opsetid("", OPSET)])
    made.ir_version = IR_VERSION
    helper.set_model_props(made, {"classes": json.dumps(model.classes), "run": run.path.name})
    checker.check_model(made, full_check=True)
    return {"export/model.onnx": made.SerializeToString()}


def nodes(model: Model) -> Iterator[tuple[str, list[str], str, dict[str, Any]]]:
    """The operations in order: kind, inputs, output, settings."""
    yield "Transpose", ["pixels"], "planes", {"perm": [0, 3, 1, 2]}
    yield "Reshape", ["planes", "flat"], "all_inputs", {}
    yield "Slice", ["all_inputs", "first", "d", "columns"], "inputs", {}  # data.dims may have left inputs out
    yield "Cast", ["inputs"], "floats", {"to": 1}
    yield "Sub", ["floats", "mean"], "centred", {}
    yield "Div", ["centred", "std"], "H0", {}
    layers = len(model.sizes) - 1
    for layer in range(1, layers + 1):
        output = f"Z{layer}"
        yield "Gemm", [f"H{layer - 1}", f"W{layer}", f"b{layer}"], output, {}
        if layer < layers:
            yield "Relu", [output], f"H{layer}", {}
    yield "Softmax", [f"Z{layers}"], "probabilities", {"axis": 1}


def constants(model: Model) -> dict[str, Any]:
    """What the operations need besides the pixels; mean and std are those of whole numbers from 0 to 255."""
    shapes = {"flat": [0, -1], "first": [0], "d": [model.sizes[0]], "columns": [1]}
    scales = {"mean": 255 * model.mean, "std": 255 * model.std}
    floats = {name: np.asarray(v, np.float32) for name, v in (scales | network.named(model.theta, model.sizes)).items()}
    return {name: np.array(value, np.int64) for name, value in shapes.items()} | floats


def tensor(name: str, value: Any) -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array(value, name)


def tensorboard(run: LoadedRun) -> dict[str, bytes]:
    """The columns of metrics.csv, the settings and the figures as one event file."""
    need("tensorboardX", "tensorboard")
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.summary_pb2 import Summary
    from tensorboardX.record_writer import masked_crc32c
    from tensorboardX.summary import scalar, text

    started = datetime.fromisoformat(run.info["started"]).timestamp()
    events = [Event(wall_time=started, file_version="brain.Event:2")]
    records = run.records
    for column in records.keys() - {"step"}:
        split, _, name = column.partition("_")
        tag = f"{name}/{split}" if name else column  # training and validation in one group
        for step, value in zip(records["step"], records[column], strict=True):
            if np.isfinite(value):
                summary = scalar(tag, float(value))
                events.append(Event(wall_time=started + step / 1000, step=int(step), summary=summary))
    for name in ("curves", "eta", "weights") if run.settings.data.dims is None else ("curves", "eta"):
        png = drawn(run, name)
        width, height = struct.unpack(">II", png[16:24])
        picture = Summary.Image(width=width, height=height, colorspace=4, encoded_image_string=png)
        events.append(Event(wall_time=started, summary=Summary(value=[Summary.Value(tag=name, image=picture)])))
    settings = json.dumps(run.info.get("settings", {}), indent=2)
    events.append(Event(wall_time=started, summary=text("settings", f"```\n{settings}\n```")))

    def framed(content: bytes) -> bytes:
        """A TFRecord: length and content, each with its check sum."""
        length = struct.pack("<Q", len(content))
        sums = [struct.pack("<I", masked_crc32c(part)) for part in (length, content)]
        return length + sums[0] + content + sums[1]

    content = b"".join(framed(event.SerializeToString()) for event in events)
    return {"tensorboard/events.out.tfevents.cifarnet": content}


def drawn(run: LoadedRun, name: str) -> bytes:
    """A figure as PNG."""
    figure = run.draw(name)
    if run.settings.data.source == "synthetic":
        plots.stamp(figure, plots.SYNTHETIC)
    return plots.render(figure, "png")


def tables(run: LoadedRun) -> dict[str, str]:
    """Settings and results, the records, and every weight matrix and bias as a table of its own."""
    info, records = run.info, run.records
    about = flat({"settings": info.get("settings", {}), "results": info.get("results", {})})
    summary = [(key, json.dumps(value) if isinstance(value, (list, dict)) else value) for key, value in about.items()]
    files = {"summary": written(["key", "value"], summary)}
    files["metrics"] = written(list(records), zip(*(column.tolist() for column in records.values()), strict=True))
    for name, values in network.named(run.model.theta, run.model.sizes).items():
        rows = values if values.ndim == 2 else values[:, None]
        files[name] = written([str(column) for column in range(rows.shape[1])], rows.tolist())
    return {f"export/{name}.csv": text for name, text in files.items()}


def written(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table as CSV; what was not measured is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(["" if value != value or value is None else value for value in row] for row in rows)
    return out.getvalue()
