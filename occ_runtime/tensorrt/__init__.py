"""TensorRT as a backend: builder, engine cache, engine. Imports tensorrt only where a GPU is visible."""

from .backend import TensorRtBackend
from .cache import EngineCache
from .device import gpu_problem

__all__ = ["EngineCache", "TensorRtBackend", "gpu_problem"]
