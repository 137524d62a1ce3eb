"""What the node says of a rig that does not fit its clouds, over real DDS."""

import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install occ_node[ros])")

from . import scene
from .live import Client, NodeProcess, wait_for

PERIOD = 0.1


def street(height, intensity=80.0):
    """(N, 4) float32: level ground around a LiDAR, and a wall ahead; intensities up to 2 x `intensity`."""
    random = np.random.default_rng(0)
    ground = np.stack([*random.uniform(-18, 18, (2, 12_000)), np.full(12_000, -height)], 1)
    points = np.concatenate([ground[np.hypot(ground[:, 0], ground[:, 1]) > 2], scene.wall()[:, :3]])
    return np.column_stack([points, random.uniform(0, 2 * intensity, len(points))]).astype(np.float32)


class Sensors:
    """A camera and a LiDAR at 10 Hz, by the clock and by the stamps."""

    def __init__(self, client, points):
        self.client, self.points, self.frames = client, points, 0

    def until(self, condition, what):
        """Send frames until the condition is true; seconds of the stamps since the first."""

        def send():
            stamp = self.client.next_stamp()
            self.client.camera_info.publish(scene.camera_info(stamp))
            self.client.send(scene.image(stamp), scene.cloud(stamp, self.points))
            self.frames += 1
            time.sleep(PERIOD)
            return condition()

        first = self.frames
        wait_for(send, what, pause=0)
        return (self.frames - first) * PERIOD


@pytest.fixture
def start(tmp_path, fake_bundle, calibration_file):
    """start(points, parameters) -> (node, sensors)"""
    started = []

    def start(points, **parameters):
        common = {"bundle": fake_bundle, "backend": "fake", "calibration_file": calibration_file}
        node = NodeProcess(tmp_path, **common | parameters).wait_until_ready()
        started.append(node)
        client = Client(node.domain, outputs=["voxels"]).wait_until_connected()
        started.append(client)
        return node, Sensors(client, points)

    yield start
    for part in reversed(started):
        part.stop() if isinstance(part, NodeProcess) else part.close()


def test_a_wrong_height_is_said_within_three_seconds_with_the_numbers_and_cleared(start):
    node, sensors = start(street(0.61))
    client, text = sensors.client, "frame 'velo_link' is 0.61 m above the ground, declared 1.73 m: set height:=0.61"
    sensors.until(lambda: client.received["voxels"], "an answer")
    seconds = sensors.until(lambda: client.status and text in client.status.message, "the warning")
    assert seconds <= 3.5  # 2 s, a second between two diagnostics, and what is under way
    assert client.status.level == client.status.WARN
    assert (client.values["ground.height_m"], client.values["ground"]) == ("0.61", "declared")
    assert float(client.values["ground.tilt_deg"]) < 0.5
    sensors.points = street(1.73)
    sensors.until(lambda: client.status.level == client.status.OK, "the level OK")
    assert node.log().count(text) == 1


def test_the_estimated_ground_is_used_without_a_warning(start):
    node, sensors = start(street(0.61), ground="estimated")
    client = sensors.client
    sensors.until(lambda: client.values.get("ground") == "estimated", "the estimated ground")
    assert client.values["ground.height_m"] == "0.61" and "above the ground, declared" not in node.log()
    # In the grid frame the ground is where KITTI's is, in the robot's frame where it was.
    count = len(client.received["voxels"])
    sensors.until(lambda: len(client.received["voxels"]) > count + 2, "further answers")
    lowest = np.frombuffer(client.received["voxels"][-1].data, np.uint8).reshape(
        -1, client.received["voxels"][-1].point_step
    )
    z = lowest[:, 8:12].copy().view("<f4")
    assert np.median(z) == pytest.approx(-0.61, abs=0.15)


def test_one_bright_point_does_not_change_the_scale_of_the_intensities(start):
    points = street(1.73)
    points[5, 3] = 260.0
    node, sensors = start(points)
    sensors.until(lambda: sensors.client.values.get("intensity_scale") == "255", "the decided scale")
    assert sensors.client.status.level == sensors.client.status.OK, sensors.client.status.message
    assert node.log().count("intensities are divided by 255") == 1
    sensors.points = street(1.73, intensity=20_000)
    text = "intensity: the clouds look like 0..65535, but are divided by 255"
    sensors.until(lambda: text in sensors.client.status.message, "the contradiction")
    assert sensors.client.values["intensity_scale"] == "255"


def test_a_camera_that_looks_elsewhere_is_said(start, tmp_path):
    file = tmp_path / "back.txt"
    file.write_text("P2: 60 0 48 0 0 60 16 0 0 0 1 0\nTr: 0 1 0 0 0 0 -1 -0.1 -1 0 0 -0.3\n")
    node, sensors = start(street(1.73), calibration_file=file)
    text = "camera: only 0.0 % of the grid is in the image; check the extrinsics"
    sensors.until(lambda: sensors.client.status and text in sensors.client.status.message, "the warning")
    assert sensors.client.status.level == sensors.client.status.WARN
    assert node.log().count(text) == 1
