"""A plan on the GPU: buffers allocated once, one stream, a CUDA graph where it can be captured."""

from typing import Any

import numpy as np

from ..backend import BackendError, check_model
from ..bundle import Bundle
from ..manifest import TensorSpec
from .cache import EngineUnusable
from .device import Cuda

_DTYPES = {"FLOAT": "float32", "HALF": "float16", "UINT8": "uint8", "INT32": "int32", "INT64": "int64"}


class Engine:
    """One deserialised plan with its memory and stream. Call everything on one thread; `close` frees it.

    Raises EngineUnusable for a plan that TensorRT does not accept, BundleError where its tensors are not the bundle's,
    BackendError where memory is short.
    """

    def __init__(self, plan: bytes, bundle: Bundle):
        self._cuda = Cuda()
        self._runtime: Any = None
        self._engine: Any = None
        self._context: Any = None
        try:
            self._load(plan, bundle)
            self._allocate(bundle)
            self.graph_problem = self._warm_up()
        except BaseException:
            self.close()
            raise

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """One frame; the inputs as `select_inputs` gives them, the outputs are copies."""
        for name, array in inputs.items():
            np.copyto(self._host[name], array)
        if self._graph is None:
            self._enqueue()
        else:
            self._cuda.launch(self._graph)
        self._cuda.synchronize()
        return {name: self._host[name].copy() for name in self._outputs}

    def close(self) -> None:
        self._cuda.close()
        self._context = self._engine = self._runtime = None  # in this order

    def _load(self, plan: bytes, bundle: Bundle) -> None:
        import tensorrt as trt

        self._log = tensorrt_log()
        trt.init_libnvinfer_plugins(self._log, "")
        self._runtime = trt.Runtime(self._log)
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise EngineUnusable(f"tensorrt {trt.__version__} does not take the plan: {self._log.reason()}")
        sides: dict[Any, list[TensorSpec]] = {trt.TensorIOMode.INPUT: [], trt.TensorIOMode.OUTPUT: []}
        for n in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(n)
            dtype = self._engine.get_tensor_dtype(name).name
            spec = TensorSpec(name, _DTYPES.get(dtype, dtype), tuple(self._engine.get_tensor_shape(name)))
            sides[self._engine.get_tensor_mode(name)].append(spec)
        check_model(bundle, bundle.path, sides[trt.TensorIOMode.INPUT], sides[trt.TensorIOMode.OUTPUT])
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise BackendError(f"tensorrt cannot make room for the network on the GPU: {self._log.reason()}")

    def _allocate(self, bundle: Bundle) -> None:
        self._inputs, self._outputs = ([spec.name for spec in specs] for specs in (bundle.inputs, bundle.outputs))
        self._host, self._device = {}, {}
        for spec in (*bundle.inputs, *bundle.outputs):
            self._host[spec.name] = self._cuda.pinned_array(spec.shape, spec.dtype)
            self._host[spec.name].fill(0)
            self._device[spec.name] = self._cuda.device_buffer(self._host[spec.name].nbytes)
            if not self._context.set_tensor_address(spec.name, self._device[spec.name]):
                raise BackendError(f"tensorrt refuses the memory of tensor {spec.name}: {self._log.reason()}")

    def _warm_up(self) -> str | None:
        """Run once, as a capture needs, then capture. Gives the reason where there is no graph, else None."""
        self._graph = None
        self._enqueue()
        self._cuda.synchronize()
        try:
            self._graph = self._cuda.capture(self._enqueue)
        except BackendError as error:
            return str(error)
        return None

    def _enqueue(self) -> None:
        for name in self._inputs:
            self._cuda.upload(self._host[name], self._device[name])
        if not self._context.execute_async_v3(self._cuda.stream):
            raise BackendError(f"tensorrt cannot run the network: {self._log.reason()}")
        for name in self._outputs:
            self._cuda.download(self._device[name], self._host[name])


def tensorrt_log():
    """A logger for TensorRT that keeps its errors: the reason for a result of None is found nowhere else."""
    import tensorrt as trt

    class ErrorLog(trt.ILogger):
        def __init__(self):
            trt.ILogger.__init__(self)
            self._errors = []

        def log(self, severity, msg):
            if severity in (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR):
                self._errors.append(" ".join(msg.split()))

        def reason(self) -> str:
            """The first error since the last call: the cause of those after it."""
            errors, self._errors = self._errors, []
            return errors[0][:400] if errors else "it gave no reason"

    return ErrorLog()
