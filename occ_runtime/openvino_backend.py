"""OpenVINO: the fastest of the CPU runtimes on the machines measured."""

import numpy as np

from .backend import BackendError, BackendOptions, check_model, last_line, select_inputs
from .bundle import Bundle
from .manifest import TensorSpec
from .predictor import golden_test


class OpenVinoBackend:
    """See `backend.Backend`. One infer request: the node runs one frame at a time."""

    name = "openvino"

    def __init__(self, bundle: Bundle, options: BackendOptions):
        try:
            import openvino
        except ImportError:
            raise BackendError("openvino is not installed (pip install openvino)") from None
        core = openvino.Core()
        has_bf16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        precision = options.precision
        if precision == "bf16" and not has_bf16:
            raise BackendError("openvino: precision 'bf16' is not supported by this CPU")
        candidates = (["bf16", "f32"] if has_bf16 else ["f32"]) if precision == "auto" else [precision]
        self._bundle, refused = bundle, ""
        for candidate in candidates:
            self._load(core, candidate, has_bf16, options.threads)
            # The fastest precision that still reproduces the golden sample: some networks lose too much in bf16.
            if candidate == candidates[-1] or (proof := golden_test(bundle, self.infer)).agrees:
                break
            refused = f" ({candidate} changes {100 * proof.differing / proof.voxels:.1f} % of the golden labels)"
        self.description += refused

    def _load(self, core, precision: str, has_bf16: bool, threads: int | None) -> None:
        import openvino

        bundle, model_file = self._bundle, self._bundle.model_file_of(precision)
        # The float layers of an int8 graph run in the narrowest type with float32's range.
        hint = "bf16" if precision == "bf16" or (precision == "int8" and has_bf16) else "f32"
        settings: dict[str, str | int] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint}
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = threads
        try:
            compiled = core.compile_model(model_file, "CPU", settings)
        except RuntimeError as error:
            raise BackendError(f"openvino cannot load {model_file}: {last_line(error)}") from None
        check_model(bundle, model_file, _specs(compiled.inputs), _specs(compiled.outputs))
        self.precision = precision
        self._request = compiled.create_infer_request()
        self._index = {port.any_name: n for n, port in enumerate(compiled.outputs)}
        threads_used = compiled.get_property("INFERENCE_NUM_THREADS")
        version = openvino.__version__.split("-")[0]
        rest = f"+{hint}" if precision == "int8" else ""
        self.description = f"openvino {version}, CPU, {precision}{rest}, threads {threads_used or 'all cores'}"

    def infer(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        self._request.infer(select_inputs(self._bundle, inputs), share_inputs=True)
        # Copied: the next frame is written to the same memory.
        return {name: self._request.get_output_tensor(n).data.copy() for name, n in self._index.items()}

    def close(self) -> None:
        self._request = None


def _specs(ports: list) -> list[TensorSpec]:
    return [
        TensorSpec(
            port.any_name,
            port.element_type.to_dtype().name,
            tuple(d.get_length() if d.is_static else -1 for d in port.partial_shape),
        )
        for port in ports
    ]
