"""The example with ROS: a live node, on a DDS domain of its own."""

import pytest

from occ_node.dds import use_loopback_profile
from occ_runtime.fake_backend import write_fake_bundle

use_loopback_profile()
pytest.importorskip("rclpy", reason="rclpy is not installed")

from std_msgs.msg import Float32  # noqa: E402

from ..occ_node.live import Client, NodeProcess, wait_for  # noqa: E402


class Example(NodeProcess):
    module = "examples.output_topic"


def test_an_output_topic_of_your_own(tmp_path):
    calibration = tmp_path / "calib.txt"
    calibration.write_text("P2: 60 0 48 0 0 60 16 0 0 0 1 0\nTr: 0 -1 0 0 0 0 -1 -0.1 1 0 0 -0.3\n")
    bundle = write_fake_bundle(tmp_path / "fake").path
    node = Example(tmp_path, bundle=bundle, backend="fake", calibration_file=calibration).wait_until_ready()
    client = Client(node.domain).wait_until_connected()
    heights = []
    client.node.create_subscription(Float32, "/occ_node/height", heights.append, 5)
    try:
        client.answered()
        wait_for(lambda: client.answered() and heights, "a height")
    finally:
        client.close()
        node.stop()
    layers = (heights[0].data + 2) / 0.2  # of voxels above the grid's floor
    assert 0 < round(layers) <= 32
    assert layers == pytest.approx(round(layers), abs=1e-3)
