import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from occ_runtime import DEFAULT_BUNDLE, Bundle, find_bundle
from occ_runtime.onnx_file import has_external_data


def external(named: bool = True) -> TensorProto:
    tensor = numpy_helper.from_array(np.zeros(2, np.float32), "w")
    tensor.data_location = TensorProto.EXTERNAL
    if named:
        tensor.external_data.add(key="location", value="weights.bin")
    return tensor


def model(nodes=(), initializers=(), sparse=(), functions=()) -> bytes:
    graph = helper.make_graph(nodes, "g", [], [], initializers, sparse_initializer=sparse)
    return helper.make_model(graph, functions=functions).SerializeToString()


def constant(tensor):
    return helper.make_node("Constant", [], ["c"], value=tensor)


def test_a_bundle_keeps_its_weights_in_its_model():
    assert not has_external_data(Bundle.load(find_bundle(DEFAULT_BUNDLE)).model_file.read_bytes())
    inside = numpy_helper.from_array(np.arange(300.0), "w")
    assert not has_external_data(model([constant(inside)], [inside]))


@pytest.mark.parametrize("named", [True, False])
def test_weights_elsewhere_are_found_wherever_a_tensor_can_be(named):
    tensor, inside = external(named), numpy_helper.from_array(np.zeros(2, np.int64), "i")
    body = helper.make_graph([constant(tensor)], "body", [], [])
    places = {
        "initializer": model(initializers=[inside, tensor]),
        "constant": model([constant(inside), constant(tensor)]),
        "list": model([helper.make_node("Constant", [], ["c"], value=[tensor])]),
        "branch": model([helper.make_node("If", ["x"], ["y"], then_branch=body, else_branch=body)]),
        "sparse": model(sparse=[helper.make_sparse_tensor(tensor, inside, [4])]),
        "function": model(functions=[helper.make_function("d", "f", [], ["c"], [constant(tensor)], [])]),
    }
    assert [name for name, content in places.items() if not has_external_data(content)] == []


def test_a_group_before_it_does_not_hide_it():
    assert has_external_data(b"\xf3\x07\xf4\x07" + model(initializers=[external()]))


@pytest.mark.parametrize("content", [b"", b"not a model", b"\xff" * 100, b"\x3a\xff\xff\xff\xff\x0f", bytes(100)])
def test_what_is_no_model_has_none(content):
    assert not has_external_data(content)
