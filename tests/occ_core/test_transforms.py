"""Transforms over time: interpolation, limits, and what a live tree forgets."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from occ_core.transforms import HISTORY, MAX_FRAMES, MAX_SAMPLES, TransformTree, are_poses, interpolate, matrix_of

S = 1_000_000_000


def pose(x: float = 0.0, yaw: float = 0.0) -> np.ndarray:
    return matrix_of((x, 0, 0), (0, 0, math.sin(yaw / 2), math.cos(yaw / 2)))


def driving(tree: TransformTree, seconds=10, rate=10, speed=2.0, turn=0.5) -> TransformTree:
    for n in range(seconds * rate + 1):
        tree.add("odom", "base", pose(speed * n / rate, turn * n / rate), n * S // rate)
    tree.add("base", "lidar", pose(0.5))
    return tree


@pytest.fixture
def tree():
    """A robot of constant velocity, 0 to 10 s; live."""
    return driving(TransformTree(HISTORY))


@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(-1, 2))
def test_interpolated_rotations_have_a_constant_velocity(yaw, turned, share):
    T = interpolate(pose(1, yaw), pose(3, yaw + turned), share)
    np.testing.assert_allclose(T, pose(1 + 2 * share, yaw + share * turned), atol=1e-9)
    assert are_poses(T)


def test_poses_are_interpolated_between_the_neighbours(tree):
    np.testing.assert_allclose(tree.between("odom", "base", round(3.14 * S)), pose(6.28, 1.57), atol=1e-9)
    np.testing.assert_allclose(tree.between("odom", "lidar", round(3.14 * S)), pose(6.28, 1.57) @ pose(0.5), atol=1e-9)


def test_equal_neighbours_give_their_very_pose():
    tree = TransformTree(HISTORY)
    for second in range(3):
        tree.add("base", "camera", pose(0.1, 0.3), second * S)
    np.testing.assert_array_equal(tree.between("base", "camera", S // 3), pose(0.1, 0.3))


def test_past_the_end_the_last_pose_holds_or_its_velocity_goes_on(tree):
    stamp = round(10.2 * S)
    held, gone_on = (tree.lookup("odom", "base", stamp, 0.5, extrapolate) for extrapolate in (False, True))
    np.testing.assert_allclose(held.T, pose(20, 5), atol=1e-9)
    np.testing.assert_allclose(gone_on.T, pose(20.4, 5.1), atol=1e-9)
    assert held.beyond == gone_on.beyond == pytest.approx(0.2)
    assert tree.lookup("odom", "base", 5 * S, 0.5).beyond == 0


@pytest.mark.parametrize(
    ("stamp", "why"),
    [
        (10.7, "the newest transform of 'base' is 0.70 s older than the stamp"),
        (-0.8, "the oldest transform of 'base' is 0.80 s newer than the stamp"),
    ],
)
def test_too_late_and_too_early_are_said(tree, stamp, why):
    assert tree.lookup("odom", "lidar", round(stamp * S), 0.5) == (None, why, pytest.approx(abs(stamp) % 10, abs=0.01))


def test_frames_that_nothing_joins_are_said(tree):
    assert tree.lookup("odom", "camera", 5 * S).why == "tf does not connect them"


def test_links_above_the_common_ancestor_do_not_count(tree):
    tree.add("base", "camera", pose(0.2))
    late = tree.lookup("camera", "lidar", 100 * S, 0.5)
    np.testing.assert_allclose(late.T, pose(0.3))
    assert late.beyond == 0


def test_stamps_out_of_order_are_sorted_in():
    in_order, mixed = TransformTree(HISTORY), TransformTree(HISTORY)
    stamps = [n * S // 10 for n in range(20)]
    for stamp in stamps:
        in_order.add("odom", "base", pose(stamp / S), stamp)
    for n in range(0, 20, 2):
        for stamp in stamps[n : n + 2][::-1]:
            mixed.add("odom", "base", pose(stamp / S), stamp)
    for stamp in range(0, 19 * S // 10, S // 30):
        np.testing.assert_array_equal(in_order.between("odom", "base", stamp), mixed.between("odom", "base", stamp))


def test_a_repeated_stamp_replaces_the_one_before(tree):
    tree.add("odom", "base", pose(7), round(9.8 * S))
    np.testing.assert_array_equal(tree.between("odom", "base", round(9.8 * S)), pose(7))
    assert tree.samples == 101


def test_ten_seconds_are_kept_and_a_file_keeps_all():
    live, file = (driving(TransformTree(history), seconds=30) for history in (HISTORY, None))
    assert (live.samples, file.samples) == (101, 301)
    assert live.lookup("odom", "base", 10 * S, 0.5).T is None
    np.testing.assert_allclose(file.between("odom", "base", round(10.05 * S)), pose(20.1, 5.025), atol=1e-9)


def test_a_fast_sender_is_thinned_out_but_the_newest_is_kept():
    tree = TransformTree(HISTORY)
    for ms in range(0, 12_000):
        tree.add("odom", "base", pose(ms / 1000), ms * 1_000_000)
    assert tree.samples < 5000
    for ms in (2500, 7777, 11_998, 11_999):
        np.testing.assert_allclose(tree.between("odom", "base", ms * 1_000_000)[0, 3], ms / 1000, atol=1e-9)


def test_a_clock_that_jumps_back_forgets_what_the_frame_did(tree):
    tree.add("odom", "base", pose(1), 2 * S)
    assert tree.samples == 1
    np.testing.assert_array_equal(tree.lookup("odom", "base", 2 * S, 0.5).T, pose(1))
    assert tree.lookup("odom", "base", 9 * S, 0.5).T is None


def test_a_stamp_from_the_future_does_not_stay(tree):
    tree.add("odom", "base", pose(), 10**18)
    for n in range(3):
        tree.add("odom", "base", pose(n), (20 + n) * S // 2)
    np.testing.assert_array_equal(tree.lookup("odom", "base", 11 * S, 0.5).T, pose(2))


def test_a_frame_may_change_its_parent_and_become_fixed(tree):
    tree.add("map", "base", pose(3), 11 * S)
    assert tree.between("odom", "lidar", 5 * S) is None
    np.testing.assert_allclose(tree.between("map", "lidar", 11 * S), pose(3.5))
    tree.add("map", "base", pose(4))
    assert tree.samples == 0 and tree.still("map", "base")
    np.testing.assert_allclose(tree.between("map", "lidar", 99 * S), pose(4.5))
    tree.add("odom", "base", pose(5), 12 * S)  # two parents: the fixed one counts
    np.testing.assert_allclose(tree.between("map", "lidar", 12 * S), pose(4.5))


def test_still_is_what_has_not_moved_as_far_back_as_is_known():
    tree = TransformTree(HISTORY)
    assert not tree.still("base", "camera")
    for second in range(30):
        tree.add("base", "camera", pose(min(second, 5)), second * S)
        assert tree.still("base", "camera") == (second == 0 or second >= 15)


def test_invented_frames_do_not_grow_memory():
    tree = TransformTree(HISTORY)
    taken = [tree.add("odom", f"frame{n}", pose(), S) for n in range(2 * MAX_FRAMES)]
    assert sum(taken) == MAX_FRAMES and len(tree.frames) == MAX_FRAMES + 1
    assert tree.add("odom", "frame0", pose(), 2 * S)
    assert not TransformTree(HISTORY).add("odom", "x" * 300, pose())


def test_samples_of_all_frames_together_are_limited():
    tree, T = TransformTree(HISTORY), pose()
    for n in range(60):
        for stamp in range(0, 10 * S, 5_000_000):
            tree.add("odom", f"frame{n}", T, stamp)
    assert MAX_SAMPLES / 2 < tree.samples <= MAX_SAMPLES
    assert all(tree.lookup("odom", f"frame{n}", 10 * S, 0.5).T is not None for n in range(60))


def test_loops_end():
    tree = TransformTree(HISTORY)
    tree.add("a", "b", pose(), S)
    tree.add("b", "a", pose(), S)
    tree.add("c", "c", pose(), S)
    assert tree.lookup("a", "x").T is None and tree.lookup("c", "x").T is None
    assert tree.between("a", "b") is not None
