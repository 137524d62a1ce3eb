"""Clouds in the robot's frame at one stamp: merged, deskewed, and counted where they cannot be."""

import math

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install occ_node[ros])")

from sensor_msgs.msg import PointCloud2, PointField

from occ_core.decode import CloudError
from occ_core.rig import KITTI_RIG
from occ_core.transforms import matrix_of
from occ_node.calibration_source import CalibrationSource, NoCalibration
from occ_node.clouds import CloudMessage, Clouds
from occ_node.counters import MOTION_EXTRAPOLATED, MOTION_MISSING, Counters, clouds_missing
from occ_node.log import Log
from occ_node.parameters import Settings
from occ_node.sensing import Sensing
from occ_node.sweeps import Sweeps

from . import scene
from .test_calibration_source import stamped

MS = 1_000_000
START = 1_000_000 * MS


def pose(ms: float) -> np.ndarray:
    """T_odom_base: 10 m/s ahead, turning by 1 rad/s."""
    yaw = ms / 1000
    T = matrix_of((0, 0, 0), (0, 0, math.sin(yaw / 2), math.cos(yaw / 2)))
    T[:2, 3] = 10 * math.sin(yaw), 10 * (1 - math.cos(yaw))
    return T


class Robot:
    """With two LiDARs, 1 m to the left and to the right, and odometry at 100 Hz from -500 ms on."""

    def __init__(self, until: int = 500, **settings):
        settings = Settings(frame="base", clouds=("left", "right"), **settings)
        self.counters = Counters(("left", "right"), others=(
            clouds_missing("left"), clouds_missing("right"), MOTION_MISSING, MOTION_EXTRAPOLATED
        ))  # fmt: skip
        self.calibration, self.clouds, self.lines = CalibrationSource(None, True), Clouds(settings.clouds, 0.1), []
        for y, name in ((1, "left"), (-1, "right")):
            self.calibration.add_transform(stamped("base", name, matrix_of((0, y, 0), (0, 0, 0, 1))), static=True)
        for ms in range(-500, until + 1, 10):
            self.calibration.add_transform(stamped("odom", "base", pose(ms), START + ms * MS))
        log = Log(self)
        sensing = Sensing(KITTI_RIG, settings, log)
        self._sweeps = Sweeps(self.clouds, self.calibration, sensing, settings, self.counters, log)
        self.warning = self.error = self.lines.append

    def merge(self, leading: CloudMessage, *others: CloudMessage):
        for cloud in (leading, *others):
            self.clouds.add(cloud, 0.1)
        return self._sweeps.merge(leading)

    def counted(self) -> dict[str, int]:
        return {name: number for name, number in self.counters.counts().others.items() if number}


def cloud(topic: str, ms: int, timed: bool = True, frame: str | None = None) -> CloudMessage:
    """The plane x = 30 m of odom, from a sweep of 100 ms that begins at the stamp; each ray from its own place."""
    times = np.linspace(0, 100, 500) if timed else np.zeros(500)
    rows = np.zeros(500, [("xyz", "<f4", 3), ("t", "<u4")])
    for row, time, bearing in zip(rows, times, np.linspace(-0.5, 0.5, 500), strict=True):
        T = pose(ms + time) @ matrix_of((0, 1 if topic == "left" else -1, 0), (0, 0, 0, 1))
        ray = np.array([math.cos(bearing), math.sin(bearing), 0.1])
        row["xyz"] = ray * (30 - T[0, 3]) / (T[:3, :3] @ ray)[0]
    rows["t"] = times * MS
    fields = [PointField(name=name, offset=4 * n, datatype=7, count=1) for n, name in enumerate("xyz")]
    if timed:
        fields.append(PointField(name="t", offset=12, datatype=6, count=1))
    stamp = START + ms * MS
    message = PointCloud2(
        header=scene.header(stamp, frame or topic), height=1, width=500, fields=fields, point_step=16, row_step=8000,
        data=scene.data(rows.view(np.uint8)),
    )  # fmt: skip
    return CloudMessage(topic, message, stamp)


def off_the_plane(points: np.ndarray, ms: float = 0) -> float:
    """Largest distance of points in `base` at that time from the plane, metres."""
    T = pose(ms)
    return float(np.abs(points[:, :3] @ T[0, :3] + T[0, 3] - 30).max())


def test_clouds_are_deskewed_and_moved_to_the_leading_stamp():
    robot = Robot(odom_frame="odom")
    sweep = robot.merge(cloud("left", 0), cloud("right", -70))
    assert sweep.points.shape == (1000, 4) and sweep.frame == "base" and sweep.lidar_frame == "left"
    np.testing.assert_allclose(sweep.sensors[0], (0, 1, 0), atol=1e-9)
    assert off_the_plane(sweep.points) < 0.01
    assert robot.counted() == {}


def test_without_odom_frame_they_stay_as_they_were_measured():
    robot = Robot()
    sweep = robot.merge(cloud("left", 0), cloud("right", -70))
    assert off_the_plane(sweep.points) > 0.7
    np.testing.assert_allclose(sweep.sensors, [(0, 1, 0), (0, -1, 0)])


def test_odometry_that_ends_before_the_sweep_is_extrapolated_and_counted():
    robot = Robot(until=20, odom_frame="odom")
    assert off_the_plane(robot.merge(cloud("left", 0)).points) < 0.1
    assert robot.counted() == {clouds_missing("right"): 1, MOTION_EXTRAPOLATED: 1}


def test_without_odometry_clouds_are_used_as_measured_and_counted():
    robot = Robot(until=-500, odom_frame="odom")
    assert off_the_plane(robot.merge(cloud("left", 200)).points, 200) > 0.7
    assert robot.counted() == {clouds_missing("right"): 1, MOTION_MISSING: 1}
    assert robot.lines == ["odom_frame: tf does not have it at the clouds' stamps; they are used as measured"]


def test_clouds_without_times_are_left_alone_and_said_once():
    robot = Robot(odom_frame="odom")
    for _ in range(2):
        sweep = robot.merge(cloud("left", 0, timed=False))
    assert off_the_plane(sweep.points) < 0.01  # measured at once
    assert robot.lines == ["left: its clouds have no per-point time; they are not deskewed"]


def test_a_further_cloud_that_cannot_be_used_is_counted_and_the_rest_goes_on():
    robot = Robot()
    broken = cloud("right", 0)
    broken.message.data = broken.message.data[:100]
    assert len(robot.merge(cloud("left", 0), broken).points) == 500
    assert len(robot.merge(cloud("left", 100), cloud("right", 100, frame="nowhere")).points) == 500
    assert robot.counted() == {clouds_missing("right"): 2}
    dropped = robot.counters.counts().dropped
    assert (dropped["malformed.points"], dropped["no_calibration"]) == (1, 1)


def test_a_leading_cloud_that_cannot_be_used_is_an_error():
    broken = cloud("left", 0)
    broken.message.data = broken.message.data[:100]
    with pytest.raises(CloudError):
        Robot().merge(broken)
    with pytest.raises(NoCalibration):
        Robot().merge(cloud("left", 0, frame="nowhere"))
