"""sensor_msgs/CameraInfo -> intrinsics."""

from typing import NamedTuple

import numpy as np

from ..calibration import Calibration, CalibrationError
from . import CameraInfoError


class Intrinsics(NamedTuple):
    """K : (9,) row-major, of rectified images where CameraInfo's P was filled; image_size : (width, height)
    distorted : the lens has a distortion that K does not describe
    """

    K: tuple[float, ...]
    image_size: tuple[int, int]
    distorted: bool

    def calibration(self, T_cam_lidar: np.ndarray) -> Calibration:
        """Together with the extrinsics."""
        return Calibration.from_camera_info(*self.image_size, self.K, np.zeros(12), T_cam_lidar)


def decode_camera_info(message) -> Intrinsics:
    """Raises CameraInfoError for an uncalibrated camera (focal length zero) or an empty image size."""
    P, K = (np.asarray(values, np.float64) for values in (message.p, message.k))
    try:
        checked = Calibration.from_camera_info(message.width, message.height, K, P, np.eye(4))
    except CalibrationError as error:
        raise CameraInfoError(f"camera_info: {error}") from None
    distorted = bool(np.any(np.asarray(message.d)))
    return Intrinsics(tuple(checked.P[:, :3].reshape(-1)), checked.image_size, distorted)
