"""Frames that move on /tf, over real DDS."""

import math

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install occ_node[ros])")
pytest.importorskip("tf2_msgs", reason="tf2_msgs is not installed (it comes with ROS 2)")

from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import PointCloud2
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

        client.send_until(send, lambda: len(client.received["voxels"]) >= 9, "nine answers")
        bearings, expected = [], []
        for message in client.received["voxels"][1:]:  # the first may come before its transforms
            points = np.frombuffer(message.data, VOXEL_POINT)
            bearings.append(np.median(np.arctan2(points["y"], points["x"])))
            expected.append(pan(sent[message.header.stamp.sec, message.header.stamp.nanosec]))
        assert np.ptp(expected) > 0.3
        np.testing.assert_allclose(bearings, expected, atol=0.03)
    finally:
        client.close()
        node.stop()


LIDARS = {"front": (10, 0.0), "left": (20, 1.0), "right": (7, -1.0)}
"""Rate in Hz, and metres to the left of the robot's frame."""
WALLS = {"front": 0.0, "left": 8.0, "right": -8.0}
"""Where the wall of each LiDAR is, metres to the left; 4 m wide."""


class Lidars:
    """Three LiDARs on a robot that stands, or drives ahead at a constant speed with odometry on tf."""

    def __init__(self, client: Client, speed: float = 0.0):
        self._client, self._speed = client, speed
        self._clouds = {topic: client.node.create_publisher(PointCloud2, topic, 5) for topic in LIDARS}
        fixed = client.node.create_publisher(TFMessage, "/tf_static", LATCHED)
        self._moving = client.node.create_publisher(TFMessage, "/tf", 100)
        publishers = (*self._clouds.values(), fixed, self._moving)
        wait_for(lambda: all(publisher.get_subscription_count() for publisher in publishers), "subscriptions")
        mounted = [transform("base", f"{topic}_lidar", 0) for topic in LIDARS]
        for message, (_, left) in zip(mounted, LIDARS.values(), strict=True):
            message.transform.translation.y = left
        fixed.publish(TFMessage(transforms=[*mounted, transform("base", "camera", 0, OPTICAL)]))
        self._ms = 0

    def drive(self, topics=tuple(LIDARS), ms: int = 200) -> None:
        """The messages of the next 200 ms, in the order of their stamps; walls 45 m ahead of where odom began."""
        start = 1_000_000 + self._ms
        for at in range(start, start + ms):
            stamp = at * 1_000_000
            x = self._speed * (at - 1_000_000) / 1000
            if at % 20 == 0:
                self._moving.publish(TFMessage(transforms=[transform("odom", "base", stamp, x=x)]))
            for topic in topics:
                if (at - 1_000_000) * LIDARS[topic][0] % 1000 < LIDARS[topic][0]:
                    self._clouds[topic].publish(self._cloud(topic, stamp, x))
            if at % 100 == 0:
                self._client.camera_info.publish(scene.camera_info(stamp))
                self._client.send(scene.image(stamp))
        self._ms += ms

    def _cloud(self, topic: str, stamp: int, x: float) -> PointCloud2:
        y, z = np.meshgrid(np.arange(-2, 2, 0.1), np.arange(-1, 1, 0.1))
        left = WALLS[topic] - LIDARS[topic][1]
        points = np.stack([np.full(y.size, 45.1 - x), y.ravel() + left, z.ravel(), np.full(y.size, 0.5)], 1)
        message = scene.cloud(stamp, points.astype(np.float32))
        message.header.frame_id = f"{topic}_lidar"
        return message


def walls(message) -> set[str]:
    """The LiDARs whose walls are in a cloud of voxels."""
    y = np.frombuffer(message.data, VOXEL_POINT)["y"]
    return {topic for topic, left in WALLS.items() if (np.abs(y - left) < 2.2).any()}


def lidars_node(folder, bundle, **parameters) -> NodeProcess:
    clouds = f"[{', '.join(LIDARS)}]"
    parameters = {"bundle": bundle, "backend": "fake", "frame": "base", "clouds": clouds} | parameters
    return NodeProcess(folder, **parameters).wait_until_ready()


def test_three_lidars_of_different_rates_are_merged_and_a_missing_one_is_counted(tmp_path, fake_bundle):
    node = lidars_node(tmp_path, fake_bundle)
    client = Client(node.domain, outputs=["voxels"], with_cloud=False).wait_until_connected()
    try:
        lidars, received = Lidars(client), client.received["voxels"]
        client.send_until(lidars.drive, lambda: received and walls(received[-1]) == set(LIDARS), "all three walls")
        points = np.frombuffer(received[-1].data, VOXEL_POINT)
        np.testing.assert_allclose(points["x"], 45.1, atol=1e-4)  # all walls on one plane
        assert {f"received.{topic}" for topic in LIDARS} <= client.values.keys()

        before = client.counter("clouds_missing.right")
        without = {"front", "left"}
        client.send_until(
            lambda: lidars.drive(("front", "left")),
            lambda: client.counter("clouds_missing.right") >= before + 3 and walls(received[-1]) == without,
            "frames without the missing cloud",
        )
        assert client.counter("clouds_missing.right") > client.counter("clouds_missing.left")
        client.send_until(lidars.drive, lambda: walls(received[-1]) == set(LIDARS), "the missing cloud again")

        number = len(received)
        client.send_until(
            lambda: lidars.drive(("left",)), lambda: len(received) > number + 3, "frames with another leading cloud"
        )
        assert walls(received[-1]) == {"left"} and node.alive()
    finally:
        client.close()
        node.stop()


def test_clouds_of_a_robot_that_drives_are_moved_to_one_stamp(tmp_path, fake_bundle):
    node = lidars_node(tmp_path, fake_bundle, odom_frame="odom")
    client = Client(node.domain, outputs=["voxels"], with_cloud=False).wait_until_connected()
    try:
        lidars, received = Lidars(client, speed=5.0), client.received["voxels"]
        client.send_until(
            lidars.drive, lambda: sum(walls(message) == set(LIDARS) for message in received) >= 5, "five whole frames"
        )
        whole = [np.frombuffer(m.data, VOXEL_POINT) for m in received if walls(m) == set(LIDARS)]
        spread = [np.ptp(points["x"]) for points in whole[2:]]  # unless moved, up to 0.7 m in 143 ms at 5 m/s
        assert max(spread) <= 0.21
        assert "motion.missing" in client.values
    finally:
        client.close()
        node.stop()
