"""Data sets without torch or ROS: SemanticKITTI files, voxel ground truth, the synthetic world, bags."""

from .kitti import DataError, Sequence, SequenceWriter, sequences

__all__ = ["DataError", "Sequence", "SequenceWriter", "sequences"]
