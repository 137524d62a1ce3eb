"""What a network costs: parameters, operations, bytes, each device's roofline, and its time on this CPU.

    python -m benchmarks.cost [--sizes nano small base] [--keep]

Operations and bytes as `graph_cost` counts them. Weights are random, as time does not depend on them. Needs torch and
onnx.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from occ_runtime import BackendError, Bundle, load_backend

from .gpu_bundles import bundle, frame
from .graph_cost import DEVICES, Cost, Device, roofline_ms
from .measure import cpu_model, markdown, medians, milliseconds
from .report import publish

SIZES = ("nano", "small", "base")
CPU_RUNS = (("openvino", "bf16"), ("openvino", "f32"), ("onnxruntime", "f32"))
REPEATS, TURNS = 20, 5


def cpu_peaks() -> Device:
    """This CPU's, measured by a float32 matrix product and a copy: the best of several, as other programs may run."""
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
    """For docs/results.md."""
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
    parser.add_argument("--keep", action="store_true", help="keep the figures with the others and fill docs/results.md")
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
