import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install occ_node[ros])")

from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from occ_core import COLORS, KITTI_GRID, Occupancy
from occ_core.decode.cloud import decode_cloud
from occ_core.occupancy import voxel_positions
from occ_node.outputs.voxels import VOXEL_POINT, voxel_cloud_cdr

HEADER = Header(stamp=Time(sec=12, nanosec=34), frame_id="velo_link")


@pytest.fixture
def occupancy():
    labels = np.zeros(KITTI_GRID.shape, np.uint8)
    labels[3, 4, 5], labels[100, 200, 31], labels[0, 0, 0] = 9, 1, 255
    confidence = np.zeros_like(labels)
    confidence[3, 4, 5], confidence[100, 200, 31] = 200, 17
    return Occupancy(labels, confidence, KITTI_GRID)


def test_the_cloud_lists_the_occupied_voxels(occupancy):
    message = deserialize_message(voxel_cloud_cdr(HEADER, occupancy), PointCloud2)
    assert message.header == HEADER and message.is_dense and not message.is_bigendian
    assert (message.height, message.width, message.point_step, message.row_step) == (1, 2, 20, 40)
    assert [(f.name, f.offset, f.datatype, f.count) for f in message.fields] == [
        ("x", 0, 7, 1), ("y", 4, 7, 1), ("z", 8, 7, 1), ("rgb", 12, 7, 1),
        ("label", 16, 2, 1), ("confidence", 17, 2, 1),
    ]  # fmt: skip
    points = np.frombuffer(message.data, VOXEL_POINT)
    flat = np.ravel_multi_index(([3, 100], [4, 200], [5, 31]), KITTI_GRID.shape)
    np.testing.assert_allclose(decode_cloud(message).points[:, :3], voxel_positions(flat, KITTI_GRID))
    assert (points["label"].tolist(), points["confidence"].tolist()) == ([9, 1], [200, 17])
    colors = [(rgb >> 16 & 255, rgb >> 8 & 255, rgb & 255) for rgb in points["rgb"].tolist()]
    assert colors == [tuple(COLORS[9].tolist()), tuple(COLORS[1].tolist())]
