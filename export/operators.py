"""Which ONNX graphs TensorRT takes: a table of rules, and the check of a graph against it.

Sources: onnx-tensorrt's docs/operators.md and parser at 8.6 and 10.1, TensorRT's support matrix and API documentation.
Refused is what a version rejects, and also what it accepts and computes wrongly.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Version = tuple[int, int]
TARGETS: tuple[Version, ...] = ((8, 6), (10, 3))
"""The oldest supported TensorRT, and the one of current Jetsons."""
HIGHEST_OPSET = {(8, 6): 17, (10, 3): 20}
NEVER: Version = (1000, 0)


class Site:
    """A node and the known properties of its tensors: types (0 where unknown), ranks, constants."""

    def __init__(self, node: onnx.NodeProto, graph: "_Graph"):
        self.node, self.graph = node, graph
        self.attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        self.types = [graph.types.get(name, 0) for name in (*node.input, *node.output)]

    def has(self, n: int) -> bool:
        """Whether input `n` is given."""
        return len(self.node.input) > n and self.node.input[n] != ""

    def constant(self, n: int) -> np.ndarray | None:
        """Input `n`, where it is an initializer."""
        tensor = self.graph.constants.get(self.node.input[n]) if self.has(n) else None
        return None if tensor is None else numpy_helper.to_array(tensor)

    def rank(self, n: int) -> int | None:
        """Number of dimensions of input `n`, where known."""
        return self.graph.ranks.get(self.node.input[n])


def _computed(n: int, site: Site) -> bool:
    return site.has(n) and site.constant(n) is None


def _touches(kind: int, site: Site) -> bool:
    return kind in site.types


def _reduces(site: Site) -> bool:
    return site.attributes.get("reduction", b"none") != b"none"


def _stray_bytes(site: Site) -> bool:
    """A uint8 tensor that is not an engine input going into a Cast, or an output coming out of one."""
    node, graph = site.node, site.graph
    floats = (TensorProto.FLOAT, TensorProto.FLOAT16)
    into = node.op_type == "Cast" and node.input[0] in graph.inputs and site.attributes["to"] in floats
    out_of = node.op_type == "Cast" and node.output[0] in graph.outputs and graph.types.get(node.input[0]) in floats
    taken = any(graph.types.get(name) == TensorProto.UINT8 for name in node.input)
    given = any(graph.types.get(name) == TensorProto.UINT8 for name in node.output)
    return (taken and not into) or (given and not out_of)


def _topk_too_large(site: Site) -> bool:
    k = site.constant(1)
    return k is None or int(k.max()) >= 3840


def _asymmetric(site: Site) -> bool:
    zero = site.constant(2)
    return zero is None or zero.dtype != np.int8 or bool(zero.any())


def _constant_data(site: Site) -> bool:
    return site.constant(0) is not None


def _bad_scale(site: Site) -> bool:
    scale = site.constant(1)
    return scale is None or not (scale > 0).all()


@dataclass(frozen=True)
class Rule:
    """Operators ("*": all) that versions from `since` on and below `before` refuse, where `applies`, and why."""

    operators: str
    reason: str
    applies: Callable[[Site], bool] = lambda site: True
    since: Version = (0, 0)
    before: Version = NEVER

    def refuses(self, site: Site, version: Version) -> bool:
        """Whether this version of TensorRT refuses the node, or computes it wrongly."""
        named = self.operators == "*" or site.node.op_type in self.operators.split()
        return named and self.since <= version < self.before and self.applies(site)


_NO_IMPORTER = "the parser does not know it"
_UNKNOWN = """
    AffineGrid Bernoulli BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor BlackmanWindow CenterCropPad Col2Im
    ConcatFromSequence ConvInteger DFT Det DynamicQuantizeLinear HammingWindow HannWindow MatMulInteger MaxRoiPool
    MaxUnpool MelWeightMatrix Multinomial NegativeLogLikelihoodLoss QLinearConv QLinearMatMul STFT SequenceAt
    SequenceConstruct SequenceEmpty SequenceErase SequenceInsert SoftmaxCrossEntropyLoss SplitToSequence
"""
_REDUCTIONS = "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSumSquare"
_QUANTISERS = "QuantizeLinear DequantizeLinear"

RULES = (
    Rule("If Loop Scan", "control flow keeps an engine from fixed buffers and CUDA graphs"),
    Rule("Compress NonMaxSuppression NonZero Unique", "the shape of its result depends on the data"),
    Rule(_UNKNOWN, _NO_IMPORTER),
    Rule("GroupNormalization LayerNormalization", _NO_IMPORTER, before=(8, 6)),
    Rule("CastLike Gelu Hardmax Mish", _NO_IMPORTER, before=(10, 0)),
    Rule("DeformConv", _NO_IMPORTER, before=(10, 1)),
    Rule("GridSample", "it samples inputs of rank 4 only", lambda s: s.rank(0) not in (4, None), before=(11, 2)),
    Rule("ScatterElements", "its reduction is silently ignored", _reduces, before=(10, 0)),
    Rule("ScatterND", "it has no reduction", _reduces),
    Rule("ScatterND", "it stops at the attribute reduction", lambda s: "reduction" in s.attributes, (10, 1), (10, 7)),
    Rule(_REDUCTIONS, "axes given as an input are ignored: it reduces over all", lambda s: s.has(1), before=(10, 0)),
    Rule(f"{_REDUCTIONS} ReduceSum CumSum Squeeze Unsqueeze", "axes must be an initializer", partial(_computed, 1)),
    Rule(f"{_REDUCTIONS} ReduceSum", "it does not reduce bools", partial(_touches, TensorProto.BOOL)),
    Rule("Slice", "axes must be an initializer", partial(_computed, 3)),
    Rule("Einsum", "it has no ellipsis", lambda s: b"." in s.attributes["equation"], before=(10, 12)),
    Rule("TopK", "K must be an initializer below 3840", _topk_too_large),
    Rule("LayerNormalization MaxPool", "it gives its first output only", lambda s: len(s.node.output) > 1),
    Rule("Resize", "it has no antialiasing", lambda s: s.attributes.get("antialias", 0) == 1),
    Rule("Resize", "it has no cubic mode", lambda s: s.attributes.get("mode") == b"cubic"),
    Rule(_QUANTISERS, "the zero point must be an int8 zero: quantisation is symmetric", _asymmetric),
    Rule(_QUANTISERS, "the scale must be a positive initializer", _bad_scale),
    Rule("DequantizeLinear", "weights come as floats, through QuantizeLinear", _constant_data, before=(10, 0)),
    Rule("*", "uint8 exists only as the engine's inputs and outputs, one Cast from or to float away", _stray_bytes),
    Rule("*", "there are no float64 tensors", partial(_touches, TensorProto.DOUBLE)),
)


def check_operators(model: onnx.ModelProto, versions: tuple[Version, ...] = TARGETS) -> list[str]:
    """What TensorRT does not take: one line per finding, with version, operator, node and reason; none is good.

    model : functions are not looked into: a call of one is a finding
    versions : TensorRT releases the graph is for
    """
    graph = _Graph(model)
    sites = [Site(node, graph) for node in model.graph.node]
    found = list(_general(model))
    for version in versions:
        prefix = "TensorRT {}.{}: ".format(*version)
        opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
        highest = max((v, limit) for v, limit in HIGHEST_OPSET.items() if v <= version)[1]
        if opset > highest:
            found.append(f"{prefix}the graph is of opset {opset}, the parser reads {highest}")
        for site in sites:
            where = f"{site.node.op_type} {site.node.name}"
            found += [f"{prefix}{where}: {rule.reason}" for rule in RULES if rule.refuses(site, version)]
    return found


def operators(model: onnx.ModelProto) -> Counter[str]:
    """How often each operator occurs in the graph."""
    return Counter(node.op_type for node in model.graph.node)


def _general(model: onnx.ModelProto) -> Iterator[str]:
    """Findings that hold for every version."""
    border = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT32, TensorProto.INT8, TensorProto.UINT8)
    for node in model.graph.node:
        if node.domain not in ("", "ai.onnx"):
            yield f"every TensorRT: {node.domain}::{node.op_type} {node.name}: operators of other domains are unknown"
    for value in (*model.graph.input, *model.graph.output):
        kind = value.type.tensor_type
        if any(not dim.HasField("dim_value") for dim in kind.shape.dim):
            yield f"every TensorRT: tensor {value.name}: its shape is not fixed, engines here are built for one shape"
        if kind.elem_type not in border:
            name = TensorProto.DataType.Name(kind.elem_type)
            yield f"every TensorRT: tensor {value.name}: {name} cannot be an engine's input or output"


class _Graph:
    """Names to types, ranks and constants."""

    def __init__(self, model: onnx.ModelProto):
        try:
            graph = onnx.shape_inference.infer_shapes(model).graph
        except onnx.shape_inference.InferenceError:  # a node that ONNX does not know: found by its name or domain
            graph = model.graph
        self.inputs = {value.name for value in graph.input}
        self.outputs = {value.name for value in graph.output}
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self.constants[node.output[0]] = node.attribute[0].t
        self.types = {name: tensor.data_type for name, tensor in self.constants.items()}
        self.ranks = {name: len(tensor.dims) for name, tensor in self.constants.items()}
        for value in (*graph.value_info, *graph.input, *graph.output):
            self.types[value.name] = value.type.tensor_type.elem_type
            if value.type.tensor_type.HasField("shape"):
                self.ranks[value.name] = len(value.type.tensor_type.shape.dim)
