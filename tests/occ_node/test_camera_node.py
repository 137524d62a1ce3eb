"""The node with a camera-only bundle over real DDS: images in, no clouds."""

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install occ_node[ros])")

from occ_node.outputs.voxels import VOXEL_POINT

from . import scene
from .live import Client, NodeProcess, wait_for


@pytest.fixture(scope="module")
def node(tmp_path_factory, camera_bundle, calibration_file):
    parameters = {"bundle": camera_bundle, "backend": "fake", "calibration_file": calibration_file}
    process = NodeProcess(tmp_path_factory.mktemp("node"), **parameters, frame="lidar")
    yield process.wait_until_ready()
    process.stop()


@pytest.fixture(scope="module")
def client(node):
    client = Client(node.domain, outputs=["voxels", "overlay"], with_cloud=False).wait_until_connected()
    client.answered()
    yield client
    client.close()


def test_an_image_is_answered_by_itself_with_its_stamp_in_the_lidars_frame(client):
    stamp, message = client.answered("voxels")
    assert message.header == scene.header(stamp, "lidar")
    points = np.frombuffer(message.data, VOXEL_POINT)
    assert len(points) and np.all(abs(points["x"] - 12) < 3)  # the wall that this backend makes of bright pixels
    overlay = wait_for(lambda: client.received["overlay"], "an overlay")[-1]
    assert overlay.header.frame_id == "camera"


def test_the_ground_cannot_be_estimated_without_clouds(tmp_path, camera_bundle):
    node = NodeProcess(tmp_path, bundle=camera_bundle, backend="fake", frame="lidar", ground="estimated")
    assert node.wait_until_exit() == 1
    assert "ground: estimated; bundle camera takes no cloud: expected declared" in node.log()


def test_there_is_no_subscription_to_clouds(client):
    assert [client.node.count_subscribers(name) for name in ("image", "camera_info", "points")] == [1, 1, 0]


def test_diagnostics_say_camera_and_do_not_wait_for_clouds(client):
    def ok():
        client.answered()
        return client.status is not None and client.status.message == "ok"

    wait_for(ok, "the status ok")
    assert client.values["mode"] == "camera"
    assert "received.points" not in client.values
    assert client.counter("dropped.no_partner.image") == 0


def test_stamps_that_jump_back_are_survived_and_counted_once(client):
    before = client.counter("dropped.clock_jumped_back")
    client.rewind(60)
    client.answered()
    wait_for(lambda: client.counter("dropped.clock_jumped_back") == before + 1, "the jump in diagnostics")


def test_an_image_of_another_size_than_camera_infos_is_named(node, client):
    def send():
        message = scene.image(client.next_stamp())
        message.width = 48
        client.send(message)

    before = client.counter("dropped.malformed.image")
    client.send_until(send, lambda: client.counter("dropped.malformed.image") > before, "the drop in diagnostics")
    assert "image: 48x32, but its camera_info is for 96x32" in node.log()
    client.answered()


def test_an_image_that_shows_nothing_is_answered_with_one_warning(node, client):
    sent = []

    def send():
        message = scene.image(client.next_stamp())
        message.data = scene.data(np.zeros((scene.HEIGHT, scene.WIDTH, 3), np.uint8))
        sent.append(message.header.stamp)
        client.send(message)

    def two_answers():
        return sum(message.header.stamp in sent for message in client.received["voxels"]) >= 2

    client.send_until(send, two_answers, "two answers")
    assert node.log().count("image: it shows nothing, all of it is of one colour") == 1
