"""What an ONNX graph costs: operations, bytes, and the roofline of published devices.

Operations are those of convolutions and matrix products (a multiply-add counts as two), attention and the state-space
model included, for they are exported as matrix products. Bytes: each operator reads its inputs and writes its outputs
once; pointwise ones and views are taken as part of the operator before them. A cache that holds results from one
operator to the next can be faster than the memory's side of the roofline. Needs onnx.
"""

from dataclasses import dataclass

import numpy as np
import onnx

POINTWISE = {
    "Abs", "Add", "And", "BatchNormalization", "Cast", "Clip", "Div", "Equal", "Exp", "Greater", "GreaterOrEqual",
    "Less", "LessOrEqual", "Max", "Min", "Mul", "Neg", "Not", "Or", "Pow", "Reciprocal", "Relu", "Sigmoid", "Softplus",
    "Sqrt", "Sub", "Tanh", "Where",
}  # fmt: skip
VIEWS = {"Expand", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"}


@dataclass(frozen=True)
class Cost:
    """flop: operations; weights, traffic, peak: bytes in float32 of the constants, of all that is read and written, and
    of the largest set of intermediate results alive at once."""

    flop: int
    weights: int
    traffic: int
    peak: int


@dataclass(frozen=True)
class Device:
    """Published dense peaks: 1e12 operations a second in f32 and f16, 1e9 bytes a second."""

    f32: float
    f16: float | None
    bandwidth: float


DEVICES = {
    # NVIDIA H200 datasheet (SXM): TF32 989 and FP16 1,979 TFLOPS with sparsity, half of it dense; HBM3e 4.8 TB/s.
    "H200": Device(494.5, 989.5, 4800),
    # NVIDIA Ada GPU architecture whitepaper, appendix A: FP32 82.6, FP16 with FP32 accumulate 165.2; 1,008 GB/s.
    "RTX 4090": Device(82.6, 165.2, 1008),
    # NVIDIA Jetson AGX Orin technical brief: 5.3 FP32 TFLOPS, 170 sparse INT8 TOPS, so 42.5 in FP16; 204.8 GB/s.
    "AGX Orin 64GB": Device(5.3, 42.5, 204.8),
    # NVIDIA Jetson Orin NX series datasheet (16 GB): 1,024 cores at 918 MHz, 60 sparse INT8 TOPS; 102.4 GB/s.
    "Orin NX 16GB": Device(1.88, 15.0, 102.4),
}


def device_named(name: str) -> Device | None:
    """The entry of a GPU as its driver calls it, None where its peaks are not known here."""
    return next((device for key, device in DEVICES.items() if key in name), None)


def roofline_ms(cost: Cost, device: Device, precision: str) -> float:
    """Milliseconds at the device's peaks: the longer of its arithmetic and its memory traffic."""
    peak, width = {"f32": (device.f32, 1.0), "f16": (device.f16, 0.5)}[precision]
    return max(cost.flop / peak / 1e9, width * cost.traffic / device.bandwidth / 1e6)


def cost_of(model: onnx.ModelProto) -> Cost:
    """Count a graph of fixed shapes. Raises ValueError naming a tensor without one."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    shapes = _shapes(graph)
    constants = {tensor.name for tensor in graph.initializer}
    flop, group, made_by = 0, {}, {}  # group: node -> the node that it is part of
    readers: dict[str, set[int]] = {}
    last_use: dict[str, int] = {}
    for n, node in enumerate(graph.node):
        inputs = [name for name in node.input if name]
        if all(name in constants for name in inputs):  # folded before anything runs
            constants.update(node.output)
            continue
        flop += _flop(node, shapes)
        joined = [name for name in inputs if name in made_by and node.op_type in POINTWISE | VIEWS]
        group[n] = group[made_by[max(joined, key=lambda name: _bytes(shapes, name))]] if joined else n
        for name in inputs:
            readers.setdefault(name, set()).add(group[n])
            last_use[name] = n
        made_by.update(dict.fromkeys(node.output, n))

    end, outputs = len(graph.node), {value.name for value in graph.output}
    traffic, alive = 0, np.zeros(end + 2, np.int64)  # alive: what starts to exist less what ceases to, at each node
    for name in readers.keys() | outputs:
        maker = made_by.get(name)
        others = readers.get(name, set()) - {group.get(maker)}
        written = maker is not None and (others or name in outputs)
        traffic += _bytes(shapes, name) * (len(others) + bool(written))
        if name not in constants and (others or name in outputs):
            alive[0 if maker is None else maker] += _bytes(shapes, name)
            alive[1 + (end if name in outputs else last_use[name])] -= _bytes(shapes, name)
    weights = sum(_bytes(shapes, tensor.name) for tensor in graph.initializer)
    return Cost(int(flop), int(weights), int(traffic), int(alive.cumsum().max()))


def _flop(node: onnx.NodeProto, shapes: dict) -> int:
    if node.op_type == "Conv":
        return 2 * _count(shapes, node.output[0]) * int(np.prod(_shape(shapes, node.input[1])[1:]))
    if node.op_type == "ConvTranspose":
        return 2 * _count(shapes, node.input[0]) * int(np.prod(_shape(shapes, node.input[1])[1:]))
    if node.op_type == "MatMul":
        return 2 * _count(shapes, node.output[0]) * _shape(shapes, node.input[0])[-1]
    if node.op_type == "Gemm":
        transposed = any(a.name == "transA" and a.i for a in node.attribute)
        return 2 * _count(shapes, node.output[0]) * _shape(shapes, node.input[0])[0 if transposed else 1]
    return 0


def _shapes(graph: onnx.GraphProto) -> dict[str, tuple[tuple[int, ...], int]]:
    """Tensor -> shape and bytes an element."""

    def width(kind: int) -> int:
        return onnx.helper.tensor_dtype_to_np_dtype(kind).itemsize

    found = {t.name: (tuple(t.dims), width(t.data_type)) for t in graph.initializer}
    for value in (*graph.value_info, *graph.input, *graph.output):
        kind = value.type.tensor_type
        found[value.name] = tuple(d.dim_value for d in kind.shape.dim), width(kind.elem_type)
    return found


def _shape(shapes: dict, name: str) -> tuple[int, ...]:
    if name not in shapes:
        raise ValueError(f"tensor {name!r} of the graph has no shape; costs need all of them")
    return shapes[name][0]


def _count(shapes: dict, name: str) -> int:
    return int(np.prod(_shape(shapes, name), dtype=np.int64))


def _bytes(shapes: dict, name: str) -> int:
    return _count(shapes, name) * shapes[name][1]
