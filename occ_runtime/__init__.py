"""Engine bundles and the runtimes that run them, behind one protocol; no ROS, no torch."""

from .backend import BACKENDS, Backend, BackendError
from .bundle import Bundle, find_bundle, known_bundles, with_typed_models, write_bundle
from .loading import load_backend
from .manifest import BundleError, TensorSpec, input_specs, output_specs
from .predictor import Predictor, SelfTest
from .profiler import Profiler

__all__ = [
    "BACKENDS", "Backend", "BackendError", "Bundle", "BundleError", "Predictor", "Profiler", "SelfTest", "TensorSpec",
    "find_bundle", "input_specs", "known_bundles", "load_backend", "output_specs", "with_typed_models", "write_bundle",
]  # fmt: skip
