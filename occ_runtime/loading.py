"""Choosing and loading a backend; what each needs is imported when it is asked for."""

import logging
from collections.abc import Callable

from .backend import BACKENDS, PRECISIONS, Backend, BackendError
from .bundle import Bundle

_AUTO_ORDER = ("tensorrt", "openvino", "onnxruntime")

log = logging.getLogger(__name__)


def load_backend(
    bundle: Bundle,
    name: str = "auto",
    threads: int | None = None,
    precision: str = "auto",
    engine_cache: str = "",
    say: Callable[[str], None] = log.warning,
    standby: bool = False,
) -> Backend:
    """Load the bundle's network.

    Parameters
    ----------
    name : "tensorrt", "openvino", "onnxruntime", "fake" (tests), or "auto": the first of the three that loads
    threads : CPU threads; None leaves it to the runtime (all physical cores)
    precision : "f32", "bf16" (OpenVINO, on CPUs that have it), "f16", "int8" (where the bundle has them), or "auto":
        what the backend runs fastest without a calibration
    engine_cache : folder of TensorRT's built engines; empty: $OCC_NODE_ENGINE_CACHE, or ~/.cache/occ_node
    say : takes the lines on a TensorRT build, which takes minutes, from another thread
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

    def load(candidate: str, **building) -> Backend:
        if candidate == "tensorrt":
            from .tensorrt import TensorRtBackend

            return TensorRtBackend(bundle, threads, precision, engine_cache, say, **building)
        return _loader(candidate)(bundle, threads, precision)

    if name != "auto":
        return load(name)
    return _standing_by(load, say) if standby else _first(load, _AUTO_ORDER)


def _first(load: Callable[..., Backend], candidates: tuple[str, ...], *refused: str) -> Backend:
    """The first that loads; its description says why those before it were not taken."""
    for candidate in candidates:
        try:
            backend = load(candidate)
        except BackendError as error:
            refused += (str(error),)
            continue
        backend.description += f" (auto: {'; '.join(refused)})" if refused else " (auto)"
        return backend
    raise BackendError(f"no backend can run the bundle: {'; '.join(refused)}")


def _standing_by(load: Callable[..., Backend], say: Callable[[str], None]) -> Backend:
    """As `_first`, but where TensorRT has to build first, the next backend answers meanwhile."""
    from .tensorrt.cache import EngineUnusable
    from .tensorrt.standby import StandbyBackend

    first, *others = _AUTO_ORDER
    try:
        return load(first, build=False)
    except EngineUnusable as unusable:
        try:
            slower = _first(load, others, str(unusable))
        except BackendError:  # nobody to stand by: wait for the build
            return load(first)
    except BackendError as error:
        return _first(load, others, str(error))
    return StandbyBackend(slower, lambda cancelled: load(first, cancelled=cancelled), say)


def _loader(name: str) -> Callable[[Bundle, int | None, str], Backend]:
    if name == "openvino":
        from .openvino_backend import OpenVinoBackend as Loader
    elif name == "onnxruntime":
        from .onnxruntime_backend import OnnxRuntimeBackend as Loader
    else:
        from .fake_backend import FakeBackend as Loader
    return Loader
