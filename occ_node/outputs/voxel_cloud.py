"""Voxels as the points of a sensor_msgs/PointCloud2, written as CDR bytes.

Bytes, because as an object the megabytes of such a cloud would be copied twice more.
"""

import numpy as np
from sensor_msgs.msg import PointField
from std_msgs.msg import Header

from occ_core import COLORS, Occupancy
from occ_core.compiled import compiled

from ..cdr import CdrWriter

# rgb is declared float32, as PCL does and viewers expect; its bits are the packed colour.
_FIELDS = {
    "x": (0, "<f4", PointField.FLOAT32),
    "y": (4, "<f4", PointField.FLOAT32),
    "z": (8, "<f4", PointField.FLOAT32),
    "rgb": (12, "<u4", PointField.FLOAT32),
    "label": (16, "u1", PointField.UINT8),
    "confidence": (17, "u1", PointField.UINT8),
    "seen": (18, "u1", PointField.UINT8),
}
_PACKED_COLORS = (COLORS.astype(np.uint32) << (16, 8, 0)).sum(1, dtype=np.uint32)


def voxel_point(*extra: str) -> np.dtype:
    """One point: centre in metres, 0x00rrggbb, class 1..19, confidence 0..255, and the extra fields; 20 bytes."""
    names = ("x", "y", "z", "rgb", "label", "confidence", *extra)
    offsets, formats, _ = zip(*(_FIELDS[name] for name in names), strict=True)
    return np.dtype({"names": names, "formats": formats, "offsets": offsets, "itemsize": 20})


def voxel_points(flat: np.ndarray, occupancy: Occupancy, T_frame_grid: np.ndarray, point: np.dtype) -> np.ndarray:
    """The points (M,) of voxels given as flat indices (M,), in the frame of T_frame_grid; extra fields are zero.

    point : their type, of `voxel_point`
    """
    points = np.zeros(len(flat), point)
    labels, confidence = (np.ascontiguousarray(a).reshape(-1) for a in (occupancy.labels, occupancy.confidence))
    _, ny, nz = occupancy.labels.shape
    _fill(points, flat, ny, nz, labels, confidence, T_frame_grid @ occupancy.grid.T_grid_index, _PACKED_COLORS)
    return points


@compiled
def _fill(points, flat, ny, nz, labels, confidence, T, colors):
    for n in range(len(flat)):
        index, point = flat[n], points[n]
        i, j, k = index // nz // ny, index // nz % ny, index % nz
        point.x = T[0, 0] * i + T[0, 1] * j + T[0, 2] * k + T[0, 3]
        point.y = T[1, 0] * i + T[1, 1] * j + T[1, 2] * k + T[1, 3]
        point.z = T[2, 0] * i + T[2, 1] * j + T[2, 2] * k + T[2, 3]
        point.rgb = colors[labels[index]]
        point.label = labels[index]
        point.confidence = confidence[index]


def point_cloud_cdr(header: Header, points: np.ndarray) -> bytes:
    """Points (M,) of `voxel_points` as a serialised sensor_msgs/PointCloud2."""
    writer = CdrWriter()
    writer.header(header)
    names = points.dtype.names or ()
    writer.pack("I", 1, len(points), len(names))  # height, width, fields
    for name in names:
        offset, _, datatype = _FIELDS[name]
        writer.string(name)
        writer.pack("I", offset)
        writer.pack("B", datatype)
        writer.pack("I", 1)  # count
    writer.pack("?", False)  # is_bigendian
    writer.pack("I", points.itemsize, points.nbytes)  # point_step, row_step
    writer.sequence(points.view(np.uint8))
    writer.pack("?", True)  # is_dense
    return writer.getvalue()
