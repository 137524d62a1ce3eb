"""Labelled voxels -> the ordinary ROS messages that RViz, Foxglove and nav2 read."""

from array import array

import numba
import numpy as np
from geometry_msgs.msg import Point, Pose
from nav_msgs.msg import MapMetaData, OccupancyGrid
from sensor_msgs.msg import Image, PointField
from std_msgs.msg import Header, MultiArrayDimension, MultiArrayLayout, UInt8MultiArray

from occ_core import COLORS, IGNORE, Grid, Occupancy

from .cdr import CdrWriter

VOXEL_POINT = np.dtype(
    {
        "names": ["x", "y", "z", "rgb", "label", "confidence"],
        "formats": ["<f4", "<f4", "<f4", "<u4", "u1", "u1"],
        "offsets": [0, 4, 8, 12, 16, 17],
        "itemsize": 20,
    }
)
"""One point of `voxel_cloud_cdr`: centre in metres, 0x00rrggbb, class 1..19, confidence 0..255."""

# Name, offset, sensor_msgs/PointField datatype. rgb is declared float32, as PCL does and every viewer expects; its bits
# are the packed colour.
_VOXEL_FIELDS = [
    (name, VOXEL_POINT.fields[name][1], datatype)
    for name, datatype in zip(VOXEL_POINT.names, [PointField.FLOAT32] * 4 + [PointField.UINT8] * 2, strict=True)
]
_PACKED_COLORS = (COLORS.astype(np.uint32) << (16, 8, 0)).sum(1, dtype=np.uint32)


def _bytes(values: np.ndarray) -> array:
    """As rclpy takes them without a check of every element."""
    data = array("B")
    data.frombytes(np.ascontiguousarray(values).data.cast("B"))
    return data


def voxel_cloud_cdr(header: Header, occupancy: Occupancy) -> bytes:
    """All occupied voxels as a sensor_msgs/PointCloud2 of VOXEL_POINT, serialised; unlisted voxels are empty.

    As an object its four megabytes would be copied twice more on their way out.
    """
    labels, grid = np.ascontiguousarray(occupancy.labels), occupancy.grid
    points = np.zeros(_count_occupied(labels), VOXEL_POINT)
    _fill_points(points, labels, occupancy.confidence, np.array(grid.origin), grid.voxel_size, _PACKED_COLORS)
    writer = CdrWriter()
    writer.pack("i", header.stamp.sec)
    writer.pack("I", header.stamp.nanosec)
    writer.string(header.frame_id)
    writer.pack("I", 1, len(points), len(_VOXEL_FIELDS))  # height, width, fields
    for name, offset, datatype in _VOXEL_FIELDS:
        writer.string(name)
        writer.pack("I", offset)
        writer.pack("B", datatype)
        writer.pack("I", 1)  # count
    writer.pack("?", False)  # is_bigendian
    writer.pack("I", VOXEL_POINT.itemsize, points.nbytes)  # point_step, row_step
    writer.sequence(points.view(np.uint8))
    writer.pack("?", True)  # is_dense
    return writer.getvalue()


@numba.njit(cache=True, nogil=True)
def _count_occupied(labels):
    count = 0
    for label in labels.reshape(-1):
        count += label != 0 and label != IGNORE
    return count


@numba.njit(cache=True, nogil=True)
def _fill_points(points, labels, confidence, origin, size, colors):
    nx, ny, nz = labels.shape
    n = 0
    for i in range(nx):
        for j in range(ny):
            for k in range(nz):
                label = labels[i, j, k]
                if label == 0 or label == IGNORE:
                    continue
                point = points[n]
                point.x = origin[0] + size * (i + 0.5)
                point.y = origin[1] + size * (j + 0.5)
                point.z = origin[2] + size * (k + 0.5)
                point.rgb = colors[label]
                point.label = label
                point.confidence = confidence[i, j, k]
                n += 1


def occupancy_grid(header: Header, view: np.ndarray, grid: Grid) -> OccupancyGrid:
    """A bird's-eye view (X, Y) int8 as a map in the LiDAR frame.

    nav_msgs order: data[y * width + x], width along x; the origin is the grid's corner (least x, y, z), not turned.
    """
    data = array("b")
    data.frombytes(np.ascontiguousarray(view.T).data.cast("B"))
    x, y, z = (float(value) for value in grid.origin)
    info = MapMetaData(
        map_load_time=header.stamp, resolution=float(grid.voxel_size), width=view.shape[0], height=view.shape[1],
        origin=Pose(position=Point(x=x, y=y, z=z)),
    )  # fmt: skip
    return OccupancyGrid(header=header, info=info, data=data)


def semantic_grid(labels: np.ndarray) -> UInt8MultiArray:
    """The dense labels (X, Y, Z): data[x * 8192 + y * 32 + z] for 256 x 256 x 32; 0 empty, 1..19."""
    shape = labels.shape
    dimensions = [
        MultiArrayDimension(label=label, size=shape[n], stride=int(np.prod(shape[n:]))) for n, label in enumerate("xyz")
    ]
    return UInt8MultiArray(layout=MultiArrayLayout(dim=dimensions, data_offset=0), data=_bytes(labels))


def rgb_image(header: Header, image: np.ndarray) -> Image:
    """(H, W, 3) uint8 RGB as a message."""
    height, width, _ = image.shape
    return Image(
        header=header, height=height, width=width, encoding="rgb8", is_bigendian=0, step=3 * width, data=_bytes(image)
    )
