"""Frames that move on /tf, over real DDS."""

import math

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install occ_node[ros])")
pytest.importorskip("tf2_msgs", reason="tf2_msgs is not installed (it comes with ROS 2)")

from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from rclpy.qos import DurabilityPolicy, QoSProfile
from tf2_msgs.msg import TFMessage

from occ_core.transforms import IDENTITY, quaternion_of
from occ_node.outputs.voxels import VOXEL_POINT

from . import scene
from .live import Client, NodeProcess, wait_for

LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
OPTICAL = np.array([(0, 0, 1), (-1, 0, 0), (0, -1, 0)])
"""Rotation from a camera's optical frame to one with x ahead."""


def transform(parent: str, child: str, stamp: int, rotation=IDENTITY[:3, :3], x: float = 0.0) -> TransformStamped:
    quaternion = Quaternion(**dict(zip("xyzw", map(float, quaternion_of(rotation)), strict=True)))
    return TransformStamped(
        header=scene.header(stamp, parent),
        child_frame_id=child,
        transform=Transform(translation=Vector3(x=x), rotation=quaternion),
    )


def yaw(angle: float) -> np.ndarray:
    c, s = math.cos(angle), math.sin(angle)
    return np.array([(c, -s, 0), (s, c, 0), (0, 0, 1)])


def pan(stamp: int) -> float:
    """Radians to the left: 0.3 rad to either side, once a second."""
    return 0.3 * math.sin(2 * math.pi * (stamp % 10**9) / 1e9)


def striped(stamp: int):
    """Black, with a white stripe straight ahead."""
    message = scene.image(stamp)
    pixels = np.zeros((scene.HEIGHT, scene.WIDTH, 3), np.uint8)
    pixels[:, 46:50] = 255
    message.data = scene.data(pixels)
    return message


def test_a_panning_camera_is_where_it_was_at_the_images_stamp(tmp_path, camera_bundle):
    node = NodeProcess(tmp_path, bundle=camera_bundle, backend="fake", frame="base").wait_until_ready()
    client = Client(node.domain, outputs=["voxels"], with_cloud=False).wait_until_connected()
    try:
        fixed = client.node.create_publisher(TFMessage, "/tf_static", LATCHED)
        moving = client.node.create_publisher(TFMessage, "/tf", 100)
        wait_for(lambda: fixed.get_subscription_count() and moving.get_subscription_count(), "the node's tf")
        fixed.publish(TFMessage(transforms=[transform("pan", "camera", 0, OPTICAL)]))
        sent = {}

        def send():
            stamp = client.next_stamp() + 37_000_000  # between two transforms
            for ahead in range(-2, 4):  # also later ones than the image, which must not count
                at = stamp // 100_000_000 * 100_000_000 + ahead * 100_000_000
                moving.publish(TFMessage(transforms=[transform("base", "pan", at, yaw(pan(at)))]))
            client.camera_info.publish(scene.camera_info(stamp))
            client.send(striped(stamp))
            sent[stamp // 10**9, stamp % 10**9] = stamp

        client.send_until(send, lambda: len(client.received["voxels"]) >= 8, "eight answers")
        bearings, expected = [], []
        for message in client.received["voxels"]:
            points = np.frombuffer(message.data, VOXEL_POINT)
            bearings.append(np.median(np.arctan2(points["y"], points["x"])))
            expected.append(pan(sent[message.header.stamp.sec, message.header.stamp.nanosec]))
        assert np.ptp(expected) > 0.3
        np.testing.assert_allclose(bearings, expected, atol=0.03)
    finally:
        client.close()
        node.stop()
