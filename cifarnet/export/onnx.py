"""The network as ONNX: from pixels (n, 32, 32, 3) uint8 to probabilities (n, K), the normalisation in the graph."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from cifarnet.nn.model import Model
from cifarnet.nn.network import named_views
from cifarnet.runs import Run

OPSET, IR_VERSION = 17, 8  # of 2022: read by everything that reads ONNX today


def files(run: Run) -> dict[str, bytes]:
    """Return the content of export/model.onnx, checked."""
    from onnx import TensorProto, checker, helper, numpy_helper

    model = run.classifier
    graph = helper.make_graph(
        [helper.make_node(kind, inputs, [output], **settings) for kind, inputs, output, settings in nodes(model)],
        "cifarnet",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", 32, 32, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", model.sizes[-1]])],
        [numpy_helper.from_array(value, name) for name, value in constants(model).items()],
    )
    made = helper.make_model(graph, producer_name="cifarnet", opset_imports=[helper.make_opsetid("", OPSET)])
    made.ir_version = IR_VERSION
    helper.set_model_props(made, {"classes": json.dumps(model.classes), "run": run.path.name})
    checker.check_model(made, full_check=True)
    return {"export/model.onnx": made.SerializeToString()}


def nodes(model: Model) -> Iterator[tuple[str, list[str], str, dict[str, Any]]]:
    """Yield the operations in order: kind, inputs, output, settings."""
    yield "Transpose", ["pixels"], "planes", {"perm": [0, 3, 1, 2]}
    yield "Reshape", ["planes", "flat"], "all_inputs", {}
    yield "Slice", ["all_inputs", "first", "d", "columns"], "inputs", {}  # data.dims may have left inputs out
    yield "Cast", ["inputs"], "floats", {"to": 1}
    yield "Sub", ["floats", "mean"], "centred", {}
    yield "Div", ["centred", "std"], "H0", {}
    layers = len(model.sizes) - 1
    for layer in range(1, layers + 1):
        yield "Gemm", [f"H{layer - 1}", f"W{layer}", f"b{layer}"], f"Z{layer}", {}
        if layer < layers:
            yield "Relu", [f"Z{layer}"], f"H{layer}", {}
    yield "Softmax", [f"Z{layers}"], "probabilities", {"axis": 1}


def constants(model: Model) -> dict[str, Any]:
    """Return what the operations need besides the pixels; mean and std are those of whole numbers from 0 to 255."""
    shapes = {"flat": [0, 3072], "first": [0], "d": [model.sizes[0]], "columns": [1]}  # 0: as many rows as there are
    scales = {"mean": 255 * model.mean, "std": 255 * model.std}
    floats = scales | named_views(model.theta, model.sizes)
    return {name: np.array(value, np.int64) for name, value in shapes.items()} | {
        name: np.asarray(value, np.float32) for name, value in floats.items()
    }
