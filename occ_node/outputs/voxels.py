"""`~/voxels`: the occupied voxels as a sensor_msgs/PointCloud2, written as CDR bytes."""

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from occ_core import COLORS, IGNORE, Occupancy
from occ_core.compiled import compiled
from occ_core.transforms import IDENTITY

from .. import topics
from ..cdr import CdrWriter
from ..parameters import Settings
from .output import NEWEST, Frame, Output

_NAMES, _OFFSETS = ("x", "y", "z", "rgb", "label", "confidence"), (0, 4, 8, 12, 16, 17)
VOXEL_POINT = np.dtype(
    {"names": _NAMES, "formats": ("<f4", "<f4", "<f4", "<u4", "u1", "u1"), "offsets": _OFFSETS, "itemsize": 20}
)
"""One point of `voxel_cloud_cdr`: centre in metres, 0x00rrggbb, class 1..19, confidence 0..255."""

# Name, offset, sensor_msgs/PointField datatype. rgb is declared float32, as PCL does and viewers expect; its bits are
# the packed colour.
_DATATYPES = (*[PointField.FLOAT32] * 4, *[PointField.UINT8] * 2)
_FIELDS = tuple(zip(_NAMES, _OFFSETS, _DATATYPES, strict=True))
_PACKED_COLORS = (COLORS.astype(np.uint32) << (16, 8, 0)).sum(1, dtype=np.uint32)


def voxel_cloud_cdr(header: Header, occupancy: Occupancy, T_frame_grid: np.ndarray = IDENTITY) -> bytes:
    """All occupied voxels as a serialised sensor_msgs/PointCloud2 of VOXEL_POINT, in the header's frame.

    Bytes, because as an object its four megabytes would be copied twice more.
    """
    labels, grid = np.ascontiguousarray(occupancy.labels), occupancy.grid
    points = np.zeros(_count_occupied(labels), VOXEL_POINT)
    T_frame_index = T_frame_grid @ grid.T_grid_index
    _fill_points(points, labels, occupancy.confidence, T_frame_index, _PACKED_COLORS)
    writer = CdrWriter()
    writer.header(header)
    writer.pack("I", 1, len(points), len(_FIELDS))  # height, width, fields
    for name, offset, datatype in _FIELDS:
        writer.string(name)
        writer.pack("I", offset)
        writer.pack("B", datatype)
        writer.pack("I", 1)  # count
    writer.pack("?", False)  # is_bigendian
    writer.pack("I", VOXEL_POINT.itemsize, points.nbytes)  # point_step, row_step
    writer.sequence(points.view(np.uint8))
    writer.pack("?", True)  # is_dense
    return writer.getvalue()


@compiled
def _count_occupied(labels):
    count = 0
    for label in labels.reshape(-1):
        count += label != 0 and label != IGNORE
    return count


@compiled
def _fill_points(points, labels, confidence, T, colors):
    nx, ny, nz = labels.shape
    n = 0
    for i in range(nx):
        for j in range(ny):
            for k in range(nz):
                label = labels[i, j, k]
                if label == 0 or label == IGNORE:
                    continue
                point = points[n]
                point.x = T[0, 0] * i + T[0, 1] * j + T[0, 2] * k + T[0, 3]
                point.y = T[1, 0] * i + T[1, 1] * j + T[1, 2] * k + T[1, 3]
                point.z = T[2, 0] * i + T[2, 1] * j + T[2, 2] * k + T[2, 3]
                point.rgb = colors[label]
                point.label = label
                point.confidence = confidence[i, j, k]
                n += 1


def make_voxels(frame: Frame, settings: Settings) -> bytes:
    """All occupied voxels."""
    return voxel_cloud_cdr(frame.header, frame.occupancy, frame.T_frame_grid)


OUTPUT = Output(topics.VOXELS.name, PointCloud2, NEWEST, make_voxels)
