"""Where the node's calibration comes from: CameraInfo for the lens, a file or tf for where the camera sits."""

import numpy as np

from occ_core import Calibration
from occ_core.calibration_file import RigCalibration
from occ_core.decode.camera_info import Intrinsics
from occ_core.transforms import TransformTree


class NoCalibration(LookupError):
    """Not known yet; the message says what is missing and how it can be had."""


class CalibrationSource:
    """Joins intrinsics and extrinsics; the same Calibration object as long as neither changes.

    A calibration file goes before tf, CameraInfo before the intrinsics of the file.
    """

    def __init__(self, rig: RigCalibration | None, tf_available: bool):
        self._rig = rig
        self._tf_available = tf_available
        self._key, self._calibration = None, None
        self.intrinsics: Intrinsics | None = None
        self.transforms = TransformTree()

    def calibration(self, camera_frame: str, lidar_frame: str, image_size: tuple[int, int]) -> Calibration:
        """For one pair of frames; image_size (width, height) counts where nothing else tells it.

        Raises NoCalibration.
        """
        T_cam_lidar = self._extrinsics(camera_frame, lidar_frame)
        intrinsics = self.intrinsics or self._file_intrinsics(image_size)
        key = (intrinsics, T_cam_lidar.tobytes())
        if key != self._key:
            self._calibration = intrinsics.calibration(T_cam_lidar)
            self._key = key
        return self._calibration

    def describe(self) -> str:
        """One line for diagnostics."""
        extrinsics = "calibration_file" if self._rig else "tf" if self._tf_available else "none"
        in_file = self._rig is not None and self._rig.K is not None
        lens = "camera_info" if self.intrinsics else "calibration_file" if in_file else "none"
        return f"extrinsics: {extrinsics}, intrinsics: {lens}"

    def _extrinsics(self, camera_frame: str, lidar_frame: str) -> np.ndarray:
        if self._rig is not None:
            return self._rig.T_cam_lidar
        if not self._tf_available:
            raise NoCalibration("no extrinsics: install tf2_msgs or set calibration_file")
        T_cam_lidar = self.transforms.between(camera_frame, lidar_frame)
        if T_cam_lidar is None:
            frames = f"{camera_frame!r} and {lidar_frame!r}"
            raise NoCalibration(f"no extrinsics: tf does not join {frames}; publish it or set calibration_file")
        return T_cam_lidar

    def _file_intrinsics(self, image_size: tuple[int, int]) -> Intrinsics:
        if self._rig is None or self._rig.K is None:
            raise NoCalibration("no intrinsics: no usable message on camera_info yet")
        return Intrinsics(tuple(self._rig.K.reshape(-1)), self._rig.image_size or image_size, False)
