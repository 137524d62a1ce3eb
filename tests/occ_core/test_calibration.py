import numpy as np
import pytest

from occ_core import Calibration, CalibrationError
from occ_core.calibration_file import read_kitti_calibration

from .calibrations import P2_08, TR_08, calibration_08

POINTS = np.array([(10.1, 0.1, -1.7), (10.1, 5.1, 0.1), (40.1, -10.1, 1.1)])


def test_projection_of_sequence_08():
    uv, depth = calibration_08().project(POINTS)
    np.testing.assert_allclose(uv, [(598.357, 295.897), (235.153, 168.681), (780.917, 156.165)], atol=6e-4)
    np.testing.assert_allclose(depth, (9.7828, 9.7621, 39.7824), atol=6e-5)


def test_projection_of_sequence_00(real_data):
    calibration = Calibration(*read_kitti_calibration(real_data / "sequences/00/calib.txt"), (1241, 376))
    uv, depth = calibration.project(POINTS)
    np.testing.assert_allclose(uv, [(604.706, 300.301), (237.375, 171.533), (790.636, 157.654)], atol=6e-4)
    np.testing.assert_allclose(depth, (9.8236, 9.8131, 39.7977), atol=6e-5)


def test_points_behind_the_camera_have_no_pixel():
    uv, depth = calibration_08().project(np.array([(-10.0, 0, 0)]))
    assert np.isnan(uv).all()
    assert depth[0] < 0


def test_view_is_half_open_and_nan_is_outside():
    uv = np.array([(0, 0), (1225.99, 369.99), (1226, 10), (10, 370), (-0.01, 10), (np.nan, 10)])
    np.testing.assert_array_equal(calibration_08().in_view(uv), (True, True, False, False, False, False))


def test_camera_info_of_the_real_camera_frame_equals_kitti_file():
    # The camera's own frame stands where P2's fourth column says; K @ T_cam2_lidar == P2 @ Tr.
    K = P2_08[:, :3]
    T_cam2_cam0 = np.eye(4)
    T_cam2_cam0[:3, 3] = np.linalg.solve(K, P2_08[:, 3])
    calibration = Calibration.from_camera_info(1226, 370, K.ravel(), P2_08.ravel(), T_cam2_cam0 @ TR_08)
    np.testing.assert_allclose(calibration.P_lidar, calibration_08().P_lidar, rtol=1e-9, atol=1e-9)


def test_camera_info_without_P_takes_K():
    K = P2_08[:, :3]
    with_P = Calibration.from_camera_info(1226, 370, np.zeros(9), P2_08.ravel(), TR_08)
    without_P = Calibration.from_camera_info(1226, 370, K.ravel(), np.zeros(12), TR_08)
    np.testing.assert_array_equal(with_P.P_lidar, without_P.P_lidar)


def test_key_tells_calibrations_apart():
    assert calibration_08().key == calibration_08().key
    assert calibration_08().key != calibration_08((1220, 370)).key
    moved = TR_08 + np.array([[0, 0, 0, 0.01], [0] * 4, [0] * 4, [0] * 4])
    assert calibration_08().key != Calibration(P2_08, moved, (1226, 370)).key


ZERO_FX = P2_08 * [[0, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]]
NOT_FINITE = np.where(np.eye(4) == 1, np.nan, TR_08)
LEFT_HANDED = TR_08 * [[-1], [1], [1], [1]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"P": np.eye(3)}, r"P: expected \(3, 4\) finite numbers, got shape \(3, 3\)"),
        ({"T_cam_lidar": TR_08[:3]}, r"T_cam_lidar: expected \(4, 4\) finite numbers, got shape \(3, 4\)"),
        ({"T_cam_lidar": NOT_FINITE}, r"T_cam_lidar: expected \(4, 4\) finite numbers"),
        ({"P": ZERO_FX}, r"focal length: expected fx > 0 and fy > 0, got 0 and 707"),
        ({"P": -P2_08}, r"focal length: expected"),
        ({"T_cam_lidar": 2 * TR_08}, r"T_cam_lidar: expected a rotation"),
        ({"T_cam_lidar": LEFT_HANDED}, r"T_cam_lidar: expected a rotation"),
        ({"image_size": (0, 370)}, r"image_size: expected positive \(width, height\), got \(0, 370\)"),
        ({"image_size": (3, 370, 1226)}, r"image_size: expected positive \(width, height\)"),
    ],
)
def test_a_bad_calibration_names_its_field(change, message):
    with pytest.raises(CalibrationError, match=message):
        Calibration(**{"P": P2_08, "T_cam_lidar": TR_08, "image_size": (1226, 370)} | change)


def test_camera_info_with_zero_focal_length_is_refused():
    with pytest.raises(CalibrationError, match="focal length"):
        Calibration.from_camera_info(1226, 370, np.zeros(9), np.zeros(12), TR_08)
