"""Data sets without torch or ROS: drives from SemanticKITTI's files, bags and a synthetic world; voxel truth."""

from .conversion import write_sequence
from .drive import DataError, Drive
from .kitti import Sequence, SequenceWriter, sequences
from .opening import open_drive

__all__ = ["DataError", "Drive", "Sequence", "SequenceWriter", "open_drive", "sequences", "write_sequence"]
