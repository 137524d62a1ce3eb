from types import SimpleNamespace

import numpy as np
import pytest

from occ_core.calibration_file import FileCalibration
from occ_core.decode import TransformError
from occ_core.decode.camera_info import Intrinsics
from occ_node.calibration_source import CalibrationSource, NoCalibration

K = (60.0, 0.0, 48.0, 0.0, 60.0, 16.0, 0.0, 0.0, 1.0)
T = np.array([(0, -1, 0, 0.1), (0, 0, -1, 0.2), (1, 0, 0, 0.3), (0, 0, 0, 1)])
SIZE = (96, 32)
INTRINSICS = Intrinsics(K, SIZE, False)


def stamped(parent: str, child: str, T_parent_child: np.ndarray, ns: int = 0) -> SimpleNamespace:
    """With the fields of a TransformStamped."""
    x, y, z, w = quaternion(T_parent_child[:3, :3])
    transform = SimpleNamespace(
        translation=SimpleNamespace(**dict(zip("xyz", T_parent_child[:3, 3], strict=True))),
        rotation=SimpleNamespace(x=x, y=y, z=z, w=w),
    )
    stamp = SimpleNamespace(sec=ns // 10**9, nanosec=ns % 10**9)
    header = SimpleNamespace(frame_id=parent, stamp=stamp)
    return SimpleNamespace(header=header, child_frame_id=child, transform=transform)


def quaternion(R: np.ndarray) -> tuple[float, float, float, float]:
    """x, y, z, w of a rotation by less than 180 degrees."""
    w = np.sqrt(1 + np.trace(R)) / 2
    return (R[2, 1] - R[1, 2]) / (4 * w), (R[0, 2] - R[2, 0]) / (4 * w), (R[1, 0] - R[0, 1]) / (4 * w), w


def _source(rig=None, tf_available=True, intrinsics=INTRINSICS):
    source = CalibrationSource(rig, tf_available)
    source.intrinsics = intrinsics
    return source


def test_extrinsics_from_tf():
    source = _source()
    source.add_transform(stamped("base", "lidar", np.eye(4)))
    source.add_transform(stamped("base", "camera", np.linalg.inv(T)))
    np.testing.assert_allclose(
        source.calibration("camera", "lidar", SIZE, "lidar", np.eye(4)).T_cam_lidar, T, atol=1e-12
    )


def test_a_file_is_used_rather_than_tf():
    source = _source(FileCalibration(T, None, None))
    source.add_transform(stamped("camera", "lidar", np.eye(4)))
    np.testing.assert_array_equal(source.calibration("camera", "lidar", SIZE, "lidar", np.eye(4)).T_cam_lidar, T)


def test_the_same_object_until_something_changes():
    source = _source(FileCalibration(T, None, None))
    first = source.calibration("", "", SIZE, "", np.eye(4))
    assert source.calibration("", "", SIZE, "", np.eye(4)) is first
    source.intrinsics = Intrinsics(K, (192, 32), False)
    assert source.calibration("", "", SIZE, "", np.eye(4)).image_size == (192, 32)


def test_the_intrinsics_of_the_file_are_used_until_camera_info_comes():
    source = _source(FileCalibration(T, np.reshape(K, (3, 3)) * [[2], [2], [1]], None), intrinsics=None)
    assert source.calibration("", "", (640, 480), "", np.eye(4)).image_size == (640, 480)
    source.intrinsics = Intrinsics(K, SIZE, False)
    assert source.calibration("", "", SIZE, "", np.eye(4)).P[0, 0] == 60


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (_source(tf_available=False), "no extrinsics: install tf2_msgs or set calibration_file"),
        (_source(), "no extrinsics: tf does not connect 'camera' and 'lidar'"),
        (_source(FileCalibration(T, None, None), intrinsics=None), "no intrinsics: no usable message on camera_info"),
    ],
)
def test_the_error_names_what_is_missing(source, text):
    with pytest.raises(NoCalibration, match=text):
        source.calibration("camera", "lidar", SIZE, "lidar", np.eye(4))


def test_messages_of_ros_are_understood():
    pytest.importorskip("rclpy", reason="rclpy is not installed (pip install occ_node[ros])")
    from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
    from std_msgs.msg import Header

    transform = Transform(translation=Vector3(x=0.1, y=0.2, z=0.3), rotation=Quaternion(x=0.5, y=-0.5, z=0.5, w=0.5))
    source = _source()
    source.add_transform(
        TransformStamped(header=Header(frame_id="camera"), child_frame_id="lidar", transform=transform)
    )
    np.testing.assert_allclose(
        source.calibration("camera", "lidar", SIZE, "lidar", np.eye(4)).T_cam_lidar, T, atol=1e-12
    )


def test_a_transform_that_is_no_rotation_is_refused_with_its_frames():
    message = stamped("base", "lidar", np.eye(4))
    message.transform.rotation.w = 2.0
    with pytest.raises(TransformError, match=r"tf: expected .* unit quaternion, got norm 2 \('base' to 'lidar'\)"):
        _source().add_transform(message)


def _yaw(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([(c, -s, 0, 0), (s, c, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)])


def _panning(until: float = 10.0) -> CalibrationSource:
    """A camera that turns by 0.5 rad/s on a mast, on /tf at 10 Hz until then."""
    source = _source()
    source.add_transform(stamped("mast", "lidar", np.eye(4)), static=True)
    source.add_transform(stamped("pan", "camera", np.linalg.inv(T)), static=True)
    for ns in range(0, round(until * 1e9) + 1, 100_000_000):
        source.add_transform(stamped("mast", "pan", _yaw(0.5e-9 * ns), ns + 10**12))
    return source


def _extrinsics(source: CalibrationSource, seconds: float) -> np.ndarray:
    return source.calibration("camera", "lidar", SIZE, "lidar", np.eye(4), 10**12 + round(seconds * 1e9)).T_cam_lidar


def test_a_camera_that_turns_is_looked_up_at_the_images_stamp():
    source = _panning()
    for seconds in (3.14, 9.99, 0.5, 7.77):
        np.testing.assert_allclose(_extrinsics(source, seconds), T @ np.linalg.inv(_yaw(0.5 * seconds)), atol=1e-9)


def test_shortly_after_the_newest_transform_that_one_is_used_and_later_none():
    source = _panning()
    np.testing.assert_allclose(_extrinsics(source, 10.4), T @ np.linalg.inv(_yaw(5)), atol=1e-9)
    text = "no extrinsics: no transform .*: the newest transform of 'pan' is 0.60 s older than the stamp; publish it in"
    with pytest.raises(NoCalibration, match=text):
        _extrinsics(source, 10.6)


def test_a_fixed_transform_on_tf_holds_at_any_stamp():
    source = _source()
    source.add_transform(stamped("lidar", "camera", np.linalg.inv(T), 10**12))
    np.testing.assert_allclose(_extrinsics(source, 3600), T, atol=1e-9)
    np.testing.assert_allclose(_extrinsics(source, -3600), T, atol=1e-9)


def test_a_clock_that_jumps_back_starts_anew():
    source = _panning()
    source.add_transform(stamped("mast", "pan", _yaw(0.1), 10**12))
    np.testing.assert_allclose(_extrinsics(source, 0.01), T @ np.linalg.inv(_yaw(0.1)), atol=1e-9)


def test_extrinsics_that_differ_by_the_noise_of_an_encoder_are_the_same_object():
    source, noise = _source(), np.random.default_rng(0).normal(0, 2e-5, 50)
    calibrations = []
    for n, angle in enumerate([*(0.3 + noise), 0.301]):
        source.add_transform(stamped("lidar", "pan", _yaw(angle), 10**12 + n * 100_000_000))
        stamp = 10**12 + n * 100_000_000
        calibrations.append(source.calibration("pan", "lidar", SIZE, "lidar", np.eye(4), stamp))
    assert len({id(calibration) for calibration in calibrations[:-1]}) == 1
    assert calibrations[-1] is not calibrations[0]


def test_a_pose_in_the_world_goes_on_for_a_while_and_is_never_guessed():
    source = _panning()
    np.testing.assert_allclose(source.pose("mast", "pan", 10**12 + 10_400_000_000).T, _yaw(5.2), atol=1e-9)
    assert source.pose("mast", "pan", 10**12 + 10_600_000_000).T is None
    source.add_transform(stamped("odom", "base", np.eye(4), 10**12))
    assert source.pose("odom", "base", 10**12 + 10**9).T is None  # though it stood still as far as is known


def test_too_many_frames_are_refused():
    source = _source()
    with pytest.raises(TransformError, match=r"tf: too many frames, or a name too long; 'frame1000' is left out"):
        for n in range(2000):
            source.add_transform(stamped("base", f"frame{n}", np.eye(4)))
