import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install occ_node[ros])")

from rclpy.serialization import deserialize_message
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from occ_core import CLASS_NAMES, COLORS, KITTI_GRID, Calibration, Occupancy
from occ_core.decode.cloud import decode_cloud
from occ_core.rig import Rig
from occ_node.outputs import Frame
from occ_node.outputs.grid import make_grid
from occ_node.outputs.obstacles import OBSTACLE_POINT, OUTPUT, make_obstacles
from occ_node.parameters import Settings

HEADER = Header(frame_id="base_link")
ROAD, CAR, VEGETATION = (CLASS_NAMES.index(name) for name in ("road", "car", "vegetation"))
SEEN, COMPLETED, CROWN = (50, 128, 3), (60, 130, 4), (50, 128, 20)


@pytest.fixture
def frame() -> Frame:
    """A road with a car that the LiDAR saw, one that was completed, and a crown; base_link is on the ground."""
    labels = np.zeros(KITTI_GRID.shape, np.uint8)
    labels[..., 1] = ROAD
    labels[SEEN], labels[COMPLETED], labels[CROWN] = CAR, CAR, VEGETATION
    confidence, hits = np.full_like(labels, 250), np.zeros_like(labels)
    confidence[COMPLETED], hits[SEEN] = 200, 1
    calibration = Calibration(
        [(60.0, 0, 48, 0), (0, 60, 16, 0), (0, 0, 1, 0)],
        [(0.0, -1, 0, 0), (0, 0, -1, 0), (1, 0, 0, 0), (0, 0, 0, 1)],
        (96, 32),
        Rig.at_height(0).T_grid_lidar,
    )
    return Frame(HEADER, "camera", None, calibration, Occupancy(labels, confidence, KITTI_GRID, hits))


def points_of(frame: Frame, **settings) -> np.ndarray:
    message = deserialize_message(make_obstacles(frame, Settings(**settings)), PointCloud2)
    assert message.header == HEADER and message.is_dense and (message.height, message.point_step) == (1, 20)
    points = np.frombuffer(message.data, OBSTACLE_POINT)
    assert message.width == len(points)
    positions = np.stack([points["x"], points["y"], points["z"]], 1)
    if len(points):  # an empty cloud is refused as an input, but tells nav2 that nothing is there
        np.testing.assert_array_equal(decode_cloud(message).points[:, :3], positions)
    return points


def test_obstacles_are_points_in_the_robots_frame(frame):
    points = points_of(frame)
    assert [points[name].tolist() for name in ("label", "confidence", "seen")] == [[CAR, CAR], [250, 200], [1, 0]]
    red, green, blue = COLORS[CAR].tolist()
    assert (points["rgb"] == red << 16 | green << 8 | blue).all()
    expected = [KITTI_GRID.centers()[index] + (0, 0, 1.73) for index in (SEEN, COMPLETED)]
    np.testing.assert_allclose([points[name] for name in "xyz"], np.transpose(expected), atol=1e-5)


def test_completed_obstacles_can_be_left_out(frame):
    assert points_of(frame, obstacles_seen_only=True)["seen"].tolist() == [1]


def test_the_band_and_the_costs_are_parameters(frame):
    assert points_of(frame, robot_height=5.0)["label"].tolist() == [CAR, VEGETATION, CAR]
    assert points_of(frame, clearance_low=0.5)["seen"].tolist() == [0]
    assert len(points_of(frame, class_costs=("car=50",))) == 0


def test_a_frame_without_obstacles_is_an_empty_cloud(frame):
    frame.occupancy.labels[..., 2:] = 0
    assert len(points_of(frame)) == 0


def test_late_frames_are_not_kept_for_nav2(frame):
    assert not OUTPUT.latched


def cell(frame: Frame, column: tuple[int, int], **settings) -> int:
    message = make_grid(frame, Settings(**settings))
    assert (message.info.width, message.info.height) == KITTI_GRID.shape[:2]
    return message.data[column[1] * message.info.width + column[0]]


def test_the_grid_holds_the_classes_costs(frame):
    column = SEEN[:2]
    assert (cell(frame, column), cell(frame, (0, 0))) == (100, 0)
    assert cell(frame, column, class_costs=("car", "car=60")) == 60
    assert cell(frame, column, clearance_low=0.5) == 0
    frame.occupancy.confidence[0, 0, 1] = 150
    assert cell(frame, (0, 0)) == -1
