from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from export.onnx import LOGITS, to_onnx, without_outputs
from export.operators import check_operators, operators
from occ_models.config import ImageEncoderConfig
from occ_models.occle.config import FusionConfig
from occ_models.occle.model import OccLE
from occ_runtime import Bundle

from .conftest import CONFIG

FLOAT, UINT8, INT8 = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT8
BUNDLES = sorted((Path(__file__).parents[2] / "engines").glob("*/bundle.yaml"))


def graph(op, constants=(), kind=FLOAT, result=FLOAT, shape=(2, 2, 2, 2), outputs=1, opset=17, domain="", **attributes):
    """One node `here` between an input `x` and outputs; constants: its further inputs, None for `x`."""
    names = [f"c{n}" if array is not None else "x" for n, array in enumerate(constants)]
    node = helper.make_node(op, ["x", *names], [f"y{n}" for n in range(outputs)], "here", domain=domain, **attributes)
    inputs = [helper.make_tensor_value_info("x", kind, shape)]
    results = [helper.make_tensor_value_info(f"y{n}", result, shape) for n in range(outputs)]
    stored = [numpy_helper.from_array(np.asarray(a), f"c{n}") for n, a in enumerate(constants) if a is not None]
    return helper.make_model(
        helper.make_graph([node], "g", inputs, results, stored), opset_imports=[helper.make_opsetid("", opset)]
    )


ZERO, SCALE, AXES = np.int8(0), np.float32(0.1), np.array([1])
BORDER = "uint8 exists only as the engine's inputs and outputs"
EVERYWHERE, OLD, NEW = ["8.6", "10.3"], ["8.6"], ["10.3"]


@pytest.mark.parametrize(
    ("model", "versions", "reason"),
    [
        (graph("Loop", [None], body=helper.make_graph([], "body", [], [])), EVERYWHERE, "control flow"),
        (graph("NonZero"), EVERYWHERE, "depends on the data"),
        (graph("Unique"), EVERYWHERE, "depends on the data"),
        (graph("BitwiseAnd"), EVERYWHERE, "does not know it"),
        (graph("AffineGrid"), EVERYWHERE, "does not know it"),
        (graph("Gelu"), OLD, "does not know it"),
        (graph("DeformConv"), OLD, "does not know it"),
        (graph("GridSample", [None], shape=(1, 2, 2, 2, 2)), EVERYWHERE, "rank 4 only"),
        (graph("ScatterElements", [None, None], reduction="add"), OLD, "silently ignored"),
        (graph("ScatterND", [None, None], reduction="add"), EVERYWHERE, "no reduction"),
        (graph("ScatterND", [None, None], reduction="none"), NEW, "stops at the attribute"),
        (graph("ReduceMax", [AXES]), OLD, "reduces over all"),
        (graph("ReduceSum", [None]), EVERYWHERE, "axes must be an initializer"),
        (graph("ReduceMean", kind=TensorProto.BOOL), EVERYWHERE, "does not reduce bools"),
        (graph("CumSum", [None]), EVERYWHERE, "axes must be an initializer"),
        (graph("Slice", [AXES, AXES, None]), EVERYWHERE, "axes must be an initializer"),
        (graph("Einsum", equation="...i->...i"), EVERYWHERE, "no ellipsis"),
        (graph("TopK", [np.array([3840])]), EVERYWHERE, "below 3840"),
        (graph("TopK", [None]), EVERYWHERE, "below 3840"),
        (graph("MaxPool", outputs=2, kernel_shape=[1, 1]), EVERYWHERE, "first output only"),
        (graph("Resize", mode="cubic"), EVERYWHERE, "no cubic mode"),
        (graph("QuantizeLinear", [SCALE, np.int8(3)], result=INT8), EVERYWHERE, "symmetric"),
        (graph("QuantizeLinear", [SCALE, np.uint8(0)], result=INT8), EVERYWHERE, "symmetric"),
        (graph("DequantizeLinear", [np.float32(-1), ZERO], kind=INT8), EVERYWHERE, "positive initializer"),
        (graph("Relu", kind=TensorProto.DOUBLE, result=TensorProto.DOUBLE), EVERYWHERE, "float64"),
        (graph("Reshape", [np.array([16])], kind=UINT8, result=UINT8), EVERYWHERE, BORDER),
        (graph("Cast", kind=UINT8, result=TensorProto.BOOL, to=TensorProto.BOOL), EVERYWHERE, BORDER),
    ],
    ids=lambda value: value.graph.node[0].op_type if isinstance(value, onnx.ModelProto) else None,
)
def test_what_does_not_fit_is_named_with_version_operator_node_and_reason(model, versions, reason):
    operator = model.graph.node[0].op_type
    found = [line for line in check_operators(model) if reason in line]
    assert [line.split(f": {operator} here: ")[0] for line in found] == [f"TensorRT {version}" for version in versions]


@pytest.mark.parametrize(
    "model",
    [
        graph("Relu"),
        graph("GridSample", [None]),
        graph("ScatterElements", [None, None], reduction="none"),
        graph("ReduceMax", axes=[1]),
        graph("ReduceSum", [AXES]),
        graph("TopK", [np.array([3839])]),
        graph("Einsum", equation="abcd->abcd"),
        graph("QuantizeLinear", [SCALE, ZERO], result=INT8),
        graph("Cast", kind=UINT8, to=FLOAT),
    ],
    ids=lambda model: model.graph.node[0].op_type,
)
def test_what_fits_is_let_through(model):
    assert check_operators(model) == []


def test_weights_that_come_quantised_are_found_for_the_old_parser():
    node = helper.make_node("DequantizeLinear", ["w", "s", "z"], ["y"], "here")
    stored = [numpy_helper.from_array(a, n) for n, a in (("w", np.zeros((2, 2), np.int8)), ("s", SCALE), ("z", ZERO))]
    result = helper.make_tensor_value_info("y", FLOAT, (2, 2))
    model = helper.make_model(
        helper.make_graph([node], "g", [], [result], stored), opset_imports=[helper.make_opsetid("", 17)]
    )
    (found,) = check_operators(model)
    assert found == "TensorRT 8.6: DequantizeLinear here: weights come as floats, through QuantizeLinear"


def test_a_newer_release_takes_more():
    model = graph("GridSample", [None], shape=(1, 2, 2, 2, 2))
    assert check_operators(model, ((11, 1),))
    assert not check_operators(model, ((11, 2),))


def test_an_opset_that_the_parser_does_not_read_is_found():
    assert check_operators(graph("Relu", opset=18)) == ["TensorRT 8.6: the graph is of opset 18, the parser reads 17"]


def test_operators_of_another_domain_are_found():
    (found,) = check_operators(graph("Gelu2", domain="com.microsoft"))
    assert "com.microsoft::Gelu2 here" in found


def test_dynamic_shapes_and_types_that_cannot_cross_are_found():
    found = check_operators(graph("Relu", shape=("n", 3), kind=TensorProto.INT64, result=TensorProto.INT64))
    assert [line.split(":")[1].strip() for line in found] == ["tensor x", "tensor x", "tensor y0", "tensor y0"]
    assert "not fixed" in found[0] and "INT64" in found[1]


def test_operators_are_counted():
    assert operators(graph("Relu")) == {"Relu": 1}


def test_the_graph_of_the_large_sizes_parts_is_deployable():
    """Bottleneck blocks, sparse convolutions, several frames and a deep fusion, as `base` has them, in small."""
    config = replace(
        CONFIG,
        geometric_image=ImageEncoderConfig(8, (1, 1, 1), bottleneck=True),
        fusion=FusionConfig(("local", "mamba", "mamba"), ("local", "mamba", "mamba"), head=8, chunk=32),
        sparse=True,
    )
    torch.manual_seed(0)
    shipped = without_outputs(to_onnx(OccLE(config).eval()), LOGITS)
    assert operators(shipped)["MaxPool"] > 2  # the mask's besides those of the images
    assert check_operators(shipped) == []


@pytest.mark.parametrize("manifest", BUNDLES, ids=lambda path: path.parent.name)
def test_every_model_of_a_shipped_bundle_is_deployable(manifest):
    bundle = Bundle.load(manifest.parent)
    for precision in bundle.precisions:
        assert check_operators(onnx.load(bundle.model_file_of(precision))) == [], precision
