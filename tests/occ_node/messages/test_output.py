import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install occ_node[ros])")

from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from occ_core import COLORS, KITTI_GRID, Grid, Occupancy
from occ_core.decode.cloud import decode_cloud
from occ_core.decode.image import decode_image
from occ_core.occupancy import voxel_positions
from occ_node.messages.output import VOXEL_POINT, occupancy_grid, rgb_image, semantic_grid, voxel_cloud_cdr

HEADER = Header(stamp=Time(sec=12, nanosec=34), frame_id="velo_link")


def through_dds(message):
    return deserialize_message(serialize_message(message), type(message))


@pytest.fixture
def occupancy():
    labels = np.zeros(KITTI_GRID.shape, np.uint8)
    labels[3, 4, 5], labels[100, 200, 31], labels[0, 0, 0] = 9, 1, 255
    confidence = np.zeros_like(labels)
    confidence[3, 4, 5], confidence[100, 200, 31] = 200, 17
    return Occupancy(labels, confidence, KITTI_GRID)


def test_voxel_cloud_lists_what_is_occupied(occupancy):
    message = deserialize_message(voxel_cloud_cdr(HEADER, occupancy), PointCloud2)
    assert message.header == HEADER and message.is_dense and not message.is_bigendian
    assert (message.height, message.width, message.point_step, message.row_step) == (1, 2, 20, 40)
    assert [(f.name, f.offset, f.datatype, f.count) for f in message.fields] == [
        ("x", 0, 7, 1), ("y", 4, 7, 1), ("z", 8, 7, 1), ("rgb", 12, 7, 1),
        ("label", 16, 2, 1), ("confidence", 17, 2, 1),
    ]  # fmt: skip
    points = np.frombuffer(message.data, VOXEL_POINT)
    flat = np.ravel_multi_index(([3, 100], [4, 200], [5, 31]), KITTI_GRID.shape)
    np.testing.assert_array_equal(decode_cloud(message).points[:, :3], voxel_positions(flat, KITTI_GRID))
    assert (points["label"].tolist(), points["confidence"].tolist()) == ([9, 1], [200, 17])
    colors = [(rgb >> 16 & 255, rgb >> 8 & 255, rgb & 255) for rgb in points["rgb"].tolist()]
    assert colors == [tuple(COLORS[9].tolist()), tuple(COLORS[1].tolist())]


def test_map_is_in_nav_order():
    grid = Grid((4, 6, 2), 0.5, (0.0, -1.5, -1.0))
    view = np.full((4, 6), -1, np.int8)
    view[1, 5], view[3, 0] = 100, 0
    message = through_dds(occupancy_grid(HEADER, view, grid))
    assert (message.info.width, message.info.height, message.info.resolution) == (4, 6, 0.5)
    assert (message.data[5 * 4 + 1], message.data[0 * 4 + 3], message.data[0]) == (100, 0, -1)
    origin = message.info.origin
    assert (origin.position.x, origin.position.y, origin.position.z) == grid.origin and origin.orientation.w == 1


def test_dense_grid_follows_its_own_strides(occupancy):
    message = through_dds(semantic_grid(occupancy.labels))
    assert [(d.label, d.size, d.stride) for d in message.layout.dim] == [
        ("x", 256, 256 * 256 * 32), ("y", 256, 256 * 32), ("z", 32, 32),
    ]  # fmt: skip
    sx, sy = message.layout.dim[1].stride, message.layout.dim[2].stride
    assert message.data[message.layout.data_offset + 3 * sx + 4 * sy + 5] == 9


def test_image_comes_back():
    picture = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
    np.testing.assert_array_equal(decode_image(through_dds(rgb_image(HEADER, picture))), picture)
