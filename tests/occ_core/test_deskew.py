"""Sweeps of a LiDAR that moves and turns."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from occ_core.deskew import deskew, deskew_ref
from occ_core.transforms import HISTORY, TransformTree, matrix_of

S = 1_000_000_000


def pose(time: float, speed=10.0, turn=1.0) -> np.ndarray:
    """T_odom_lidar of a robot on a circle; m/s and rad/s."""
    yaw = turn * time
    ahead = (math.sin(yaw), 1 - math.cos(yaw)) if turn else (time, 0)
    x, y = (speed * part / (turn or 1) for part in ahead)
    return matrix_of((x, y, 0.1 * time), (0, 0, math.sin(yaw / 2), math.cos(yaw / 2)))


def wall(times: np.ndarray, pose_at=pose) -> np.ndarray:
    """(N, 4) float32: the plane x = 15 m of odom, as a LiDAR sees it that turns around once in 0.1 s."""
    points = []
    for n, time in enumerate(times):
        T = pose_at(float(time))
        bearing, up = -0.6 + 12 * (time % 0.1), -0.2 + 0.4 * (n % 16) / 15
        ray = np.array([math.cos(bearing), math.sin(bearing), up])
        away = (15 - T[0, 3]) / (T[:3, :3] @ ray)[0]
        points.append([*(away * ray), 0.5])
    return np.array(points, np.float32)


def unevenness(points: np.ndarray) -> float:
    """Largest distance of a point from the plane through all, metres."""
    centred = points[:, :3] - points[:, :3].mean(0)
    return float(np.abs(centred @ np.linalg.svd(centred, full_matrices=False)[2][2]).max())


@pytest.mark.parametrize("start", [0.0, -0.1, -0.05], ids=["stamp at the begin", "at the end", "in between"])
def test_a_wall_seen_on_the_way_comes_out_flat_and_where_it_is(start):
    times = np.linspace(start, start + 0.1, 2000).astype(np.float32)
    skewed = wall(times)
    flat = deskew(skewed, times, pose)
    assert unevenness(skewed) > 0.2
    assert unevenness(flat) < 0.002
    np.testing.assert_allclose(flat[:, 0], 15, atol=0.002)
    np.testing.assert_array_equal(flat[:, 3], skewed[:, 3])


@settings(max_examples=30, deadline=None)
@given(st.floats(-20, 20), st.floats(-3, 3), st.floats(-0.4, 0.1))
def test_it_agrees_with_the_pose_of_every_points_own_time(speed, turn, start):
    times = np.random.default_rng(0).uniform(start, start + 0.2, 300).astype(np.float32)
    points = np.random.default_rng(1).uniform(-30, 30, (300, 4)).astype(np.float32)

    def pose_at(time):
        return pose(time, speed, turn)

    np.testing.assert_allclose(deskew(points, times, pose_at), deskew_ref(points, times, pose_at), atol=0.003)


def test_standing_still_gives_the_same_points():
    times = np.linspace(0, 0.1, 50).astype(np.float32)
    points = wall(times, lambda time: np.eye(4))
    assert deskew(points, times, lambda time: pose(7)) is points


def test_without_a_pose_there_is_no_result():
    times = np.linspace(0, 0.1, 50).astype(np.float32)
    assert deskew(wall(times), times, lambda time: pose(time) if time < 0.05 else None) is None


def test_odometry_that_ends_before_the_sweep_goes_on_with_its_last_velocity():
    tree = TransformTree(HISTORY)
    for n in range(100):  # 50 Hz, until 30 ms into the sweep
        tree.add("odom", "lidar", pose(n / 50 - 1.95), 10 * S + round((n / 50 - 1.95) * S))
    times = np.linspace(0, 0.1, 2000).astype(np.float32)
    skewed = wall(times)
    flat = deskew(
        skewed, times, lambda time: tree.lookup("odom", "lidar", 10 * S + round(time * S), 0.5, extrapolate=True).T
    )
    assert unevenness(flat) < 0.03 < 0.2 < unevenness(skewed)
