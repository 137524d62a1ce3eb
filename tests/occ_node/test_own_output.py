"""An output that is not the package's own."""

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install occ_node[ros])")

from std_msgs.msg import UInt32

from occ_core import KITTI_GRID
from occ_core.voxelizer import occupancy_grid

from . import scene
from .live import Client, NodeProcess, wait_for


class NodeWithOutput(NodeProcess):
    module = "tests.occ_node.node_with_output"


def test_an_own_output_is_published_beside_the_others(tmp_path, fake_bundle, calibration_file):
    node = NodeWithOutput(tmp_path, bundle=fake_bundle, backend="fake", calibration_file=calibration_file)
    client = Client(node.domain, outputs=["voxels"])
    counts = []
    client.node.create_subscription(UInt32, "/occ_node/occupied", counts.append, 5)
    try:
        node.wait_until_ready()
        client.wait_until_connected()
        client.answered("voxels")
        wait_for(lambda: client.answered("voxels") and counts, "a count")
        assert counts[-1].data == occupancy_grid(scene.wall(), KITTI_GRID).sum()
    finally:
        node.stop()
        client.close()
