"""What the node says of inputs that do not come, over real DDS."""

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install occ_node[ros])")

import rclpy
from rclpy.context import Context
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import String

from occ_core.calibration_file import FileCalibration
from occ_core.decode.camera_info import Intrinsics
from occ_node.calibration_source import CalibrationSource
from occ_node.connections import Connections
from occ_node.dds import free_domain
from occ_node.log import Log

from . import scene
from .live import Client, NodeProcess, wait_for

K = (60.0, 0.0, 48.0, 0.0, 60.0, 16.0, 0.0, 0.0, 1.0)
IMAGE_TYPE, CLOUD_TYPE = "sensor_msgs/msg/Image", "sensor_msgs/msg/PointCloud2"
TRANSIENT_LOCAL = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Robot:
    """The node's subscriptions and a camera driver, with a clock of its own and the lines of the log."""

    def __init__(self):
        self.now, self.lines, domain = 100.0, [], free_domain()
        self._contexts = Context(), Context()  # in one, topics cannot differ in their type
        for context in self._contexts:
            rclpy.init(context=context, domain_id=domain)
        self.node = rclpy.create_node("occ_node", context=self._contexts[0])
        self.driver = rclpy.create_node("driver", context=self._contexts[1])
        self.warning = self.lines.append
        self.calibration = CalibrationSource(FileCalibration(np.eye(4), None, None), True)
        self.calibration.intrinsics = Intrinsics(K, (96, 32), False)

    def listen(self, image=Image, **others) -> Connections:
        """others : (type, QoS) by topic, which may name a topic of tf"""
        types = {"image": (image, qos_profile_sensor_data), "camera_info": (CameraInfo, qos_profile_sensor_data)}
        types["points"] = (PointCloud2, qos_profile_sensor_data)
        subscriptions = {
            name: self.node.create_subscription(kind, name, lambda message: None, qos)
            for name, (kind, qos) in (types | others).items()
        }
        return Connections(self.node, subscriptions, self.calibration, "lidar", Log(self), lambda: self.now)

    def publishes(self, kind, topic, qos=10) -> None:
        self.driver.create_publisher(kind, topic, qos)
        wait_for(lambda: self.node.count_publishers(topic), "the publisher")

    def close(self) -> None:
        self.node.destroy_node()
        self.driver.destroy_node()
        for context in self._contexts:
            context.try_shutdown()


@pytest.fixture
def robot():
    robot = Robot()
    yield robot
    robot.close()


def test_nothing_is_said_before_five_seconds_and_each_line_once(robot):
    connections = robot.listen()
    robot.now += 4.9
    assert connections.problems() == []
    robot.now += 0.1
    assert len(connections.problems()) == 2
    robot.now += 10
    assert connections.problems() == robot.lines
    assert robot.lines == [
        f"image: nobody publishes on /image; no topic has a publisher of {IMAGE_TYPE}",
        f"points: nobody publishes on /points; no topic has a publisher of {CLOUD_TYPE}",
    ]


def test_an_input_that_stops_again_is_said_again(robot):
    connections = robot.listen()
    for _ in range(2):
        robot.now += 5
        assert any(line.startswith("points: ") for line in connections.problems())
        connections.heard("points", "lidar")
        assert not any(line.startswith("points: ") for line in connections.problems())
    assert sum(line.startswith("points: ") for line in robot.lines) == 2


def test_topics_of_the_same_type_are_named_and_those_of_the_node_are_not(robot):
    connections = robot.listen()
    robot.publishes(Image, "/camera/image_raw")
    robot.publishes(PointCloud2, "/velodyne_points")
    robot.node.create_publisher(PointCloud2, "~/voxels", 1)
    robot.now += 5
    assert connections.problems() == [
        f"image: nobody publishes on /image; {IMAGE_TYPE} is on /camera/image_raw: remap image:=/camera/image_raw",
        f"points: nobody publishes on /points; {CLOUD_TYPE} is on /velodyne_points: remap points:=/velodyne_points",
    ]


def test_compressed_images_are_named_with_the_parameter(robot):
    connections = robot.listen()
    robot.publishes(CompressedImage, "/camera/compressed")
    robot.now += 5
    hint = "/camera/compressed: remap image:=/camera/compressed and set compressed:=true"
    assert connections.problems()[0].endswith(f"sensor_msgs/msg/CompressedImage is on {hint}")


def test_another_type_on_the_topic_is_named_with_the_parameter(robot):
    connections = robot.listen(image=CompressedImage)
    robot.publishes(Image, "/image")
    robot.now += 5
    expected = f"image: /image carries {IMAGE_TYPE}, expected sensor_msgs/msg/CompressedImage; set compressed:=false"
    assert connections.problems()[0] == expected


def test_a_qos_that_does_not_match_is_named(robot):
    connections = robot.listen(points=(PointCloud2, TRANSIENT_LOCAL))
    robot.publishes(PointCloud2, "/points")
    robot.now += 5
    line = connections.problems()[1]
    assert line.startswith("points: the QoS of the publisher on /points does not match: ")
    assert "transient local" in line


def test_a_publisher_that_sends_nothing_is_said(robot):
    connections = robot.listen()
    robot.publishes(Image, "/image")
    robot.now += 5
    assert connections.problems()[0] == "image: no message on /image for 5 s, though it has a publisher (1)"


def test_intrinsics_are_missed_only_where_there_are_none(robot):
    robot.calibration.intrinsics = None
    connections = robot.listen()
    robot.now += 5
    assert any(line.startswith("camera_info: nobody publishes on /camera_info") for line in connections.problems())
    robot.calibration.intrinsics = Intrinsics(K, (96, 32), False)
    assert not any("camera_info" in line for line in connections.problems())


def test_missing_extrinsics_are_said_with_the_frames_and_what_is_wrong_with_tf(robot):
    robot.calibration = CalibrationSource(None, True)
    robot.calibration.intrinsics = Intrinsics(K, (96, 32), False)
    connections = robot.listen(**{"/tf_static": (String, TRANSIENT_LOCAL)})  # any type: PyPI has no tf2_msgs

    def sensors():
        robot.now += 2.5
        connections.heard("image", "camera")
        connections.heard("points", "velodyne")
        return connections.problems()

    assert sensors() == [] and sensors() == []
    (line,) = sensors()
    assert "tf does not connect 'camera' and 'velodyne'; publish the transform or set calibration_file" in line
    assert line.endswith("(nobody publishes on /tf_static)")
    robot.driver.create_publisher(String, "/tf_static", 10)  # volatile
    wait_for(lambda: "the QoS of the publisher on /tf_static does not match" in sensors()[0], "the QoS")
    robot.calibration.add_transform(_identity("camera", "velodyne"), static=True)
    assert sensors() == []


def _identity(parent, child):
    from geometry_msgs.msg import TransformStamped

    message = TransformStamped(child_frame_id=child)
    message.header.frame_id = parent
    return message


def test_the_node_says_it_before_anybody_subscribes_and_its_level_follows(tmp_path, fake_bundle):
    node = NodeProcess(tmp_path, bundle=fake_bundle, backend="fake", timeout=6.0).wait_until_ready()
    client = Client(node.domain, outputs=[])
    try:
        client.wait_until_connected()

        def send():
            stamp = client.next_stamp()
            client.camera_info.publish(scene.camera_info(stamp))
            client.send(scene.image(stamp), scene.cloud(stamp))

        def warned():
            send()
            return "no extrinsics: " in node.log()

        wait_for(warned, "the line of the extrinsics", pause=0.1)
        wait_for(lambda: client.status and "no extrinsics: " in client.status.message, "the status")
        assert client.status.level == client.status.WARN
        # The sensors stop.
        wait_for(lambda: client.status.level == client.status.STALE, "the status STALE")
        assert client.status.message.startswith("no input for ")
    finally:
        node.stop()
        client.close()


def test_wrong_topics_are_an_error_once_somebody_waits_for_frames(tmp_path, fake_bundle, calibration_file):
    parameters = {"bundle": fake_bundle, "backend": "fake", "calibration_file": calibration_file, "timeout": 1.0}
    node = NodeProcess(tmp_path, **parameters).wait_until_ready()
    client = Client(node.domain, outputs=["voxels"])
    client.node.create_publisher(Image, "/camera/image_raw", 5)
    try:
        text = "image: no message on /image for 5 s, though it has a publisher (1)"
        wait_for(lambda: text in node.log(), "the line of the image")
        wait_for(lambda: client.status and text in client.status.message, "the status")
        assert client.status.level == client.status.ERROR
        assert client.status.message.startswith("no frame answered for ")
        assert node.log().count(text) == 1
    finally:
        node.stop()
        client.close()
