"""A procedural street seen by a 64-beam LiDAR and a camera, in SemanticKITTI's files or made frame by frame."""

from .drive import Drive, Frame, generate
from .on_demand import SyntheticDrive

__all__ = ["Drive", "Frame", "SyntheticDrive", "generate"]
