"""The protocol that engines stand behind, and what its implementations share."""

from pathlib import Path
from typing import Protocol

import numpy as np

from occ_core.errors import ReportedError

from .bundle import Bundle
from .manifest import BundleError, TensorSpec

BACKENDS = ("auto", "tensorrt", "openvino", "onnxruntime", "fake")
PRECISIONS = ("auto", "f32", "bf16", "f16", "int8")


class BackendError(ReportedError, RuntimeError):
    """A backend that cannot run here; the message says what is missing."""

    exit_code = 2


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


def check_model(bundle: Bundle, model: Path, inputs: list[TensorSpec], outputs: list[TensorSpec]) -> None:
    """Refuse a model file whose own tensors are not those of the manifest."""
    for side, wanted, found in (("inputs", bundle.inputs, inputs), ("outputs", bundle.outputs, outputs)):
        if set(wanted) != set(found):
            listed, has = (", ".join(sorted(map(str, specs))) for specs in (wanted, found))
            raise BundleError(f"{model}: its {side} are {has}; the manifest lists {listed}")


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
