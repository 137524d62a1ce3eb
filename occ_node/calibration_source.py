"""Where the node's calibration comes from: CameraInfo for the intrinsics, a file or tf for the extrinsics.

What moves is looked up at the stamp of the message that it is for.
"""

import threading
from dataclasses import replace

import numpy as np

from occ_core import Calibration
from occ_core.calibration_file import FileCalibration
from occ_core.decode import TransformError, nanoseconds
from occ_core.decode.camera_info import Intrinsics
from occ_core.decode.transforms import matrix_from_transform
from occ_core.errors import quoted
from occ_core.transforms import HISTORY, IDENTITY, Lookup, TransformTree

LATE = 0.5
"""Seconds before and after what tf knows of a moving frame in which its nearest transform is used."""
_SAME_ROTATION, _SAME_METRES = 2e-4, 1e-3
"""Extrinsics that differ by less are the same, so that the noise of a joint's encoder makes no new lifting table."""


class NoCalibration(LookupError):
    """Not known yet; the message says what is missing and how to provide it."""


class CalibrationSource:
    """Joins intrinsics and extrinsics; gives the same Calibration object as long as neither changes.

    A calibration file is used rather than tf, CameraInfo rather than the intrinsics of the file. Safe between threads.
    """

    def __init__(self, file: FileCalibration | None, tf_available: bool):
        self._file = file
        self._tf_available = tf_available
        self._intrinsics_used: Intrinsics | None = None
        self._calibration: Calibration | None = None
        self._transforms = TransformTree(HISTORY)
        self._lock = threading.Lock()
        """Of the transforms."""
        self.intrinsics: Intrinsics | None = None

    def add_transform(self, stamped, static: bool = False) -> None:
        """A geometry_msgs/TransformStamped of /tf, or of /tf_static. One without a stamp counts as static.

        Raises TransformError with the names of its frames.
        """
        parent, child = stamped.header.frame_id, stamped.child_frame_id
        try:
            T_parent_child = matrix_from_transform(stamped.transform)
        except TransformError as error:
            raise TransformError(f"{error} ({quoted(parent)} to {quoted(child)})") from None
        stamp = None if static else nanoseconds(stamped.header.stamp) or None
        with self._lock:
            added = self._transforms.add(parent, child, T_parent_child, stamp)
        if not added:
            raise TransformError(f"tf: too many frames, or a name too long; {quoted(child)} is left out")

    def calibration(
        self,
        camera_frame: str,
        lidar_frame: str,
        image_size: tuple[int, int],
        frame: str,
        T_grid_frame: np.ndarray,
        stamp: int | None = None,
    ) -> Calibration:
        """For one pair of frames, from `frame`, in which the points are, to the camera and to the grid.

        lidar_frame : from which the extrinsics of a file lead; image_size (width, height) is used where neither
        CameraInfo nor the file has one; stamp : of the image, ns; None takes the newest transforms. Raises
        NoCalibration.
        """
        T_cam_frame = self._extrinsics(camera_frame, lidar_frame, frame, stamp)
        intrinsics = self.intrinsics or self._file_intrinsics(image_size)
        last = self._calibration
        if (
            last is None
            or intrinsics != self._intrinsics_used
            or not np.array_equal(T_grid_frame, last.T_grid_lidar)
            or not _nearly(T_cam_frame, last.T_cam_lidar)
        ):
            last = replace(intrinsics.calibration(T_cam_frame), T_grid_lidar=T_grid_frame)
            self._calibration, self._intrinsics_used = last, intrinsics
        return last

    def transform(self, target: str, source: str, stamp: int | None = None) -> np.ndarray:
        """T_target_source, (4, 4), from tf, between two frames of the robot at a time in ns; None: the newest.

        Raises NoCalibration where tf does not connect the two, and where something between them moves and tf knows
        nothing of it within LATE seconds of the stamp.
        """
        if target == source:
            return IDENTITY
        if not self._tf_available:
            raise NoCalibration(f"no transform from {quoted(source)} to {quoted(target)}: tf2_msgs is not installed")
        with self._lock:
            found = self._transforms.lookup(target, source, stamp, LATE)
            if found.T is None and self._transforms.still(target, source):
                found = self._transforms.lookup(target, source)  # fixed, though it is sent on /tf
        if found.T is None and not found.beyond:
            raise NoCalibration(f"tf does not connect {quoted(target)} and {quoted(source)}; publish the transform")
        if found.T is None:
            frames = f"{quoted(source)} to {quoted(target)}"
            raise NoCalibration(f"no transform from {frames}: {found.why}; publish it in time")
        return found.T

    def pose(self, fixed: str, frame: str, stamp: int | None) -> Lookup:
        """T_fixed_frame, where a frame of the robot is in one that is fixed in the world, such as odom, at a time in
        ns; None: the newest. Up to LATE seconds after what tf knows, the last velocity goes on; farther away there is
        none.
        """
        with self._lock:
            return self._transforms.lookup(fixed, frame, stamp, LATE, extrapolate=True)

    @property
    def has_intrinsics(self) -> bool:
        """Whether they are known, from CameraInfo or the file."""
        return self.intrinsics is not None or (self._file is not None and self._file.K is not None)

    def missing_extrinsics(self, camera_frame: str | None, lidar_frame: str | None) -> str:
        """Why there are none, or nothing. Frames are None before the first message."""
        if self._file is None and self._tf_available and (camera_frame is None or lidar_frame is None):
            return ""
        try:
            self._extrinsics(camera_frame or "", lidar_frame or "", lidar_frame or "", None)
        except NoCalibration as error:
            return str(error)
        return ""

    def describe(self) -> str:
        """One line for diagnostics."""
        extrinsics = "calibration_file" if self._file else "tf" if self._tf_available else "none"
        in_file = self._file is not None and self._file.K is not None
        intrinsics = "camera_info" if self.intrinsics else "calibration_file" if in_file else "none"
        return f"extrinsics: {extrinsics}, intrinsics: {intrinsics}"

    def _extrinsics(self, camera_frame: str, lidar_frame: str, frame: str, stamp: int | None) -> np.ndarray:
        """T_cam_frame, (4, 4)."""
        if self._file is not None:
            return self._file.T_cam_lidar @ self.transform(lidar_frame, frame, stamp)
        if not self._tf_available:
            raise NoCalibration("no extrinsics: install tf2_msgs or set calibration_file")
        try:
            return self.transform(camera_frame, frame, stamp)
        except NoCalibration as error:
            raise NoCalibration(f"no extrinsics: {error} or set calibration_file") from None

    def _file_intrinsics(self, image_size: tuple[int, int]) -> Intrinsics:
        if self._file is None or self._file.K is None:
            raise NoCalibration("no intrinsics: no usable message on camera_info yet")
        return Intrinsics(tuple(self._file.K.reshape(-1)), self._file.image_size or image_size, False)


def _nearly(one: np.ndarray, other: np.ndarray) -> bool:
    difference = np.abs(one - other)
    return bool(difference[:3, :3].max() < _SAME_ROTATION and difference[:3, 3].max() < _SAME_METRES)
