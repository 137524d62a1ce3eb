"""From the opset that torch exports to the one that TensorRT 8.6 reads.

TensorRT 8.6's parser knows opset 17. It takes a graph of opset 18 without an error, ignores the axes of a reduction,
which became an input there, and reduces over all of them. torch's exporter and ONNX's version converter cannot lower
opset 18 (no adapter for Pad and Split), so the four operators that differ are rewritten here; the checker refuses
anything else that is not in opset 17.
"""

import onnx
from onnx import helper, numpy_helper

from occ_core.errors import InputError

EXPORTED, LOWERED = 18, 17


def lower_opset(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph in opset 17. Raises ValueError for a node that needs opset 18."""
    lowered = onnx.ModelProto()
    lowered.CopyFrom(model)
    constants = {tensor.name: tensor for tensor in lowered.graph.initializer}
    for node in lowered.graph.node:
        if node.op_type == "Split":
            _drop(node, num_outputs=len(node.output))
        elif node.op_type == "Resize":
            _drop(node, antialias=0, keep_aspect_ratio_policy=b"stretch")
        elif node.op_type == "Pad" and len(node.input) > 3:
            _refuse(node, "axes")
        elif node.op_type.startswith("Reduce") and node.op_type != "ReduceSum":  # whose axes are an input since 13
            _axes_as_attribute(node, constants)
    del lowered.opset_import[:]
    lowered.opset_import.append(helper.make_opsetid("", LOWERED))
    lowered.ir_version = 8  # of ONNX 1.12, which brought opset 17
    try:
        onnx.checker.check_model(lowered, full_check=True)
    except onnx.checker.ValidationError as error:
        raise InputError(f"the graph cannot be written in opset {LOWERED}: {error}") from None
    return lowered


def _axes_as_attribute(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> None:
    _drop(node, noop_with_empty_axes=0)
    if len(node.input) > 1:
        if node.input[1] not in constants:
            _refuse(node, "axes that are computed")
        axes = numpy_helper.to_array(constants[node.input[1]]).tolist()
        del node.input[1]
        node.attribute.append(helper.make_attribute("axes", axes))


def _drop(node: onnx.NodeProto, **defaults) -> None:
    """Remove attributes that opset 17 lacks, where their values are its fixed behaviour."""
    for attribute in [a for a in node.attribute if a.name in defaults]:
        if helper.get_attribute_value(attribute) != defaults[attribute.name]:
            _refuse(node, attribute.name)
        node.attribute.remove(attribute)


def _refuse(node: onnx.NodeProto, what: str) -> None:
    raise InputError(f"{node.op_type} {node.name}: opset {LOWERED} has no {what}")
