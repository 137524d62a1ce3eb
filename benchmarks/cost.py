"""What a network costs: parameters, operations, bytes, each device's roofline, and its time on this CPU.

    python -m benchmarks.cost [--sizes nano small base] [--keep]

Operations are those of convolutions and matrix products (a multiply-add counts as two), attention and the state-space
model included, for they are exported as matrix products. Bytes: each operator reads its inputs and writes its outputs
once; pointwise ones and views are taken as part of the operator before them. A cache that holds results from one
operator to the next can beat the memory's side of the roofline. Weights are random: time does not depend on them.
Needs torch and onnx.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnx

from occ_runtime import BackendError, Bundle, load_backend

from .measure import cpu_model, markdown, medians, milliseconds
from .report import publish

SIZES = ("nano", "small", "base")
CPU_RUNS = (("openvino", "bf16"), ("openvino", "f32"), ("onnxruntime", "f32"))
REPEATS, TURNS = 20, 5

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


def cpu_peaks() -> Device:
    """This CPU's own, measured: a float32 matrix product and a copy, the best of several: others may use it too."""
    a, source = np.ones((2048, 2048), np.float32), np.ones(1 << 26, np.float32)
    target = np.empty_like(source)
    product = min(_seconds(lambda: a @ a) for _ in range(REPEATS))
    copy = min(_seconds(lambda: np.copyto(target, source)) for _ in range(REPEATS))
    return Device(2 * 2048**3 / product / 1e12, None, 2 * source.nbytes / copy / 1e9)


def _seconds(step) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def measure(sizes: Sequence[str]) -> dict:
    """Costs of each size, its roofline on every device, and its inference on this CPU."""
    from .gpu_bundles import bundle, frame

    cpu, result = cpu_peaks(), {"sizes": {}}
    result["cpu"] = {"name": cpu_model(), **asdict(cpu)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        frame(folder)
        for size in sizes:
            print(f"exporting {size} (up to two minutes)", flush=True)
            made = bundle(folder, size, "f32")
            cost = Cost(*(made[key] for key in ("flop", "weights", "traffic", "peak")))
            limits = {
                f"{name} {precision}": roofline_ms(cost, device, precision)
                for name, device in DEVICES.items()
                for precision in ("f16", "f32")
            }
            limits["this CPU f32"] = roofline_ms(cost, cpu, "f32")
            result["sizes"][size] = {
                "parameters": made["parameters"],
                **asdict(cost),
                "roofline_ms": limits,
                "cpu_ms": cpu_latency(Bundle.load(folder / size)),
            }
    return result


def cpu_latency(of: Bundle) -> dict[str, float]:
    """Median inference in milliseconds by runtime and precision, those that this CPU has, taking turns."""
    inputs, _ = of.golden()
    steps = {}
    for name, precision in CPU_RUNS:
        try:
            backend = load_backend(of, name, precision=precision)
        except BackendError:  # bf16 on a CPU that has none
            continue
        steps[f"{name} {precision}"] = partial(backend.infer, inputs)
    return {name: times["median_ms"] for name, times in medians(steps, TURNS, of.name).items()}


def tables(result: dict) -> dict[str, str]:
    """For the README."""
    limits = ["H200 f16", "RTX 4090 f16", "AGX Orin 64GB f16", "Orin NX 16GB f16", "this CPU f32"]
    runs = [" ".join(run) for run in CPU_RUNS]
    rows = [
        [
            f"`{size}`",
            f"{entry['parameters'] / 1e6:.1f}",
            f"{entry['flop'] / 1e9:.0f}",
            f"{entry['weights'] / 1e6:.0f}",
            f"{entry['traffic'] / 1e6:.0f}",
            f"{entry['peak'] / 1e6:.0f}",
            *(milliseconds(entry["roofline_ms"][name]) for name in limits),
            *(milliseconds(entry["cpu_ms"][run]) if run in entry["cpu_ms"] else "" for run in runs),
        ]
        for size, entry in result["sizes"].items()
    ]
    header = ["OccLE", "M parameters", "GFLOP", "weights, MB", "traffic, MB", "largest activations, MB"]
    times = [*(f"roofline {name}, ms" for name in limits), *(f"measured {run}, ms" for run in runs)]
    return {"cost": markdown([*header, *times], rows)}


def main(argv: list[str] | None = None) -> int:
    """Count, print; kept with the other figures on demand."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost", description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=SIZES, help="default: all")
    parser.add_argument("--keep", action="store_true", help="keep the figures with the others and fill the README")
    arguments = parser.parse_args(argv)
    try:
        result = measure(arguments.sizes)
    except ValueError as error:
        print(f"cost: {error}", file=sys.stderr)
        return 1
    publish("cost", result, tables(result), arguments.keep)
    return 0


if __name__ == "__main__":
    sys.exit(main())
