"""The f32 graph typed float16: what TensorRT builds its fast engines from.

Each node computes in one type; a Cast stands where a tensor goes from one to the other. onnxruntime's converter rounds
tensors between two nodes that are kept in float32, and so the exponents for which they are kept.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

KEPT_F32 = (
    "Exp", "GridSample", "LayerNormalization", "Log", "Pow", "Reciprocal", "ReduceMean", "Sigmoid", "Softmax",
    "Softplus", "Sqrt",
)  # fmt: skip
"""Operators that overflow or round badly in float16: exponents, norms, and coordinates of an image 600 pixels wide."""


def to_f16(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph in float16; inputs and outputs as they are.

    In float32 stay `KEPT_F32`, the nodes between time steps and exponents in the state-space model, those between
    products and sampling positions, those between the last convolutions and the outputs, and nodes with constants
    beyond float16's range.
    """
    kept = _kept_f32(model)
    graph = onnx.shape_inference.infer_shapes(model).graph
    values = (*graph.value_info, *graph.input, *graph.output)
    floats = {value.name for value in values if value.type.tensor_type.elem_type == TensorProto.FLOAT}
    weights = {t.name: t for t in graph.initializer if t.data_type == TensorProto.FLOAT}
    half: set[str] = set()  # tensors made in float16
    nodes, initializers = [], {t.name: t for t in graph.initializer if t.name not in weights}

    def typed(name: str, wide: bool) -> str:
        """The name of a float tensor in the wanted type; adds the constant or Cast that makes it."""
        if name in weights:
            if wide:
                initializers[name] = weights[name]
                return name
            narrow = numpy_helper.to_array(weights[name]).astype(np.float16)
            initializers[f"{name}_f16"] = numpy_helper.from_array(narrow, f"{name}_f16")
            return f"{name}_f16"
        if (name in half) != wide:
            return name
        to, other = (TensorProto.FLOAT, f"{name}_f32") if wide else (TensorProto.FLOAT16, f"{name}_f16")
        if other not in casts:
            casts.add(other)
            nodes.append(helper.make_node("Cast", [name], [other], f"cast_{other}", to=to))
        return other

    casts: set[str] = set()
    for source in model.graph.node:
        node = onnx.NodeProto()
        node.CopyFrom(source)
        wide = node.name in kept
        for n, name in enumerate(node.input):
            if name in floats or name in weights:
                node.input[n] = typed(name, wide or (node.op_type == "Resize" and n == 2))  # scales are float32
        if not wide:
            half.update(floats.intersection(node.output))
            for attribute in node.attribute:
                if node.op_type == "Cast" and attribute.i == TensorProto.FLOAT:
                    attribute.i = TensorProto.FLOAT16
        nodes.append(node)

    result = helper.make_model(
        helper.make_graph(nodes, model.graph.name, model.graph.input, model.graph.output, list(initializers.values())),
        opset_imports=model.opset_import,
        ir_version=model.ir_version,
    )
    onnx.checker.check_model(result, full_check=True)
    return result


def _kept_f32(model: onnx.ModelProto) -> set[str]:
    """Names of the nodes that stay in float32."""
    nodes = model.graph.node
    exponents = {name for node in nodes if node.op_type in ("Exp", "Sqrt") for name in node.input}
    places = {node.input[1] for node in nodes if node.op_type == "GridSample"}
    outputs = {value.name for value in model.graph.output}
    largest = np.finfo(np.float16).max
    large = {
        tensor.name
        for tensor in model.graph.initializer
        if tensor.data_type == TensorProto.FLOAT and (np.abs(numpy_helper.to_array(tensor)) > largest).any()
    }
    return (
        {node.name for node in nodes if node.op_type in KEPT_F32 or large.intersection(node.input)}
        | {node.name for node in nodes if outputs.intersection(node.output)}
        | _upstream(model, exponents, until={"Split", "Pow"})
        | _upstream(model, places, until={"Conv", "Gemm", "MatMul", "TopK"})
        | _upstream(model, outputs, until={"Conv"})
    )


def _upstream(model: onnx.ModelProto, tensors: set[str], until: set[str]) -> set[str]:
    """Names of the nodes that compute `tensors`, back to operators of `until`, which are left out."""
    needed, found = set(tensors), set()
    for node in reversed(model.graph.node):  # nodes are in topological order
        if node.op_type not in until and needed.intersection(node.output):
            needed.update(node.input)
            found.add(node.name)
    return found
