"""The node over real DDS: frames in, every output out, and bad input, which must not end it."""

import signal

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install occ_node[ros])")

from occ_core import KITTI_GRID
from occ_core.occupancy import visible_voxels, voxel_positions
from occ_core.voxelizer import occupancy_grid
from occ_node.outputs.voxels import VOXEL_POINT
from occ_node.topics import OF_MAP

from . import scene
from .live import OUTPUTS, Client, NodeProcess, wait_for

BUILDING = 13


@pytest.fixture(scope="module")
def node(tmp_path_factory, fake_bundle, calibration_file):
    process = NodeProcess(
        tmp_path_factory.mktemp("node"), bundle=fake_bundle, backend="fake", calibration_file=calibration_file
    )
    yield process.wait_until_ready()
    process.stop()


@pytest.fixture(scope="module")
def client(node):
    client = Client(node.domain).wait_until_connected()
    client.answered()
    yield client
    client.close()


def test_voxels_carry_the_clouds_stamp_and_frame_and_the_networks_labels(client):
    stamp, message = client.answered("voxels")
    assert message.header == scene.header(stamp, "velo_link")
    points = np.frombuffer(message.data, VOXEL_POINT)
    expected = np.flatnonzero(occupancy_grid(scene.wall(), KITTI_GRID))
    positions = np.stack([points["x"], points["y"], points["z"]], 1)
    np.testing.assert_array_equal(positions, voxel_positions(expected, KITTI_GRID))
    assert set(points["label"]) == {BUILDING} and set(points["confidence"]) == {255}


def test_markers_hold_the_visible_voxels(client):
    clear, cubes = wait_for(lambda: client.received["markers"], "markers")[-1].markers
    assert clear.action == clear.DELETEALL
    assert (cubes.ns, cubes.id, cubes.type, cubes.action) == ("building", BUILDING, cubes.CUBE_LIST, cubes.ADD)
    assert cubes.header.frame_id == "velo_link" and cubes.scale.x == pytest.approx(0.2)
    positions = np.array([(p.x, p.y, p.z) for p in cubes.points], np.float32)
    visible = visible_voxels(occupancy_grid(scene.wall(), KITTI_GRID))
    np.testing.assert_array_equal(positions, voxel_positions(visible, KITTI_GRID))


def test_every_topic_is_served(client):
    for topic in OUTPUTS.keys() - {topic.name for topic in OF_MAP}:
        wait_for(lambda topic=topic: client.received[topic], f"a message on {topic}")
    grid, dense, overlay = (client.received[name][-1] for name in ("grid", "semantic_grid", "overlay"))
    assert (grid.info.width, grid.info.height, max(grid.data)) == (256, 256, 100)
    assert np.count_nonzero(np.frombuffer(dense.data, np.uint8)) == occupancy_grid(scene.wall(), KITTI_GRID).sum()
    assert (overlay.width, overlay.height, overlay.header.frame_id) == (scene.WIDTH, scene.HEIGHT, "camera")


def test_diagnostics_name_stages_backend_and_bundle(client):
    client.answered()
    wait_for(lambda: "latency.total.p95_ms" in client.values, "diagnostics with latencies")
    stages = {"decode", "preprocess", "inference", "publish", "total"}
    assert {f"latency.{stage}.p50_ms" for stage in stages} <= client.values.keys()
    assert (client.values["bundle"], client.values["mode"]) == ("fake", "camera+lidar")
    assert client.values["backend"].startswith("fake")


def _cloud(**changes):
    def make(stamp):
        message = scene.cloud(stamp)
        for name, value in changes.items():
            setattr(message, name, value)
        return scene.image(stamp), message

    return make


def _image(**changes):
    def make(stamp):
        message = scene.image(stamp)
        for name, value in changes.items():
            setattr(message, name, value)
        return message, scene.cloud(stamp)

    return make


def _without_z(stamp):
    message = scene.cloud(stamp)
    message.fields = message.fields[:2]
    return scene.image(stamp), message


def _only_nan(stamp):
    return scene.image(stamp), scene.cloud(stamp, np.full((10, 4), np.nan, np.float32))


BAD = {
    "cloud without z": (_without_z, "points", "no field 'z'; expected x, y and z, found 'x', 'y'"),
    "cloud of no points": (_cloud(width=0, row_step=0, data=[]), "points", "cloud holds no points (0x1)"),
    "cloud of NaN": (_only_nan, "points", "cloud holds no finite point (10 are NaN or infinite)"),
    "point_step too small": (_cloud(point_step=8), "points", "point_step 8 is too small; field 'z' ends at byte 12"),
    "cloud cut short": (_cloud(data=[0] * 100), "points", "points: data holds 100 bytes"),
    "unknown encoding": (_image(encoding="hsv8"), "image", "encoding 'hsv8' is not supported"),
    "forged line": (_image(encoding="\x1b[2J\n[INFO] ok"), "image", r"encoding '\x1b[2J\n[INFO] ok' is not supported"),
    "empty image": (_image(width=0, height=0, step=0, data=[]), "image", "image: empty (0x0)"),
    "image cut short": (_image(data=[0] * 100), "image", "image: data holds 100 bytes"),
    "step too small": (_image(step=90), "image", "step 90 is too small"),
    "image of another size": (_image(width=48), "image", "image: 48x32, but its camera_info is for 96x32"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named_counted_and_survived(node, client, name):
    make, source, text = BAD[name]
    before = client.counter(f"dropped.malformed.{source}")
    client.send_until(
        lambda: client.send(*make(client.next_stamp())),
        lambda: client.counter(f"dropped.malformed.{source}") > before,
        "the drop in diagnostics",
    )
    assert text in client.values["last_error"]
    assert text in node.log()
    client.answered()


def test_camera_info_of_an_uncalibrated_camera(node, client):
    message = scene.camera_info(client.next_stamp())
    message.k, message.p = [0.0] * 9, [0.0] * 12
    before = client.counter("dropped.malformed.camera_info")
    client.send_until(
        lambda: client.camera_info.publish(message),
        lambda: client.counter("dropped.malformed.camera_info") > before,
        "the drop in diagnostics",
    )
    assert "camera_info: focal length: expected fx > 0 and fy > 0, got 0 and 0" in node.log()
    client.answered()


def test_nan_points_are_left_out_and_the_rest_answered(client):
    points = scene.wall()
    points[::2, 1], points[1::4, 0] = np.nan, np.inf
    before, dropped = client.counter("points_dropped"), int((~np.isfinite(points[:, :3]).all(1)).sum())

    def send():
        stamp = client.next_stamp()
        client.send(scene.image(stamp), scene.cloud(stamp, points))

    client.send_until(send, lambda: client.counter("points_dropped") > before, "the points in diagnostics")
    assert (client.counter("points_dropped") - before) % dropped == 0
    client.answered()


def test_big_endian_cloud_is_understood(client):
    sent = []

    def send():
        stamp = client.next_stamp()
        message = scene.cloud(stamp, scene.wall().byteswap())
        message.is_bigendian = True
        sent.append(message.header.stamp)
        client.send(scene.image(stamp), message)

    def answer():
        return next((message for message in client.received["voxels"] if message.header.stamp in sent), None)

    answer = client.send_until(send, answer, "an answer")
    assert answer.width == occupancy_grid(scene.wall(), KITTI_GRID).sum()


def test_messages_a_second_apart_do_not_pair(client):
    def send():
        image_stamp = client.next_stamp()
        client.rewind(-1)
        client.send(scene.image(image_stamp), scene.cloud(client.next_stamp()))

    before = client.counter("dropped.no_partner.image")
    client.send_until(send, lambda: client.counter("dropped.no_partner.image") > before, "the drop in diagnostics")
    client.answered()


def test_stamps_that_jump_back_are_survived_and_counted_once(client):
    before = client.counter("dropped.clock_jumped_back")
    client.rewind(60)
    client.answered()
    wait_for(lambda: client.counter("dropped.clock_jumped_back") == before + 1, "the jump in diagnostics")


def test_gaps_in_the_stamps_are_counted_as_lost(client):
    def send():
        for missing in (0, 0, 0, 3):
            client.rewind(-0.1 * missing)
            stamp = client.next_stamp()
            client.send(scene.image(stamp), scene.cloud(stamp))

    def lost():
        return [client.counter(f"lost.{name}") for name in ("image", "points")]

    before = lost()
    client.send_until(send, lambda: min(np.subtract(lost(), before)) >= 3, "the loss in diagnostics")
    client.answered()


def test_zero_stamps_are_paired_by_arrival(node, client):
    def answer():
        client.send(scene.image(0), scene.cloud(0))  # again, should a busy machine deliver the two too far apart
        return [message for message in client.received["voxels"] if message.header.stamp.sec == 0]

    assert wait_for(answer, "an answer", pause=0.1)[0].header == scene.header(0, "velo_link")
    assert node.log().count("points: stamp is zero; the time of arrival is used instead") == 1
    client.answered()


def test_two_sigints_end_it_with_code_0(node, client):
    assert node.signal(signal.SIGINT, times=2) == 0
    assert "Traceback" not in node.log()
