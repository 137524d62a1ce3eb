"""MonoOcc: a camera alone to semantic occupancy."""

from .model import MonoOcc, MonoOccOutput

__all__ = ["MonoOcc", "MonoOccOutput"]
