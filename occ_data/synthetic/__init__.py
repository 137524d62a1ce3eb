"""A procedural street seen by a 64-beam LiDAR and a camera, in SemanticKITTI's files."""

from .drive import Drive, Frame, generate

__all__ = ["Drive", "Frame", "generate"]
