import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install occ_node[ros])")

from nav_msgs.msg import OccupancyGrid
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header

from occ_core import Grid
from occ_node.outputs.grid import occupancy_grid

HEADER = Header(frame_id="velo_link")


def test_map_is_in_nav_order():
    grid = Grid((4, 6, 2), 0.5, (0.0, -1.5, -1.0))
    view = np.full((4, 6), -1, np.int8)
    view[1, 5], view[3, 0] = 100, 0
    message = deserialize_message(serialize_message(occupancy_grid(HEADER, view, grid)), OccupancyGrid)
    assert (message.info.width, message.info.height, message.info.resolution) == (4, 6, 0.5)
    assert (message.data[5 * 4 + 1], message.data[0 * 4 + 3], message.data[0]) == (100, 0, -1)
    origin = message.info.origin
    assert (origin.position.x, origin.position.y, origin.position.z) == grid.origin and origin.orientation.w == 1
