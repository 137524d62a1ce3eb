"""TensorRT as a backend: loads or builds the plan, checks it with the golden sample, and runs it on its own thread."""

import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ..backend import BackendError, BackendOptions, select_inputs
from ..bundle import Bundle
from ..predictor import LABELS_ALLOWED, SelfTest, golden_test
from .builder import PRECISIONS, build_plan, builder_flags
from .cache import EngineCache, EngineKey, EngineUnusable
from .device import gpu_identity, gpu_problem
from .engine import Engine


class TensorRtBackend:
    """See `backend.Backend`. All work on the GPU happens on one thread.

    Parameters
    ----------
    options : precision "auto" is f16 where the bundle has it, else f32; threads are not used
    build : False raises EngineUnusable where no plan in the cache passes, instead of building one
    cancelled : ends a build early, see `builder.build_plan`

    Every plan has to pass the golden sample before it is used, a new one before it is stored. A plan from the cache
    that fails is built again, once. golden : the result.
    """

    name = "tensorrt"
    golden: SelfTest

    def __init__(
        self,
        bundle: Bundle,
        options: BackendOptions,
        build: bool = True,
        cancelled: threading.Event | None = None,
    ):
        if problem := gpu_problem():
            raise BackendError(f"tensorrt: {problem}")
        self._bundle, self._report = bundle, options.report
        self.precision = _choose(bundle, options.precision)
        self._cache = EngineCache(options.engine_cache)
        self._cancelled = cancelled or threading.Event()
        self._thread = ThreadPoolExecutor(1, "tensorrt")
        opening = self._thread.submit(self._open, build)
        try:
            self._engine = opening.result()
        except BaseException:
            if not opening.done():  # interrupted: the build has to end before its process can
                self._cancelled.set()
            self._thread.shutdown()
            raise

    def infer(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        selected = select_inputs(self._bundle, inputs)
        return self._thread.submit(self._engine.run, selected).result()

    def close(self) -> None:
        self._thread.submit(self._engine.close).result()
        self._thread.shutdown()

    # On its own thread

    def _open(self, build: bool) -> Engine:
        key = self._key()
        self.description = f"tensorrt {key.tensorrt}, {key.gpu}, {key.precision}"
        try:
            return self._stored(key)
        except EngineUnusable as unusable:
            if not build:
                raise
            self._report(str(unusable))
        with self._cache.lock(self._report, self._cancelled):
            try:
                return self._stored(key)  # another process may have built it since
            except EngineUnusable:
                return self._built(key)

    def _stored(self, key: EngineKey) -> Engine:
        return self._checked(self._cache.load(self._bundle.name, key))

    def _built(self, key: EngineKey) -> Engine:
        model = self._bundle.model_file_of(self.precision)
        self._report(f"engine: building {model} with tensorrt {key.tensorrt} for {key.gpu}, once; this takes minutes")
        start = time.monotonic()
        plan, timing = build_plan(model, self.precision, self._cache.timing(key), self._report, self._cancelled)
        seconds = time.monotonic() - start
        self._cache.store_timing(key, timing)
        engine = self._checked(plan)
        try:
            self._cache.store(self._bundle.name, key, plan, seconds, str(self.golden))
        except BaseException:
            engine.close()
            raise
        self._report(f"engine: built in {seconds:.0f} s; {self.golden}")
        return engine

    def _checked(self, plan: bytes) -> Engine:
        """The engine of a plan that passes the golden sample. Raises EngineUnusable with the deviation."""
        engine = Engine(plan, self._bundle)
        try:
            golden = golden_test(self._bundle, engine.run)
            if not golden.agrees:
                raise EngineUnusable(f"engine of {self._bundle.path} is refused: {golden}; {LABELS_ALLOWED}")
        except BaseException:
            engine.close()
            raise
        graph = "CUDA graph" if engine.graph_problem is None else f"without CUDA graph ({engine.graph_problem})"
        self.description += f", {graph}"
        self.golden = golden
        return engine

    def _key(self) -> EngineKey:
        import tensorrt as trt

        gpu, capability = gpu_identity()
        model = self._bundle.model_file_of(self.precision)
        return EngineKey(
            onnx_sha256=hashlib.sha256(model.read_bytes()).hexdigest(),
            tensorrt=trt.__version__,
            gpu=gpu,
            compute_capability=capability,
            precision=self.precision,
            shapes={spec.name: f"{spec.dtype}{list(spec.shape)}" for spec in self._bundle.inputs},
            flags=builder_flags(self.precision),
        )


def _choose(bundle: Bundle, precision: str) -> str:
    if precision == "auto":
        return "f16" if "f16" in bundle.precisions else "f32"
    if precision not in PRECISIONS:
        raise BackendError(
            f"tensorrt: precision {precision!r} is not supported; expected one of {', '.join(PRECISIONS)}"
        )
    return precision
