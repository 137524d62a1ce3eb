import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from export.operators import check_operators
from export.parity import onnxruntime_runner, openvino_runner, random_inputs
from export.quantisation import quantised_convolutions, to_int8

from .conftest import CONFIG


@pytest.fixture(scope="module")
def frames() -> list[dict]:
    return [random_inputs(CONFIG.preprocess, seed) for seed in (3, 4)]


@pytest.fixture(scope="module")
def quantised(shipped, frames) -> onnx.ModelProto:
    before = shipped.SerializeToString()
    model = to_int8(shipped, frames)
    assert shipped.SerializeToString() == before  # the model given is left as it was
    return model


def test_dense_two_dimensional_convolutions_are_chosen(shipped):
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in shipped.graph.initializer}
    chosen = set(quantised_convolutions(shipped))
    for node in shipped.graph.node:
        if node.op_type == "Conv":
            group = next((a.i for a in node.attribute if a.name == "group"), 1)
            if weights[node.input[1]].ndim != 4 or group != 1 or node.input[1].startswith("model.head."):
                assert node.name not in chosen, node.input[1]
            if node.input[0] == "image":
                assert node.name not in chosen  # the first that an input meets
    assert len(chosen) > 20


def test_each_chosen_convolution_has_quantised_input_and_weights(quantised, shipped):
    made_by = {name: node for node in quantised.graph.node for name in node.output}
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in quantised.graph.initializer}
    chosen = set(quantised_convolutions(shipped))
    for node in quantised.graph.node:
        if node.op_type != "Conv":
            continue
        sides = [made_by.get(name) for name in node.input[:2]]
        assert [side is not None and side.op_type == "DequantizeLinear" for side in sides] == [node.name in chosen] * 2
        if node.name in chosen:
            assert constants[sides[0].input[1]].size == 1
            weights = made_by[sides[1].input[0]].input[0]
            assert constants[weights].dtype == np.float32
            assert constants[sides[1].input[1]].shape == constants[weights].shape[:1]  # a scale a channel
            assert node.input[2] in constants  # biases stay in float


def test_nothing_else_is_quantised(quantised, shipped):
    number = len([node for node in quantised.graph.node if node.op_type == "DequantizeLinear"])
    assert len(quantised_convolutions(shipped)) < number <= 2 * len(quantised_convolutions(shipped))


def test_it_keeps_its_tensors_and_is_deployable(quantised, shipped):
    assert quantised.graph.input == shipped.graph.input
    assert [value.name for value in quantised.graph.output] == ["labels", "confidence"]
    assert check_operators(quantised) == []


@pytest.mark.parametrize("runner", [onnxruntime_runner, openvino_runner])
def test_most_labels_are_those_of_float32(quantised, shipped, frames, runner):
    expected = onnxruntime_runner(shipped.SerializeToString())(frames[0])["labels"]
    assert (runner(quantised.SerializeToString())(frames[0])["labels"] == expected).mean() > 0.8


def test_without_frames_there_is_nothing_to_calibrate_with(shipped):
    with pytest.raises(ValueError, match="needs frames"):
        to_int8(shipped, [])
