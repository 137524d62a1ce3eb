"""Every check that needs a GPU, in one command: `make gpu-check`, or `python -m benchmarks.gpu_check`.

Tests that need a GPU, the golden samples on every backend, latency at every size, preprocessing on both sides, a
training step. Each part runs in a process of its own and within its time: one that fails, hangs or ends its process is
one line. Needs no network. Results are written after every part to benchmarks/results/<gpu>.json.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

from . import gpu_machine

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
TOTAL = 510.0
"""Seconds in all: no part begins or runs after them."""
LEAST = 5.0
"""Seconds that a part must have left to begin."""
SIZES = ("base", "small", "nano")
SHIPPED = "occle-nano"
BACKENDS = ("tensorrt", "onnxruntime", "openvino")
# What is compared, the most useful first, as time may run out; with the modules that it needs.
ENGINES = (
    ("torch", "f32", "torch"),
    ("torch graph", "f32", "torch"),
    ("torch graph", "f16", "torch"),
    ("torch graph, GPU frames", "f16", "torch"),
    ("tensorrt", "f16", "tensorrt"),
    ("onnxruntime", "f32", "onnxruntime"),
    ("torch graph, kernels", "f16", ("mamba_ssm", "spconv")),
    ("torch compiled", "f16", "triton"),
    ("tensorrt", "f32", "tensorrt"),
    ("torch_tensorrt", "f32", "torch_tensorrt"),
    ("tensorrt", "int8", "tensorrt"),
)


class Check:
    """One run: starts parts, prints their results, writes the report."""

    def __init__(self, report: dict, path: Path, folder: Path):
        self.report, self.path, self.folder = report, path, folder
        self.begin = time.monotonic()

    def part(self, section: str, title: str, *arguments: str, limit: float) -> dict | list | None:
        """Run a part of `gpu_parts`; its result goes to the report's section, or its reason to the skipped ones."""
        name, *rest = arguments
        command = [sys.executable, "-m", "benchmarks.gpu_parts", name, str(self.folder), *rest]
        output, reason = self.run(command, limit)
        result = None
        if reason is None:
            # Libraries may print after it.
            result = json.loads([line for line in output.splitlines() if line.startswith(("{", "["))][-1])
            if isinstance(result, dict):
                reason = result.get("skipped") or result.get("failed")
        if reason is not None:
            self.skip(title, reason, failed=isinstance(result, dict) and "failed" in result)
            return None
        self.report[section] += result if isinstance(result, list) else [result]
        self.log(title, _summary(result))
        self.keep()
        return result

    def run(self, command: list[str], limit: float) -> tuple[str, str | None]:
        """Output of a process, and the reason where it has no usable one."""
        limit = min(limit, TOTAL - (time.monotonic() - self.begin))
        if limit < LEAST:
            return "", f"no time left of {TOTAL:.0f} s; run again: engines once built are kept"
        # A session of its own: a part that hangs is killed with all its children.
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        try:
            output, errors = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return "", f"took longer than {limit:.0f} s"
        if process.returncode < 0:
            return output, f"the process was ended by {signal.Signals(-process.returncode).name}"
        if process.returncode and "pytest" not in command:
            return output, (errors.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
        return output, None

    def skip(self, title: str, reason: str, failed: bool = False) -> None:
        self.report["failed" if failed else "skipped"].append({"part": title, "reason": reason})
        self.log(title, f"{'FAILED' if failed else 'skipped'}: {reason}")
        self.keep()

    def log(self, title: str, text: str) -> None:
        print(f"[{time.monotonic() - self.begin:4.0f} s] {title}: {text}", flush=True)

    def keep(self) -> None:
        from occ_core.files import write_json  # late: a Python without its packages is told what is missing

        write_json(self.path, self.report)


def _summary(result: dict | list) -> str:
    if isinstance(result, list):
        return "; ".join(f"{r['bundle']} {r['precision']}: {_agreement(r)}" for r in result)
    if "stages" in result:
        total = result["stages"]["total"]
        return f"p50 {total['p50_ms']:.2f} ms, p95 {total['p95_ms']:.2f} ms, {_agreement(result)}"
    if "phases" in result:
        joint = result["phases"]["joint"]
        return f"{1e3 * sum(joint['seconds'].values()):.0f} ms, {joint['peak_bytes'] / 1e6:.0f} MB"
    if "gpu" in result:
        return f"CPU {result['cpu']['p50_ms']:.2f} ms, GPU {result['gpu']['p50_ms']:.2f} ms"
    return ", ".join(f"{key} {value}" for key, value in result.items() if value and not isinstance(value, dict))


def _agreement(entry: dict) -> str:
    if "labels_agree" in entry:
        return f"{100 * entry['labels_agree']:.3f} % of labels agree"
    return entry.get("failed") or entry["skipped"]


def gpu_tests(check: Check) -> None:
    """`pytest -m gpu` over the files that hold such tests: others may not even import here."""
    files = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "tests").rglob("test_*.py") if "mark.gpu" in p.read_text())
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-p", "no:cacheprovider", "-rfEs", *files]
    output, reason = check.run(command, 120)
    lines = output.strip().splitlines()
    if reason is None and not lines:
        reason = "pytest is not installed"
    if reason is not None:
        return check.skip("GPU tests", reason)
    bad = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    check.report["tests"] = {"summary": lines[-1], "not_passed": bad}
    check.log("GPU tests", lines[-1])
    for line in bad:
        check.skip("GPU tests", line, failed=True)


def make_bundles(check: Check) -> list[str]:
    """A bundle for each size, side by side on the CPU; the sizes that have one."""
    if find_spec("torch") is None:
        check.skip("bundles", f"torch is not installed; only {SHIPPED} is measured, and no training step")
        return []
    # The typed models are for runtimes that read ONNX.
    typed = "typed" if find_spec("tensorrt") or find_spec("onnxruntime") else "f32"
    with ThreadPoolExecutor() as pool:
        made = pool.map(lambda size: check.part("bundles", f"bundle {size}", "bundle", size, typed, limit=150), SIZES)
        return [size for size, result in zip(SIZES, made, strict=True) if result]


def run_all(check: Check) -> None:
    """Every part, the least important last."""
    if find_spec("rclpy") is None:
        check.skip("publication", "rclpy is not installed; end to end is preprocessing and inference only")
    check.part("frames", "frame", "frame", limit=60)
    sizes = make_bundles(check)
    gpu_tests(check)
    for backend in BACKENDS:
        if find_spec(backend) is None:
            check.skip(f"golden samples, {backend}", "not installed")
        else:
            check.part("parity", f"golden samples, {backend}", "parity", backend, limit=150)
    for size in sizes:
        check.part("preprocessing", f"preprocessing {size}", "preprocessing", size, limit=40)
    for engine, precision, needs in ENGINES:
        modules = (needs,) if isinstance(needs, str) else needs
        if not any(find_spec(module) for module in modules):
            check.skip(f"{engine} {precision}", f"{' and '.join(modules)} not installed")
            continue
        for size in sizes or [SHIPPED]:
            check.part("speed", f"{size}, {engine} {precision}", "speed", size, engine, precision, limit=150)
        if engine == "torch graph" and precision == "f16":  # more useful than what follows
            for size in sizes:
                check.part("training", f"training step {size}", "training", size, limit=60)


def tables(report: dict) -> dict[str, str]:
    """For docs/results.md: one line per engine and size, beside the device's roofline."""
    from .graph_cost import Cost, device_named, roofline_ms
    from .measure import markdown, milliseconds

    device = device_named(report["machine"]["gpu"])
    bundles, rows = {b["size"]: b for b in report["bundles"]}, []
    order = [SHIPPED, *reversed(SIZES)]
    eager = {e["size"]: e for e in report["speed"] if (e["engine"], e["precision"]) == ("torch", "f32")}
    for entry in sorted(report["speed"], key=lambda e: order.index(e["size"])):
        of, stages, first = bundles.get(entry["size"]), entry["stages"], eager.get(entry["size"])
        cost = of and Cost(*(of[key] for key in ("flop", "weights", "traffic", "peak")))
        known = cost and device and entry["precision"] in ("f32", "f16")
        rows.append(
            [
                f"`{entry['size']}`, {entry['engine']} {entry['precision']}",
                f"{of['parameters'] / 1e6:.1f}" if of else "",
                f"{cost.flop / 1e9:.0f}" if cost else "",
                entry["memory_mb"] if entry["memory_mb"] is not None else "",
                *(
                    milliseconds(stages[s]["p50_ms"]) if s in stages else ""
                    for s in ("preprocess", "inference", "publications")
                ),
                f"**{milliseconds(stages['total']['p50_ms'])}**",
                milliseconds(stages["total"]["p95_ms"]),
                f"{first['stages']['total']['p50_ms'] / stages['total']['p50_ms']:.1f} x" if first else "",
                milliseconds(roofline_ms(cost, device, entry["precision"])) if known else "",
                f"{100 * entry['labels_agree']:.2f}",
            ]
        )
    header = [
        f"{report['machine']['gpu']}, ms (p50)", "M parameters", "GFLOP", "GPU memory, MB", "preprocess", "inference",
        "publications", "**total**", "total p95", "faster than eager torch", "roofline of inference", "labels agree, %",
    ]  # fmt: skip
    return {"gpu": markdown(header, rows)}


def main() -> int:
    """0 where everything that could run agrees; 1 where something failed, or there is no GPU."""
    gpu = gpu_machine.find_gpu()
    if gpu is None:
        print("gpu-check: no NVIDIA GPU here (its driver shows none); nothing was measured", file=sys.stderr)
        return 1
    report = {"machine": gpu_machine.describe(gpu), "tests": None}
    sections = ("frames", "bundles", "parity", "speed", "preprocessing", "training", "skipped", "failed")
    report |= {section: [] for section in sections}
    path = RESULTS / f"{gpu_machine.file_name(gpu['gpu'])}.json"
    print(f"{gpu['gpu']}, {sys.executable}: at most {TOTAL / 60:.0f} minutes; kept in {path}", flush=True)
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as folder:
        check = Check(report, path, Path(folder))
        try:
            check.keep()
            run_all(check)
        except ImportError as error:
            print(f"gpu-check: {error}; PYTHON=... names a Python that has it, and torch with CUDA", file=sys.stderr)
            return 1
    print("\n" + tables(report)["gpu"] + "\n")
    # Random weights are not accurate enough in int8: only bundles that ship must agree there.
    disagreeing = [e for e in report["parity"] if not e.get("passed", True)]
    disagreeing += [e for e in report["speed"] if not e["passed"] and e["precision"] != "int8"]
    for entry in disagreeing:
        where = (
            f"{entry.get('bundle') or entry['size']} on {entry.get('backend') or entry['engine']} {entry['precision']}"
        )
        print(f"FAILED: {where}: {_agreement(entry)}")
    print(f"{len(report['skipped'])} parts skipped, {len(report['failed'])} failed, {len(disagreeing)} disagree")
    return 1 if report["failed"] or disagreeing else 0


if __name__ == "__main__":
    sys.exit(main())
