"""`~/semantic_grid`: the dense label grid as a std_msgs/UInt8MultiArray."""

import numpy as np
from std_msgs.msg import MultiArrayDimension, MultiArrayLayout, UInt8MultiArray

from .. import topics
from ..cdr import byte_array
from ..parameters import Settings
from .output import NEWEST, Frame, Output


def semantic_grid(labels: np.ndarray) -> UInt8MultiArray:
    """The dense labels (X, Y, Z): data[x * 8192 + y * 32 + z] for 256 x 256 x 32; 0 empty, 1..19."""
    shape = labels.shape
    dimensions = [
        MultiArrayDimension(label=label, size=shape[n], stride=int(np.prod(shape[n:]))) for n, label in enumerate("xyz")
    ]
    return UInt8MultiArray(layout=MultiArrayLayout(dim=dimensions, data_offset=0), data=byte_array(labels))


def make_semantic_grid(frame: Frame, settings: Settings) -> UInt8MultiArray:
    """The labels of all voxels."""
    return semantic_grid(frame.occupancy.labels)


OUTPUT = Output(topics.SEMANTIC_GRID.name, UInt8MultiArray, NEWEST, make_semantic_grid)
