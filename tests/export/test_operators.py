import onnx
import pytest
from onnx import TensorProto, helper

from export.operators import forbidden_operators, operators


def graph(op: str, rank: int = 4, shape: list | None = None, **attributes) -> onnx.ModelProto:
    """One node between an input and an output of that rank."""
    shape = shape or [2] * rank
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy")
    node = helper.make_node(op, ["x", "x", "x"], ["y"], name="here", **attributes)
    return helper.make_model(helper.make_graph([node], "g", [x], [y]))


@pytest.mark.parametrize("op", ["NonZero", "ScatterND", "Unique", "Loop", "If"])
def test_operators_with_data_dependent_shapes_or_flow_are_found(op):
    assert forbidden_operators(graph(op)) == [f"{op} (here)"]


def test_scatter_with_reduction_is_found():
    assert forbidden_operators(graph("ScatterElements", reduction="add")) == ["ScatterElements with reduction (here)"]
    assert forbidden_operators(graph("ScatterElements", reduction="none")) == []


def test_grid_sample_of_rank_five_is_found():
    assert forbidden_operators(graph("GridSample", rank=5)) == ["GridSample of rank 5 (here)"]
    assert forbidden_operators(graph("GridSample", rank=4)) == []


def test_operators_of_another_domain_are_found():
    assert forbidden_operators(graph("Gelu", domain="com.microsoft")) == ["com.microsoft::Gelu (here)"]


def test_dynamic_shapes_are_found():
    assert forbidden_operators(graph("Relu", shape=["n", 3])) == ["dynamic shape of x", "dynamic shape of y"]


def test_operators_are_counted():
    assert operators(graph("Relu")) == {"Relu": 1}
