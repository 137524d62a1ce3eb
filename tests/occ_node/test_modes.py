"""The node over real DDS while a sensor is missing: `~/mode`, diagnostics, and what the outputs carry."""

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install occ_node[ros])")

from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import String

from . import scene
from .live import Client, NodeProcess, wait_for

LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
WARN = b"\x01"


@pytest.fixture
def start(tmp_path, fake_bundle, camera_bundle):
    """Start a node with the fallback and a client, whose `modes` are those on `~/mode`."""
    running = []

    def start(**parameters):
        node = NodeProcess(
            tmp_path, **{"bundle": fake_bundle, "backend": "fake", "fallback": camera_bundle} | parameters
        )
        running.append((node, None))
        node.wait_until_ready()
        client = Client(node.domain).wait_until_connected()
        running.append((node, client))
        client.modes = _modes(client)
        return node, client

    yield start
    for node, client in running[::-1]:
        if client is not None:
            client.close()
        node.stop()


def _modes(client) -> list[str]:
    found = []
    client.node.create_subscription(String, "/occ_node/mode", lambda message: found.append(message.data), LATCHED)
    return found


def _send(client, image=False, points=False, dark=False):
    """One frame of what there is; sent again and again it is a drive of 10 Hz at most."""

    def send():
        stamp = client.next_stamp()
        messages = {"image": scene.image(stamp)} if image else {}
        if dark:
            messages["image"].data = scene.data(np.zeros((scene.HEIGHT, scene.WIDTH, 3), np.uint8))
        client.send(**messages, **({"points": scene.cloud(stamp)} if points else {}))

    return send


def _drive(client, condition, what, **sensors):
    send = _send(client, **sensors)

    def sent():
        send()
        return condition()

    return wait_for(sent, what, pause=0.1)


def test_without_clouds_the_fallback_answers_in_the_last_clouds_frame_until_they_are_back(start, calibration_file):
    node, client = start(calibration_file=calibration_file)
    wait_for(lambda: client.modes == ["camera+lidar"], "the mode")
    client.answered()
    count = len(client.received["voxels"])
    _drive(client, lambda: client.modes[-1] == "camera", "the fallback", image=True)
    _drive(client, lambda: client.status.level == WARN and client.counter("frames.camera"), "a report", image=True)
    assert client.status.message.startswith("points is silent: frames are made by the fallback bundle")
    assert client.values["mode"] == "camera" and client.counter("mode_switches") == 1
    assert client.values["fallback"].startswith("camera, ")
    answers = client.received["voxels"][count:]
    assert {message.header.frame_id for message in answers} == {"velo_link"} and answers[-1].width
    late = _modes(client)
    wait_for(lambda: late == ["camera"], "the mode for a late subscriber")
    _drive(client, lambda: client.modes[-1] == "camera+lidar", "both again", image=True, points=True)
    assert client.modes == ["camera+lidar", "camera", "camera+lidar"]
    assert node.log().count("mode camera: points is silent") == 1
    assert "fallback camera, backend fake" in node.log()


def test_a_robot_without_a_camera_gets_frames_and_is_told(start):
    _, client = start()  # neither extrinsics nor CameraInfo
    message = _drive(client, lambda: client.received["voxels"], "an answer", points=True)[0]
    assert message.header.frame_id == "velo_link" and message.width
    _drive(client, lambda: client.values.get("mode") == "lidar", "a report", points=True)
    assert client.modes == ["camera+lidar", "lidar"] and client.status.level == WARN
    assert client.status.message.startswith("image is silent or shows nothing: frames are made without the camera")
    assert client.counter("dropped.no_calibration") == 0
    assert not client.received["overlay"]


def test_a_dark_image_is_left_out(start, calibration_file):
    _, client = start(calibration_file=calibration_file)
    client.answered()
    _drive(client, lambda: client.modes[-1] == "lidar", "the mode lidar", image=True, points=True, dark=True)
    client.answered()
    wait_for(lambda: client.modes == ["camera+lidar", "lidar", "camera+lidar"], "both again")
    wait_for(lambda: client.counter("mode_switches") == 2, "the switches in diagnostics")
    assert client.counter("alone.points") == client.counter("alone.image") == 0


def test_without_a_cloud_ever_the_frame_is_the_parameters(start, calibration_file):
    _, client = start(calibration_file=calibration_file, frame="base_link")
    client.camera_info.publish(scene.camera_info(client.next_stamp()))
    answers = _drive(client, lambda: client.received["voxels"], "an answer", image=True)
    assert answers[0].header.frame_id == "base_link"


def test_without_a_cloud_ever_and_without_a_frame_the_node_says_what_to_set(start, calibration_file):
    _, client = start(calibration_file=calibration_file)
    _drive(client, lambda: client.counter("dropped.no_calibration"), "the drop in diagnostics", image=True)
    assert "no cloud came yet, and the parameter frame is empty" in client.values["last_error"]


def test_fallbacks_that_do_not_fit_are_refused(tmp_path, fake_bundle, camera_bundle):
    for bundle, fallback, text in (
        (fake_bundle, fake_bundle, "fallback: bundle fake needs clouds; expected one for the camera only"),
        (camera_bundle, camera_bundle, "fallback: bundle camera needs no cloud itself; expected none"),
        (fake_bundle, "nothing", "nothing"),
    ):
        node = NodeProcess(tmp_path, bundle=bundle, fallback=fallback, backend="fake", frame="lidar")
        assert node.wait_until_exit() == 1
        (line,) = node.log().splitlines()
        assert text in line
