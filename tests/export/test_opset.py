import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.opset import lower_opset
from export.parity import onnxruntime_runner

HALF = np.array([1, 1, 0.5, 0.5], np.float32)
X = np.random.default_rng(0).normal(size=(2, 6, 4, 4)).astype(np.float32)


def graph(op: str, shape: tuple, constants: dict | None = None, outputs: int = 1, **attributes) -> onnx.ModelProto:
    """One node of opset 18 over `X`; constants: its further inputs by place."""
    constants = constants or {}
    names = ["x", *(f"c{n}" if n in constants else "" for n in range(1, max(constants, default=0) + 1))]
    results = [f"y{n}" for n in range(outputs)]
    stored = [numpy_helper.from_array(np.asarray(value), f"c{n}") for n, value in constants.items()]
    return helper.make_model(
        helper.make_graph(
            [helper.make_node(op, names, results, "here", **attributes)],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, X.shape)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in results],
            stored,
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )


@pytest.mark.parametrize(
    "model",
    [
        graph("Split", (2, 2, 4, 4), outputs=3, axis=1, num_outputs=3),
        graph("ReduceMax", (2, 6, 1, 4), {1: np.array([2])}, noop_with_empty_axes=0),
        graph("ReduceMean", (2, 4), {1: np.array([1, -1])}, keepdims=0),
        graph("ReduceSum", (2, 6, 1, 4), {1: np.array([2])}),
        graph("Resize", (2, 6, 8, 8), {2: np.array([1, 1, 2, 2], np.float32)}, mode="nearest", antialias=0),
        graph("Pad", (2, 6, 4, 6), {1: np.array([0, 0, 0, 1, 0, 0, 0, 1])}),
        graph("Relu", (2, 6, 4, 4)),
    ],
    ids=lambda model: model.graph.node[0].op_type,
)
def test_a_lowered_graph_computes_the_same(model):
    lowered = lower_opset(model)
    assert lowered.opset_import[0].version == 17
    expected, found = (onnxruntime_runner(m.SerializeToString())({"x": X}) for m in (model, lowered))
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


def test_the_axes_of_a_reduction_become_an_attribute():
    model = graph("ReduceMax", (2, 6, 1, 4), {1: np.array([2])})
    (node,) = lower_opset(model).graph.node
    assert list(node.input) == ["x"]
    assert [list(a.ints) for a in node.attribute if a.name == "axes"] == [[2]]
    assert len(model.graph.node[0].input) == 2  # the model given is left as it was


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (graph("Resize", (2, 6, 2, 2), {2: HALF}, mode="linear", antialias=1), "antialias"),
        (graph("Split", (2, 2, 4, 4), outputs=2, axis=1, num_outputs=3), "num_outputs"),
        (graph("Pad", (2, 6, 4, 6), {1: np.array([1, 1]), 3: np.array([3])}), "axes"),
        (graph("BitwiseNot", X.shape), "cannot be written in opset 17"),
    ],
    ids=["Resize", "Split", "Pad", "BitwiseNot"],
)
def test_what_only_the_newer_opset_can_say_is_refused(model, words):
    with pytest.raises(ValueError, match=words):
        lower_opset(model)
