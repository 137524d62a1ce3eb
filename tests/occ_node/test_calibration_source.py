from types import SimpleNamespace

import numpy as np
import pytest

from occ_core.calibration_file import RigCalibration
from occ_core.decode.camera_info import Intrinsics
from occ_node.calibration_source import CalibrationSource, NoCalibration

K = (60.0, 0.0, 48.0, 0.0, 60.0, 16.0, 0.0, 0.0, 1.0)
T = np.array([(0, -1, 0, 0.1), (0, 0, -1, 0.2), (1, 0, 0, 0.3), (0, 0, 0, 1)])
SIZE = (96, 32)


LENS = Intrinsics(K, SIZE, False)


def _source(rig=None, tf_available=True, intrinsics=LENS):
    source = CalibrationSource(rig, tf_available)
    source.intrinsics = intrinsics
    return source


def test_extrinsics_from_tf():
    source = _source()
    source.transforms.add("base", "lidar", np.eye(4))
    source.transforms.add("base", "camera", np.linalg.inv(T))
    np.testing.assert_allclose(source.calibration("camera", "lidar", SIZE).T_cam_lidar, T, atol=1e-12)


def test_a_file_goes_before_tf():
    source = _source(RigCalibration(T, None, None))
    source.transforms.add("camera", "lidar", np.eye(4))
    np.testing.assert_array_equal(source.calibration("camera", "lidar", SIZE).T_cam_lidar, T)


def test_the_same_object_until_something_changes():
    source = _source(RigCalibration(T, None, None))
    first = source.calibration("", "", SIZE)
    assert source.calibration("", "", SIZE) is first
    source.intrinsics = Intrinsics(K, (192, 32), False)
    assert source.calibration("", "", SIZE).image_size == (192, 32)


def test_the_files_lens_serves_until_camera_info_comes():
    source = _source(RigCalibration(T, np.reshape(K, (3, 3)) * 2, None), intrinsics=None)
    assert source.calibration("", "", (640, 480)).image_size == (640, 480)
    source.intrinsics = Intrinsics(K, SIZE, False)
    assert source.calibration("", "", SIZE).P[0, 0] == 60


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (_source(tf_available=False), "no extrinsics: install tf2_msgs or set calibration_file"),
        (_source(), "no extrinsics: tf does not join 'camera' and 'lidar'"),
        (_source(RigCalibration(T, None, None), intrinsics=None), "no intrinsics: no usable message on camera_info"),
    ],
)
def test_what_is_missing_is_said(source, text):
    with pytest.raises(NoCalibration, match=text):
        source.calibration("camera", "lidar", SIZE)


def test_tf_messages_as_the_node_takes_them():
    """TFMessage's own fields; its package has no wheel, so the message is a stand-in of the same shape."""
    pytest.importorskip("rclpy", reason="rclpy is not installed (pip install occ_node[ros])")
    from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
    from std_msgs.msg import Header

    from occ_node.node import OccupancyNode

    transform = Transform(translation=Vector3(x=0.1, y=0.2, z=0.3), rotation=Quaternion(x=0.5, y=-0.5, z=0.5, w=0.5))
    stamped = TransformStamped(header=Header(frame_id="camera"), child_frame_id="lidar", transform=transform)
    node = SimpleNamespace(_calibration=_source())
    OccupancyNode._on_transforms(node, SimpleNamespace(transforms=[stamped]))
    np.testing.assert_allclose(node._calibration.calibration("camera", "lidar", SIZE).T_cam_lidar, T, atol=1e-12)
