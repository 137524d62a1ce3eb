import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install occ_node[ros])")

from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import UInt8MultiArray

from occ_core import KITTI_GRID
from occ_node.outputs.semantic_grid import semantic_grid


def test_the_dense_grid_follows_its_own_strides():
    labels = np.zeros(KITTI_GRID.shape, np.uint8)
    labels[3, 4, 5] = 9
    message = deserialize_message(serialize_message(semantic_grid(labels)), UInt8MultiArray)
    assert [(d.label, d.size, d.stride) for d in message.layout.dim] == [
        ("x", 256, 256 * 256 * 32), ("y", 256, 256 * 32), ("z", 32, 32),
    ]  # fmt: skip
    sx, sy = message.layout.dim[1].stride, message.layout.dim[2].stride
    assert message.data[message.layout.data_offset + 3 * sx + 4 * sy + 5] == 9
