"""The protocol of all backends, and what its implementations share."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from occ_core.errors import ReportedError

from .bundle import Bundle
from .manifest import BundleError, TensorSpec

PRECISIONS = ("auto", "f32", "bf16", "f16", "int8")
Report = Callable[[str], None]
"""Takes one line for the log; may be called from another thread."""


class BackendError(ReportedError, RuntimeError):
    """A backend that cannot run here; the message says what is missing."""

    exit_code = 2


@dataclass(frozen=True)
class BackendOptions:
    """How a backend is to run a network; each uses what applies to it.

    threads : CPU threads; None leaves it to the runtime (all physical cores)
    precision : one of PRECISIONS; "auto": what the backend runs fastest without a calibration
    engine_cache : folder of built TensorRT engines; empty for the default
    report : takes the lines on a TensorRT build, which takes minutes
    """

    threads: int | None = None
    precision: str = "auto"
    engine_cache: str = ""
    report: Report = logging.getLogger(__name__).warning


@runtime_checkable
class Backend(Protocol):
    """A loaded network. Any object with these attributes and methods can be handed to `Predictor`.

    name : "openvino", "onnxruntime", ...
    precision : the arithmetic in use: "f32", "bf16", "f16" or "int8"
    description : one line on device, precision, threads and why this backend was chosen
    """

    name: str
    precision: str
    description: str

    def infer(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run one frame: input and output tensors by the names in the bundle. Other inputs are ignored.

        The outputs belong to the caller: the next frame does not change them. Raises ValueError for a tensor that is
        missing or has another dtype or shape than the bundle's.
        """

    def close(self) -> None:
        """Free the network. `infer` must not be called afterwards."""


def check_model(bundle: Bundle, model: Path, inputs: list[TensorSpec], outputs: list[TensorSpec]) -> None:
    """Raise BundleError where the tensors of a model file are not those of the manifest."""
    for side, wanted, found in (("inputs", bundle.inputs, inputs), ("outputs", bundle.outputs, outputs)):
        if set(wanted) != set(found):
            listed, has = (", ".join(sorted(map(str, specs))) for specs in (wanted, found))
            raise BundleError(f"{model}: its {side} are {has}; the manifest lists {listed}")


def select_inputs(bundle: Bundle, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors that the bundle lists, checked and contiguous. Raises ValueError, see `Backend.infer`."""
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
    """The last line of an error text: runtimes put the reason there."""
    return ([line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__])[-1]
