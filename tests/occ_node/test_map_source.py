"""The rolling map of a node: frames and transforms in, what its outputs publish out."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install occ_node[ros])")

import rclpy
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from nav_msgs.msg import OccupancyGrid
from rclpy.context import Context
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from occ_core import Calibration, Grid, Occupancy
from occ_node.calibration_source import CalibrationSource
from occ_node.dds import free_domain
from occ_node.map_source import MapSource
from occ_node.outputs import LATCHED, OUTPUTS, Frame
from occ_node.outputs.voxels import VOXEL_POINT
from occ_node.parameters import ParameterError, Settings
from occ_node.publishers import Publishers

from . import scene
from .live import Client, wait_for

GRID = Grid((40, 40, 16), 0.2, (0.0, -4.0, -2.0))
BUILDING, SECOND = 13, 1_000_000_000
MAKE = {output.name: output.make for output in OUTPUTS}


class Log(list):
    warn = list.append


def frame(stamp: float, wall: bool = True, frame_id: str = "velo_link") -> Frame:
    labels = np.zeros(GRID.shape, np.uint8)
    if wall:
        labels[20, 10:30, 2:12] = BUILDING
    occupancy = Occupancy(labels, np.full_like(labels, 240), GRID, (labels > 0).astype(np.uint8))
    calibration = Calibration(np.eye(3, 4), np.eye(4), (96, 32))
    return Frame(scene.header(round(stamp * SECOND), frame_id), "camera", None, calibration, occupancy)


def odom(x: float, y: float = 0.0) -> TransformStamped:
    """A robot at (x, y) that looks along odom's y axis."""
    turn = Quaternion(z=np.sqrt(0.5), w=np.sqrt(0.5))
    transform = Transform(translation=Vector3(x=x, y=y), rotation=turn)
    return TransformStamped(header=Header(frame_id="odom"), child_frame_id="velo_link", transform=transform)


@pytest.fixture
def calibration():
    return CalibrationSource(None, tf_available=True)


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def source(calibration, log):
    return MapSource(Settings(map_frame="odom", map_size=20.0), calibration, log)


def test_the_map_is_in_the_fixed_frame(source, calibration):
    calibration.add_transform(odom(2.0, 1.0))
    settings, added = source.settings, source.add(frame(100.5))
    message = MAKE["map"](added, settings)
    assert isinstance(message, OccupancyGrid) and message.header == scene.header(100_500_000_000, "odom")
    origin, info = message.info.origin, message.info
    corner = np.array([origin.position.x, origin.position.y, origin.position.z])
    np.testing.assert_allclose(corner / 0.2, np.round(corner / 0.2), atol=1e-6)
    assert (origin.orientation.w, info.width, info.height) == (1.0, 100, 100)
    x, y = ((np.array([2.0, 5.1]) - corner[:2]) / 0.2).astype(int)  # the wall, 4 m ahead
    assert np.array(message.data).reshape(info.height, info.width)[y, x] == 100
    cloud = deserialize_message(MAKE["map_voxels"](added, settings), PointCloud2)
    points = np.frombuffer(cloud.data, VOXEL_POINT)
    assert cloud.header.frame_id == "odom" and set(points["label"]) == {BUILDING} and len(points) == 200
    assert abs(points["y"] - 5.1).max() < 0.2
    clear, cubes = deserialize_message(MAKE["map_markers"](added, settings), MarkerArray).markers
    assert cubes.header.frame_id == "odom" and len(cubes.points) == 200 and clear.action == clear.DELETEALL


def test_without_a_transform_frames_go_on_and_the_reason_is_said(source, calibration):
    added = source.add(frame(100.0))
    assert (
        added.map is None
        and [make(added, source.settings) for name, make in MAKE.items() if "map" in name] == [None] * 3
    )
    (problem,) = source.problems()
    assert problem == "map: no transform from 'velo_link' to 'odom': tf does not connect them"
    calibration.add_transform(odom(0.0))
    assert source.add(frame(100.1)).map is not None and source.problems() == []


def test_without_map_frame_there_is_none(calibration):
    source = MapSource(Settings(), calibration, Log())
    assert source.add(frame(1.0)).map is None and source.problems() == [] and source.describe() == "none"


def test_the_frame_of_the_robot_is_refused(source):
    with pytest.raises(ParameterError, match="map_frame: 'base_link' is `frame` too"):
        Settings(map_frame="base_link", frame="base_link")
    assert source.add(frame(1.0, frame_id="odom")).map is None and "expected one that stays" in source.problems()[0]


def test_a_clock_that_goes_back_starts_the_map_anew_and_says_so(source, calibration, log):
    calibration.add_transform(odom(0.0))
    source.add(frame(100.0))
    assert not source.add(frame(50.0, wall=False)).map.occupancy.labels.any()
    assert log == ["map: starts anew: the clock went back by 50.0 s"]
    assert source.describe() == "20 m in odom, started anew 1 times"


def test_a_new_decay_applies_at_once(source, calibration):
    calibration.add_transform(odom(0.0))
    source.add(frame(100.0))
    calibration.add_transform(odom(0.0, 6.0))  # the wall is behind
    assert source.add(frame(102.0, wall=False)).map.occupancy.labels.any()
    source.settings = Settings(map_frame="odom", map_size=20.0, map_decay=1.0)
    assert not source.add(frame(102.1, wall=False)).map.occupancy.labels.any()


@pytest.fixture
def publishers():
    domain, context = free_domain(), Context()
    rclpy.init(context=context, domain_id=domain)
    node = rclpy.create_node("occ_node", context=context)
    (output,) = [output for output in OUTPUTS if output.name == "map"]
    yield SimpleNamespace(domain=domain, publishers=Publishers(node, [output], Settings()))
    node.destroy_node()
    context.try_shutdown()


def test_a_late_subscriber_gets_the_current_map_or_none(publishers, source, calibration):
    calibration.add_transform(odom(0.0))
    for stamp in (100.0, 100.1):
        publishers.publishers.publish(source.add(frame(stamp)))
    client = Client(publishers.domain, outputs=(), with_cloud=False)
    received = []
    client.node.create_subscription(OccupancyGrid, "/occ_node/map", received.append, LATCHED)
    assert wait_for(lambda: received, "the map")[0].header.stamp.nanosec == 100_000_000
    publishers.publishers.publish(source.add(frame(100.2, frame_id="unknown")))  # no transform: the old map is stale
    late = []
    client.node.create_subscription(OccupancyGrid, "/occ_node/map", late.append, LATCHED)
    publishers.publishers.publish(source.add(frame(100.3)))
    assert wait_for(lambda: late, "the next map")[0].header.stamp.nanosec == 300_000_000
    client.close()
