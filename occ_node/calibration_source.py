"""Where the node's calibration comes from: CameraInfo for the intrinsics, a file or tf for the extrinsics."""

from dataclasses import replace

import numpy as np

from occ_core import Calibration
from occ_core.calibration_file import RigCalibration
from occ_core.decode import TransformError
from occ_core.decode.camera_info import Intrinsics
from occ_core.decode.transforms import matrix_from_transform
from occ_core.errors import quoted
from occ_core.transforms import IDENTITY, TransformTree


class NoCalibration(LookupError):
    """Not known yet; the message says what is missing and how to provide it."""


class CalibrationSource:
    """Joins intrinsics and extrinsics; gives the same Calibration object as long as neither changes.

    A calibration file is used rather than tf, CameraInfo rather than the intrinsics of the file.
    """

    def __init__(self, rig: RigCalibration | None, tf_available: bool):
        self._rig = rig
        self._tf_available = tf_available
        self._key: tuple[Intrinsics, bytes] | None = None
        self._calibration: Calibration | None = None
        self._transforms = TransformTree()
        self.intrinsics: Intrinsics | None = None

    def add_transform(self, stamped) -> None:
        """A geometry_msgs/TransformStamped of tf. Raises TransformError with the names of its frames."""
        parent, child = stamped.header.frame_id, stamped.child_frame_id
        try:
            T_parent_child = matrix_from_transform(stamped.transform)
        except TransformError as error:
            raise TransformError(f"{error} ({quoted(parent)} to {quoted(child)})") from None
        self._transforms.add(parent, child, T_parent_child)

    def calibration(
        self, camera_frame: str, lidar_frame: str, image_size: tuple[int, int], frame: str, T_grid_frame: np.ndarray
    ) -> Calibration:
        """For one pair of frames, from `frame`, in which the points are, to the camera and to the grid.

        lidar_frame : from which the extrinsics of a file lead; image_size (width, height) is used where neither
        CameraInfo nor the file has one. Raises NoCalibration.
        """
        T_cam_frame = self._extrinsics(camera_frame, lidar_frame) @ self.transform(lidar_frame, frame)
        intrinsics = self.intrinsics or self._file_intrinsics(image_size)
        key = (intrinsics, T_cam_frame.tobytes() + T_grid_frame.tobytes())
        if self._calibration is None or key != self._key:
            self._calibration = replace(intrinsics.calibration(T_cam_frame), T_grid_lidar=T_grid_frame)
            self._key = key
        return self._calibration

    def transform(self, target: str, source: str) -> np.ndarray:
        """T_target_source, (4, 4), from tf. Raises NoCalibration where tf does not connect the two."""
        if target == source:
            return IDENTITY
        if not self._tf_available:
            raise NoCalibration(f"no transform from {quoted(source)} to {quoted(target)}: tf2_msgs is not installed")
        T_target_source = self._transforms.between(target, source)
        if T_target_source is None:
            raise NoCalibration(f"tf does not connect {quoted(source)} and {quoted(target)}; publish the transform")
        return T_target_source

    @property
    def has_intrinsics(self) -> bool:
        """Whether they are known, from CameraInfo or the file."""
        return self.intrinsics is not None or (self._rig is not None and self._rig.K is not None)

    def missing_extrinsics(self, camera_frame: str | None, lidar_frame: str | None) -> str:
        """Why there are none, or nothing. Frames are None before the first message."""
        if self._rig is None and self._tf_available and (camera_frame is None or lidar_frame is None):
            return ""
        try:
            self._extrinsics(camera_frame or "", lidar_frame or "")
        except NoCalibration as error:
            return str(error)
        return ""

    def describe(self) -> str:
        """One line for diagnostics."""
        extrinsics = "calibration_file" if self._rig else "tf" if self._tf_available else "none"
        in_file = self._rig is not None and self._rig.K is not None
        intrinsics = "camera_info" if self.intrinsics else "calibration_file" if in_file else "none"
        return f"extrinsics: {extrinsics}, intrinsics: {intrinsics}"

    def _extrinsics(self, camera_frame: str, lidar_frame: str) -> np.ndarray:
        if self._rig is not None:
            return self._rig.T_cam_lidar
        if not self._tf_available:
            raise NoCalibration("no extrinsics: install tf2_msgs or set calibration_file")
        T_cam_lidar = self._transforms.between(camera_frame, lidar_frame)
        if T_cam_lidar is None:
            frames = f"{quoted(camera_frame)} and {quoted(lidar_frame)}"
            raise NoCalibration(
                f"no extrinsics: tf does not connect {frames}; publish the transform or set calibration_file"
            )
        return T_cam_lidar

    def _file_intrinsics(self, image_size: tuple[int, int]) -> Intrinsics:
        if self._rig is None or self._rig.K is None:
            raise NoCalibration("no intrinsics: no usable message on camera_info yet")
        return Intrinsics(tuple(self._rig.K.reshape(-1)), self._rig.image_size or image_size, False)
