"""Engines behind one protocol. Each backend is one file; what it needs is imported when it is asked for."""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from .bundle import Bundle
from .manifest import BundleError, TensorSpec

BACKENDS = ("auto", "openvino", "onnxruntime", "fake")
PRECISIONS = ("auto", "f32", "bf16")
_AUTO_ORDER = ("openvino", "onnxruntime")


class BackendError(RuntimeError):
    """A backend that cannot run here; the message says what is missing."""


class Backend(Protocol):
    """A loaded network.

    name : "openvino", "onnxruntime", ...; description : one line on device, precision, threads and why it was taken
    """

    name: str
    description: str

    def infer(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run one frame. Tensors by name as the bundle lists them, others are left out; the outputs are the caller's.

        Raises ValueError for a tensor missing, or of another dtype or shape than the bundle's.
        """

    def close(self) -> None:
        """Free the network; `infer` must not be called again."""


def load_backend(bundle: Bundle, name: str = "auto", threads: int | None = None, precision: str = "auto") -> Backend:
    """Load the bundle's network.

    Parameters
    ----------
    name : "openvino", "onnxruntime", "fake" (tests), or "auto": the first of OpenVINO and ONNX Runtime that loads
    threads : CPU threads; None leaves it to the runtime (all physical cores)
    precision : "f32", "bf16" (OpenVINO, on CPUs that have it), or "auto": bf16 where there is, else f32

    Raises
    ------
    BackendError where the wanted backend is not installed or refuses the model,
    BundleError where the model's tensors are not those of the manifest.
    """
    if name not in BACKENDS:
        raise BackendError(f"backend {name!r} is unknown; expected one of {', '.join(BACKENDS)}")
    if precision not in PRECISIONS:
        raise BackendError(f"precision {precision!r} is unknown; expected one of {', '.join(PRECISIONS)}")
    if threads is not None and threads < 1:
        raise BackendError(f"threads: expected a positive number or none, got {threads}")
    if name != "auto":
        return _loader(name)(bundle, threads, precision)
    refused = []
    for candidate in _AUTO_ORDER:
        try:
            backend = _loader(candidate)(bundle, threads, precision)
        except BackendError as error:
            refused.append(str(error))
            continue
        why = f"; {'; '.join(refused)}" if refused else ""
        backend.description += f" (auto: first of {', '.join(_AUTO_ORDER)}{why})"
        return backend
    raise BackendError(f"no backend can run {bundle.path}: {'; '.join(refused)}")


def _loader(name: str) -> Callable[[Bundle, int | None, str], Backend]:
    if name == "openvino":
        from .openvino_backend import OpenVinoBackend as Loader
    elif name == "onnxruntime":
        from .onnxruntime_backend import OnnxRuntimeBackend as Loader
    else:
        from .fake_backend import FakeBackend as Loader
    return Loader


def check_model(bundle: Bundle, inputs: list[TensorSpec], outputs: list[TensorSpec]) -> None:
    """Refuse a model whose own tensors are not those of the manifest."""
    for side, wanted, found in (("inputs", bundle.inputs, inputs), ("outputs", bundle.outputs, outputs)):
        if set(wanted) != set(found):
            listed, has = (", ".join(sorted(map(str, specs))) for specs in (wanted, found))
            raise BundleError(f"{bundle.model_file}: its {side} are {has}; the manifest lists {listed}")


def select_inputs(bundle: Bundle, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors that the bundle lists, checked and contiguous."""
    selected = {}
    for spec in bundle.inputs:
        array = inputs.get(spec.name)
        if array is None:
            raise ValueError(f"input tensor {spec.name!r} is missing; expected {spec}")
        if (str(array.dtype), array.shape) != (spec.dtype, spec.shape):
            raise ValueError(f"input tensor {spec.name} is {array.dtype}{list(array.shape)}, expected {spec}")
        selected[spec.name] = np.ascontiguousarray(array)
    return selected


def last_line(error: Exception) -> str:
    """The line of a runtime's traceback that says what is wrong."""
    return ([line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__])[-1]
