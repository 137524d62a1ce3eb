"""Engine bundles and the backends that run them, behind one protocol; no ROS, no torch."""

from .backend import Backend, BackendError, BackendOptions
from .bundle import DEFAULT_BUNDLE, MONOOCC, OCCLE, Bundle, find_bundle, known_bundles, with_typed_models, write_bundle
from .loading import BACKENDS, load_backend
from .manifest import BundleError, BundleInfo, TensorSpec, input_specs, output_specs
from .predictor import Predictor, SelfTest
from .profiler import Profiler
from .telemetry import switch_off_telemetry

__all__ = [
    "BACKENDS", "DEFAULT_BUNDLE", "MONOOCC", "OCCLE", "Backend", "BackendError", "BackendOptions", "Bundle",
    "BundleError", "BundleInfo", "Predictor", "Profiler", "SelfTest", "TensorSpec", "find_bundle", "input_specs",
    "known_bundles", "load_backend", "output_specs", "with_typed_models", "write_bundle",
]  # fmt: skip

switch_off_telemetry()
