"""Choosing and loading a backend. Each imports its runtime when it is made."""

from collections.abc import Callable

from .backend import PRECISIONS, Backend, BackendError, BackendOptions, Report
from .bundle import Bundle
from .fake_backend import FakeBackend
from .onnxruntime_backend import OnnxRuntimeBackend
from .openvino_backend import OpenVinoBackend
from .tensorrt import TensorRtBackend
from .tensorrt.cache import EngineUnusable
from .tensorrt.standby import StandbyBackend

LOADERS: dict[str, Callable[[Bundle, BackendOptions], Backend]] = {
    TensorRtBackend.name: TensorRtBackend,
    OpenVinoBackend.name: OpenVinoBackend,
    OnnxRuntimeBackend.name: OnnxRuntimeBackend,
    FakeBackend.name: FakeBackend,
}
"""All backends. A new one is a file with its class, and an entry here."""
BACKENDS = ("auto", *LOADERS)
"""What `load_backend` takes as a name."""
_WITHOUT_BUILD = (OpenVinoBackend.name, OnnxRuntimeBackend.name)
_AUTO_ORDER = (TensorRtBackend.name, *_WITHOUT_BUILD)


def load_backend(
    bundle: Bundle,
    name: str = "auto",
    threads: int | None = None,
    precision: str = "auto",
    engine_cache: str = "",
    report: Report = BackendOptions.report,
    standby: bool = False,
) -> Backend:
    """Load the bundle's network.

    Parameters
    ----------
    name : one of BACKENDS; "auto": the first of tensorrt, openvino and onnxruntime that loads
    threads : CPU threads; None leaves it to the runtime (all physical cores)
    precision : "f32", "bf16" (OpenVINO, on CPUs that have it), "f16", "int8" (where the bundle has them), or "auto":
        what the backend runs fastest without a calibration
    engine_cache : folder of TensorRT's built engines; empty: $OCC_NODE_ENGINE_CACHE, or ~/.cache/occ_node
    report : takes the lines on a TensorRT build, which takes minutes, from another thread
    standby : with "auto", answer from the next backend while TensorRT builds its engine, instead of waiting for it

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
    options = BackendOptions(threads, precision, engine_cache, report)
    if name != "auto":
        return LOADERS[name](bundle, options)
    return _with_standby(bundle, options) if standby else _first(bundle, options, _AUTO_ORDER)


def _first(bundle: Bundle, options: BackendOptions, names: tuple[str, ...], *refused: str) -> Backend:
    """The first backend that loads; its description says why those before it did not."""
    for name in names:
        try:
            backend = LOADERS[name](bundle, options)
        except BackendError as error:
            refused += (str(error),)
            continue
        backend.description += f" (auto: {'; '.join(refused)})" if refused else " (auto)"
        return backend
    raise BackendError(f"no backend can run the bundle: {'; '.join(refused)}")


def _with_standby(bundle: Bundle, options: BackendOptions) -> Backend:
    """As `_first`, but where TensorRT has to build its engine first, the next backend answers until it is ready."""
    try:
        return TensorRtBackend(bundle, options, build=False)
    except EngineUnusable as unusable:
        try:
            slower = _first(bundle, options, _WITHOUT_BUILD, str(unusable))
        except BackendError:  # no other backend loads: wait for the build
            return TensorRtBackend(bundle, options)
    except BackendError as error:
        return _first(bundle, options, _WITHOUT_BUILD, str(error))
    return StandbyBackend(
        slower, lambda cancelled: TensorRtBackend(bundle, options, cancelled=cancelled), options.report
    )
