"""ONNX to plan, for TensorRT 8.6 to 11: names that a version lacks are read with getattr."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..backend import BackendError, Report
from .engine import tensorrt_log

PRECISIONS = ("f32", "f16", "int8")
WORKSPACE = 2 << 30
"""Bytes that a layer may use beside its tensors; half of the free memory of the smallest supported Jetson."""
_REPORT_EVERY = 5.0

# From 9 on, networks are strongly typed: the ONNX file gives every precision. 8.x chooses among those that flags allow.
_FLAGS_OF_8 = {"f32": (), "f16": ("FP16", "OBEY_PRECISION_CONSTRAINTS"), "int8": ("INT8",)}


def builder_flags(precision: str) -> tuple[str, ...]:
    """The builder's settings, for the cache key."""
    typed = ("EXPLICIT_BATCH", *_FLAGS_OF_8[precision]) if _strongly_typed() is None else ("STRONGLY_TYPED",)
    return (*typed, "no TF32", f"workspace {WORKSPACE >> 20} MiB")


def build_plan(
    onnx: Path, precision: str, timing: bytes, report: Report, cancelled: threading.Event
) -> tuple[bytes, bytes]:
    """Plan and timing cache. Takes minutes; reports the progress every few seconds.

    timing : an earlier build's timing cache, or empty
    cancelled : ends the build at its next step (TensorRT 8.6 cannot: it runs to its end first)

    Raises BackendError with the reason that TensorRT's parser or log gave.
    """
    import tensorrt as trt

    log, version = tensorrt_log(), f"tensorrt {trt.__version__}"
    trt.init_libnvinfer_plugins(log, "")
    try:
        builder = trt.Builder(log)
    except (TypeError, RuntimeError):  # pybind11's, where the factory gave nothing
        raise BackendError(f"{version} cannot start its builder: {log.reason()}") from None
    network = builder.create_network(_creation_flags())
    parser = trt.OnnxParser(network, log)
    if not parser.parse(onnx.read_bytes()):
        raise BackendError(f"{version} does not take {onnx}: {_parser_errors(parser)}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE)
    config.clear_flag(trt.BuilderFlag.TF32)  # f32 is the reference for the other precisions
    if _strongly_typed() is None:
        for name in _FLAGS_OF_8[precision]:
            config.set_flag(getattr(trt.BuilderFlag, name, None))
        if precision == "f16":
            _keep_f32(network)
    timings = config.create_timing_cache(timing)
    if timings is None or not config.set_timing_cache(timings, False):  # of another GPU or TensorRT
        config.set_timing_cache(config.create_timing_cache(b""), False)
    phases = _Phases(cancelled)
    if (monitor := _progress_monitor(phases)) is not None:
        config.progress_monitor = monitor
    with _progress(report, lambda: f"{onnx.name}, {phases}"):
        plan = builder.build_serialized_network(network, config)
    if cancelled.is_set():
        raise BackendError(f"the build of {onnx} was ended")
    if plan is None:
        raise BackendError(f"{version} cannot build {onnx}: {log.reason()}")
    return bytes(plan), bytes(config.get_timing_cache().serialize())


def _strongly_typed():
    import tensorrt as trt

    return getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)


def _creation_flags() -> int:
    import tensorrt as trt

    flag = _strongly_typed()
    if flag is None:
        flag = getattr(trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH", None)
    return 1 << int(flag)


def _keep_f32(network) -> None:
    """On 8.x: operations that the typed ONNX computes in f32 (exponents, sums) must not become f16 for speed."""
    import tensorrt as trt

    for n in range(network.num_layers):
        layer = network.get_layer(n)
        if layer.type in (trt.LayerType.CAST, trt.LayerType.CONSTANT):
            continue
        f32 = [k for k in range(layer.num_outputs) if layer.get_output(k).dtype == trt.DataType.FLOAT]
        if f32:
            layer.precision = trt.DataType.FLOAT
        for k in f32:
            layer.set_output_type(k, trt.DataType.FLOAT)


def _parser_errors(parser) -> str:
    """The first errors with node and reason."""
    texts = []
    for error in (parser.get_error(n) for n in range(min(parser.num_errors, 3))):
        node = f"node {error.node()}"
        if hasattr(error, "node_name"):
            node += f" {error.node_name()} ({error.node_operator()})"
        texts.append(f"{node}: {' '.join(error.desc().split())}")
    return "; ".join(texts) or "the parser gave no reason"


class _Phases:
    """Progress of a build, from the nested phases that TensorRT reports on several threads."""

    def __init__(self, cancelled: threading.Event):
        self.cancelled = cancelled
        self._lock, self._start = threading.Lock(), time.monotonic()
        self._active: dict[str, tuple[str | None, int, int]] = {}  # parent, steps, steps done

    def start(self, name: str, parent: str | None, steps: int) -> None:
        with self._lock:
            self._active[name] = (parent, steps, 0)

    def step(self, name: str, number: int) -> None:
        with self._lock:
            if name in self._active:
                parent, steps, _ = self._active[name]
                self._active[name] = (parent, steps, number + 1)

    def finish(self, name: str) -> None:
        with self._lock:
            self._active.pop(name, None)

    def __str__(self):
        with self._lock:
            roots = [name for name, (parent, _, _) in self._active.items() if parent is None]
            done = f"{roots[-1]} {100 * self._share(roots[-1]):.0f} %, " if roots else ""
        return f"{done}{time.monotonic() - self._start:.0f} s"

    def _share(self, name: str) -> float:
        """Share of the steps done; the current step counts by the share of its own phases."""
        _, steps, done = self._active[name]
        inner = max((self._share(child) for child, phase in self._active.items() if phase[0] == name), default=0.0)
        return min((done + inner) / max(steps, 1), 1.0)


def _progress_monitor(phases: _Phases):
    """TensorRT's interface to the phases; None before version 9, which has no monitor."""
    import tensorrt as trt

    base: Any = getattr(trt, "IProgressMonitor", None)
    if base is None:
        return None

    class Monitor(base):
        def __init__(self):
            base.__init__(self)

        def phase_start(self, phase_name, parent_phase, num_steps):
            phases.start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name, step):
            phases.step(phase_name, step)
            return not phases.cancelled.is_set()

        def phase_finish(self, phase_name):
            phases.finish(phase_name)

    return Monitor()


@contextmanager
def _progress(report: Report, text: Callable[[], str]) -> Iterator[None]:
    """Report every few seconds how far the block, one long call, has come."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(_REPORT_EVERY):
            report(f"engine: building {text()}")

    thread = threading.Thread(target=repeat, name="engine build report", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
