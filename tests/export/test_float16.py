import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.float16 import to_f16
from export.operators import check_operators
from export.parity import onnxruntime_runner, openvino_runner, random_inputs

from .conftest import CONFIG

FLOAT, FLOAT16 = TensorProto.FLOAT, TensorProto.FLOAT16


@pytest.fixture(scope="module")
def typed(shipped) -> onnx.ModelProto:
    return to_f16(shipped)


def types(model: onnx.ModelProto) -> dict[str, int]:
    """Element types by tensor name."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    known = {t.name: t.data_type for t in graph.initializer}
    return known | {v.name: v.type.tensor_type.elem_type for v in (*graph.value_info, *graph.input, *graph.output)}


def test_inputs_and_outputs_stay_as_they_are(typed, shipped):
    assert typed.graph.input == shipped.graph.input
    assert typed.graph.output == shipped.graph.output


def test_convolutions_compute_in_float16(typed):
    kinds = types(typed)
    convolutions = [node for node in typed.graph.node if node.op_type == "Conv"]
    assert len(convolutions) > 20
    assert {kinds[name] for node in convolutions for name in (*node.input, *node.output)} == {FLOAT16}


@pytest.mark.parametrize("operator", ["Exp", "Softplus", "Softmax", "LayerNormalization", "GridSample", "Sqrt"])
def test_exponents_norms_and_coordinates_compute_in_float32(typed, operator):
    kinds = types(typed)
    nodes = [node for node in typed.graph.node if node.op_type == operator]
    assert nodes
    assert {kinds[name] for node in nodes for name in (*node.input, *node.output)} == {FLOAT}


def test_nothing_between_a_time_step_and_its_exponent_is_rounded(typed):
    """Back from the exponents, the first Cast is right behind the projection that gives the time steps."""
    made_by = {name: node for node in typed.graph.node for name in node.output}
    waiting = [name for node in typed.graph.node if node.op_type == "Exp" for name in node.input]
    passed = set()
    while waiting:
        node = made_by.get(waiting.pop())
        if node is None or node.name in passed:
            continue
        passed.add(node.name)
        if node.op_type == "Cast":
            assert made_by[node.input[0]].op_type == "Split", node.name
        else:
            waiting += node.input
    operators = {node.op_type for node in typed.graph.node if node.name in passed}
    assert {"MatMul", "Sub", "Softplus", "Cast"} <= operators  # cumulative sums and their differences are on the way


def test_the_decision_is_made_in_float32(typed):
    kinds = types(typed)
    for node in typed.graph.node:
        if node.op_type in ("GreaterOrEqual", "Where", "Abs"):
            assert FLOAT16 not in [kinds[name] for name in (*node.input, *node.output)], node.name


def test_it_is_half_the_size_and_deployable(typed, shipped):
    assert typed.ByteSize() < 0.7 * shipped.ByteSize()
    assert check_operators(typed) == []


@pytest.mark.parametrize("runner", [onnxruntime_runner, openvino_runner])
def test_labels_are_those_of_float32(typed, shipped, runner):
    inputs = random_inputs(CONFIG.preprocess, seed=1)
    expected = onnxruntime_runner(shipped.SerializeToString())(inputs)["labels"]
    found = runner(typed.SerializeToString())(inputs)["labels"]
    assert (found == expected).mean() > 0.995


def test_a_constant_beyond_float16_keeps_its_node_in_float32():
    x, y = (helper.make_tensor_value_info(name, FLOAT, [1, 1, 2]) for name in "xy")
    nodes = [
        helper.make_node("Mul", ["x", "large"], ["a"], "scaled"),
        helper.make_node("Mul", ["a", "small"], ["b"], "back"),
        helper.make_node("Conv", ["b", "weight"], ["y"], "conv"),  # the nodes before it decide nothing
    ]
    constants = {"large": 1e6, "small": 1e-3, "weight": [[[1e-3]]]}
    stored = [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", [x], [y], stored)
    typed = to_f16(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))
    assert types(typed)["a"] == FLOAT
    found = onnxruntime_runner(typed.SerializeToString())({"x": np.ones((1, 1, 2), np.float32)})["y"]
    np.testing.assert_allclose(found, np.ones((1, 1, 2)), rtol=1e-3)
