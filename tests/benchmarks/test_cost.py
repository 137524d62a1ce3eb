import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="needs onnx (the train extra)")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from benchmarks.cost import tables  # noqa: E402
from benchmarks.graph_cost import DEVICES, Cost, Device, cost_of, device_named, roofline_ms  # noqa: E402


def graph(nodes, inputs, outputs, **constants):
    values = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in side.items()]
        for side in (inputs, outputs)
    ]
    weights = [numpy_helper.from_array(np.zeros(shape, np.float32), name) for name, shape in constants.items()]
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(helper.make_graph(nodes, "g", *values, weights), opset_imports=opset)


def test_a_convolution_is_counted_by_hand():
    # 8 outputs of 3 x 3 x 4 inputs in 2 groups: 2 * (8 * 10 * 12) * (2 * 3 * 3) operations.
    conv = helper.make_node("Conv", ["x", "w"], ["y"], group=2, pads=[1, 1, 1, 1])
    cost = cost_of(graph([conv], {"x": (1, 4, 10, 12)}, {"y": (1, 8, 10, 12)}, w=(8, 2, 3, 3)))
    assert cost.flop == 2 * 960 * 18
    assert cost.weights == 4 * 8 * 2 * 9
    assert cost.traffic == 4 * (480 + 144 + 960)
    assert cost.peak == 4 * (480 + 960)


@pytest.mark.parametrize(
    ("node", "a", "b", "flop"),
    [
        (helper.make_node("MatMul", ["x", "w"], ["y"]), (3, 5, 7), (3, 7, 11), 2 * 3 * 5 * 7 * 11),
        (helper.make_node("Gemm", ["x", "w"], ["y"]), (5, 7), (7, 11), 2 * 5 * 7 * 11),
        (helper.make_node("Gemm", ["x", "w"], ["y"], transA=1), (7, 5), (7, 11), 2 * 5 * 7 * 11),
        (helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2]), (1, 3, 4, 4), (3, 6, 2, 2), 2 * 48 * 24),
    ],
    ids=["matmul", "gemm", "gemm transposed", "deconvolution"],
)
def test_products_are_counted_by_hand(node, a, b, flop):
    output = {"MatMul": (3, 5, 11), "Gemm": (5, 11), "ConvTranspose": (1, 6, 8, 8)}[node.op_type]
    assert cost_of(graph([node], {"x": a}, {"y": output}, w=b)).flop == flop


def test_pointwise_operators_and_views_move_nothing_of_their_own():
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Add", ["b", "s"], ["c"]),
        helper.make_node("Reshape", ["c", "shape"], ["d"]),
        helper.make_node("Transpose", ["d"], ["y"]),
    ]
    model = graph(nodes, {"x": (4, 8), "s": (4, 16)}, {"y": (8, 8)}, w=(8, 16))
    model.graph.initializer.append(numpy_helper.from_array(np.array([8, 8]), "shape"))
    cost = cost_of(model)
    # Read: x, w, s and the two numbers of the shape; written and read again: d; written: y.
    assert cost.traffic == 4 * (32 + 128 + 64) + 16 + 4 * (64 + 64 + 64)
    assert cost.peak == 4 * (64 + 64)  # d and y


def test_a_tensor_with_two_readers_is_written_once_and_read_twice():
    nodes = [helper.make_node("MatMul", ["x", "w"], ["a"])]
    nodes += [helper.make_node("Transpose", ["a"], [name], perm=[1, 0]) for name in ("y", "z")]
    cost = cost_of(graph(nodes, {"x": (4, 8)}, {"y": (16, 4), "z": (16, 4)}, w=(8, 16)))
    assert cost.traffic == 4 * (32 + 128 + 3 * 64 + 2 * 64)


def test_what_is_constant_is_folded():
    nodes = [helper.make_node("Exp", ["w"], ["e"]), helper.make_node("MatMul", ["x", "e"], ["y"])]
    cost = cost_of(graph(nodes, {"x": (4, 8)}, {"y": (4, 16)}, w=(8, 16)))
    assert cost.traffic == 4 * (32 + 128 + 64)
    assert cost.peak == 4 * (32 + 64)


def test_a_tensor_without_a_shape_is_named():
    nodes = [helper.make_node("NoSuch", ["x"], ["a"], domain="other"), helper.make_node("MatMul", ["a", "w"], ["y"])]
    model = graph(nodes, {"x": (4, 8)}, {"y": (4, 16)}, w=(8, 16))
    model.opset_import.append(helper.make_opsetid("other", 1))
    with pytest.raises(ValueError, match="tensor 'a' of the graph has no shape"):
        cost_of(model)


def test_the_roofline_is_the_longer_of_arithmetic_and_memory():
    device = Device(f32=2.0, f16=8.0, bandwidth=100.0)
    assert roofline_ms(Cost(4_000_000_000, 0, 1000, 0), device, "f32") == pytest.approx(2.0)
    assert roofline_ms(Cost(4_000_000_000, 0, 1000, 0), device, "f16") == pytest.approx(0.5)
    assert roofline_ms(Cost(1000, 0, 300_000_000, 0), device, "f32") == pytest.approx(3.0)
    assert roofline_ms(Cost(1000, 0, 300_000_000, 0), device, "f16") == pytest.approx(1.5)


def test_devices_are_found_by_their_drivers_name():
    assert device_named("NVIDIA H200") is DEVICES["H200"]
    assert device_named("NVIDIA GeForce RTX 4090") is DEVICES["RTX 4090"]
    assert device_named("Some other GPU") is None


def test_the_graph_counts_what_torch_counts():
    """On the smallest OccLE: convolutions, attention and state-space model, by torch's own counter."""
    torch = pytest.importorskip("torch", reason="needs torch (the train extra)")
    from pathlib import Path

    from torch.utils.flop_counter import FlopCounterMode

    from export.onnx import LOGITS, to_onnx, without_outputs
    from export.torch_engine import random_model
    from occ_runtime import input_specs

    model = random_model(str(Path(__file__).parents[1] / "occ_models" / "pico.yaml"))
    inputs = [
        torch.zeros(s.shape, dtype=getattr(torch, s.dtype))
        for s in input_specs(model.config.preprocess, model.config.inputs)
    ]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.predict(*inputs)
    cost = cost_of(without_outputs(to_onnx(model), LOGITS))
    assert cost.flop == pytest.approx(counter.get_total_flops(), rel=0.01)


def test_the_table_has_a_row_a_size():
    limits = {f"{name} f16": 1.0 for name in DEVICES} | {"this CPU f32": 200.0}
    entry = {"parameters": 1_700_000, "flop": 7.4e9, "weights": 7e6, "traffic": 8e8, "peak": 4e7, "roofline_ms": limits}
    entry["cpu_ms"] = {"openvino f32": 70.0, "onnxruntime f32": 140.0}
    table = tables({"sizes": {"nano": entry}})["cost"]
    assert (
        table.splitlines()[2] == "| `nano` | 1.7 | 7 | 7 | 800 | 40 | 1.00 | 1.00 | 1.00 | 1.00 | 200 |  | 70.0 | 140 |"
    )
