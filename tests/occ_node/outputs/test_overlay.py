import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install occ_node[ros])")

from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from occ_core.decode.image import decode_image
from occ_node.outputs.overlay import rgb_image


def test_the_image_comes_back():
    picture = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
    message = deserialize_message(serialize_message(rgb_image(Header(), picture)), Image)
    np.testing.assert_array_equal(decode_image(message), picture)
