"""Which ONNX operators a graph uses, and those that an engine must do without."""

from collections import Counter
from collections.abc import Iterator

import onnx

# Data-dependent shapes and control flow stop TensorRT and fixed buffers; scatter with reduction is silently ignored by
# TensorRT 8.6; rank-5 GridSample needs TensorRT 11.2.
FORBIDDEN = frozenset({"Compress", "If", "Loop", "NonMaxSuppression", "NonZero", "Scan", "ScatterND", "Unique"})


def operators(model: onnx.ModelProto) -> Counter[str]:
    """How often each operator stands in the graph and its functions."""
    return Counter(node.op_type for node in _nodes(model))


def forbidden_operators(model: onnx.ModelProto) -> list[str]:
    """What an engine's graph must not hold, one line each; empty for a deployable graph."""
    ranks = {
        value.name: len(value.type.tensor_type.shape.dim)
        for value in (*model.graph.value_info, *model.graph.input, *model.graph.output)
    }
    found = []
    for node in _nodes(model):
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type in FORBIDDEN:
            found.append(f"{node.op_type} ({node.name})")
        elif node.op_type == "ScatterElements" and attributes.get("reduction", b"none") != b"none":
            found.append(f"ScatterElements with reduction ({node.name})")
        elif node.op_type == "GridSample" and ranks.get(node.input[0], 4) != 4:
            found.append(f"GridSample of rank {ranks[node.input[0]]} ({node.name})")
        elif node.domain not in ("", "ai.onnx"):
            found.append(f"{node.domain}::{node.op_type} ({node.name})")
    dynamic = [v.name for v in (*model.graph.input, *model.graph.output) if _is_dynamic(v)]
    return found + [f"dynamic shape of {name}" for name in dynamic]


def _nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    yield from model.graph.node
    for function in model.functions:
        yield from function.node


def _is_dynamic(value: onnx.ValueInfoProto) -> bool:
    return any(not dim.HasField("dim_value") for dim in value.type.tensor_type.shape.dim)
