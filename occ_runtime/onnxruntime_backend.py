"""ONNX Runtime: runs everywhere, on CUDA where its GPU build is installed."""

import numpy as np

from .backend import BackendError, BackendOptions, check_model, last_line, select_inputs
from .bundle import Bundle
from .manifest import TensorSpec

_DTYPES = {
    "tensor(float)": "float32", "tensor(float16)": "float16", "tensor(uint8)": "uint8", "tensor(int32)": "int32",
    "tensor(int64)": "int64",
}  # fmt: skip


class OnnxRuntimeBackend:
    """See `backend.Backend`."""

    name = "onnxruntime"

    def __init__(self, bundle: Bundle, options: BackendOptions):
        try:
            import onnxruntime
        except ImportError:
            raise BackendError("onnxruntime is not installed (pip install onnxruntime)") from None
        if options.precision == "bf16":
            raise BackendError("onnxruntime runs f32, f16 and int8; precision 'bf16' needs openvino")
        self.precision = "f32" if options.precision == "auto" else options.precision
        model_file = bundle.model_file_of(self.precision)
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 3
        if options.threads is not None:
            settings.intra_op_num_threads = options.threads
        available = onnxruntime.get_available_providers()
        providers = [p for p in ("CUDAExecutionProvider", "CPUExecutionProvider") if p in available]
        try:
            self._session = onnxruntime.InferenceSession(model_file, settings, providers=providers)
        except Exception as error:  # its exceptions share no public base
            raise BackendError(f"onnxruntime cannot load {model_file}: {last_line(error)}") from None
        check_model(bundle, model_file, _specs(self._session.get_inputs()), _specs(self._session.get_outputs()))
        self._bundle = bundle
        self._outputs = [spec.name for spec in bundle.outputs]
        device = self._session.get_providers()[0].removesuffix("ExecutionProvider")
        threads = options.threads or "all cores"
        self.description = f"onnxruntime {onnxruntime.__version__}, {device}, {self.precision}, threads {threads}"

    def infer(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        results = self._session.run(self._outputs, select_inputs(self._bundle, inputs))
        return dict(zip(self._outputs, results, strict=True))

    def close(self) -> None:
        self._session = None


def _specs(nodes: list) -> list[TensorSpec]:
    return [TensorSpec(node.name, _DTYPES.get(node.type, node.type), tuple(node.shape)) for node in nodes]
