"""sensor_msgs/CameraInfo -> intrinsics."""

from typing import NamedTuple

import numpy as np

from ..calibration import Calibration, CalibrationError
from . import CameraInfoError


class Intrinsics(NamedTuple):
    """K : (9,) row-major, of rectified images where CameraInfo's P was filled; image_size : (width, height)
    distorted : the lens has a distortion that K does not describe
    offset : (3,) fourth column of P: of a stereo camera, where its partner is
    """

    K: tuple[float, ...]
    image_size: tuple[int, int]
    distorted: bool
    offset: tuple[float, ...] = (0.0, 0.0, 0.0)

    def calibration(self, T_cam_lidar: np.ndarray) -> Calibration:
        """Together with the extrinsics."""
        return Calibration.from_camera_info(*self.image_size, self.K, np.zeros(12), T_cam_lidar)


def decode_camera_info(message) -> Intrinsics:
    """Of the images that come with the message: width, height, K and P are those of the whole sensor, from which the
    region of interest is cut first, and then binned (comments of sensor_msgs/CameraInfo).

    Raises CameraInfoError for an uncalibrated camera (focal length zero), an empty image size, a region beyond the
    sensor, and numbers that no camera has.
    """
    P, K = (np.array(values, np.float64) for values in (message.p, message.k))
    P, K = P.reshape(3, 4), K.reshape(3, 3)
    x, y, width, height = _region(message)
    binning = np.array([max(message.binning_x, 1), max(message.binning_y, 1)])
    for matrix in (P, K):
        matrix[:2, 2] -= (x, y) if matrix[0, 0] else (0, 0)  # what is not filled stays so
        matrix[:2] /= binning[:, None]
    size = width // int(binning[0]), height // int(binning[1])
    try:
        checked = Calibration.from_camera_info(*size, K, P, np.eye(4))
        offset = P[:, 3] if P[0, 0] else np.zeros(3)
        Calibration(np.hstack([checked.P[:, :3], offset[:, None]]), np.eye(4), size)
    except CalibrationError as error:
        raise CameraInfoError(f"camera_info: {error}") from None
    distorted = bool(np.any(np.asarray(message.d)))
    return Intrinsics(tuple(checked.P[:, :3].reshape(-1)), checked.image_size, distorted, tuple(offset))


def _region(message) -> tuple[int, int, int, int]:
    """x, y, width and height of the region of interest in pixels of the whole sensor; all zero stands for all of it."""
    roi = message.roi
    if not (roi.x_offset or roi.y_offset or roi.width or roi.height):
        return 0, 0, message.width, message.height
    if (
        not (roi.width and roi.height)
        or roi.x_offset + roi.width > message.width
        or roi.y_offset + roi.height > message.height
    ):
        region = f"{roi.width}x{roi.height} at ({roi.x_offset}, {roi.y_offset})"
        raise CameraInfoError(f"camera_info: roi is {region}; expected a part of {message.width}x{message.height}")
    return roi.x_offset, roi.y_offset, roi.width, roi.height
