"""Camera-LiDAR calibration: from LiDAR metres to pixels."""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from .errors import InputError
from .transforms import IDENTITY, are_poses, move_points

CANONICAL_FOCAL = 0.577
"""Focal length of KITTI's cameras as a share of the image's width."""
MAX_PIXEL = 1e6
"""Of a focal length, a principal point and an image's size: far beyond any camera, so that no sum overflows."""
MAX_METRES = 1e4
"""Between a camera and a LiDAR."""


class CalibrationError(InputError):
    """A calibration that cannot be used; the message names the field and what was expected."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """One camera seen from one LiDAR, and where the LiDAR is on the robot.

    Parameters
    ----------
    P : (3, 4) projection of rectified camera coordinates (x right, y down, z forward, metres) to pixels
    T_cam_lidar : (4, 4) LiDAR frame -> camera frame
    image_size : (width, height) in pixels of the images that P is for
    T_grid_lidar : (4, 4) LiDAR frame -> grid frame, in which the networks see the ground where KITTI's LiDAR sees it
        (rig.py); the identity for KITTI's own
    """

    P: np.ndarray
    T_cam_lidar: np.ndarray
    image_size: tuple[int, int]
    T_grid_lidar: np.ndarray = field(default_factory=lambda: IDENTITY)

    def __post_init__(self):
        for name, shape in (("P", (3, 4)), ("T_cam_lidar", (4, 4)), ("T_grid_lidar", (4, 4))):
            value = np.asarray(getattr(self, name), np.float64)
            if value.shape != shape or not np.isfinite(value).all():
                raise CalibrationError(f"{name}: expected {shape} finite numbers, got shape {value.shape}")
            object.__setattr__(self, name, value)
        fx, fy = self.P[0, 0], self.P[1, 1]
        if not (fx > 0 and fy > 0):
            raise CalibrationError(f"focal length: expected fx > 0 and fy > 0, got {fx:g} and {fy:g}")
        if self.P[1, 0] or tuple(self.P[2, :3]) != (0, 0, 1):
            rows = f"{self.P[1, 0]:g} ... and {self.P[2, 0]:g} {self.P[2, 1]:g} {self.P[2, 2]:g}"
            raise CalibrationError(f"K: expected the rows fx s cx, 0 fy cy and 0 0 1, got {rows}")
        if max(fx, fy, *abs(self.P[:2, 1:3].ravel())) > MAX_PIXEL or min(fx, fy) < 1 / MAX_PIXEL:
            numbers = ", ".join(f"{value:g}" for value in (fx, fy, *self.P[:2, 2]))
            raise CalibrationError(f"K: expected pixels up to {MAX_PIXEL:g}, got fx, fy, cx, cy of {numbers}")
        if abs(self.P[:, 3]).max() > MAX_PIXEL * MAX_METRES or abs(self.T_cam_lidar[:3, 3]).max() > MAX_METRES:
            raise CalibrationError(f"P, T_cam_lidar: expected translations of up to {MAX_METRES:g} m")
        rotation = self.T_cam_lidar[:3, :3]
        if np.abs(rotation @ rotation.T - np.eye(3)).max() > 1e-2 or np.linalg.det(rotation) < 0:
            raise CalibrationError("T_cam_lidar: expected a rotation in its left 3x3 (orthonormal, right-handed)")
        if not are_poses(self.T_grid_lidar):
            raise CalibrationError("T_grid_lidar: expected a rotation in its left 3x3 (orthonormal, right-handed)")
        if len(self.image_size) != 2 or min(self.image_size) < 1:
            raise CalibrationError(f"image_size: expected positive (width, height), got {tuple(self.image_size)}")
        if max(self.image_size) > MAX_PIXEL:
            raise CalibrationError(f"image_size: expected at most {MAX_PIXEL:g} pixels each way")

    @cached_property
    def P_lidar(self) -> np.ndarray:
        """(3, 4): homogeneous LiDAR coordinates -> homogeneous pixels."""
        return self.P @ self.T_cam_lidar

    @cached_property
    def P_grid(self) -> np.ndarray:
        """(3, 4): homogeneous coordinates in the grid frame -> homogeneous pixels."""
        return self.P_lidar @ np.linalg.inv(self.T_grid_lidar)

    @cached_property
    def in_grid(self) -> "Calibration":
        """The same for points that are in the grid frame already."""
        return replace(self, T_cam_lidar=self.T_cam_lidar @ np.linalg.inv(self.T_grid_lidar), T_grid_lidar=IDENTITY)

    def to_grid(self, points: np.ndarray) -> np.ndarray:
        """Points (N, >=3) from the LiDAR frame to the grid frame; further columns stay."""
        return move_points(points, self.T_grid_lidar)

    @cached_property
    def key(self) -> bytes:
        """Equal for equal calibrations: the key under which a table made from one is cached."""
        return self.P_grid.tobytes() + np.asarray(self.image_size, np.int64).tobytes()

    @property
    def canonical(self) -> float:
        """Factor from metres to canonical metres: the distance at which KITTI's camera would show the same thing at
        the same size (Metric3D's canonical camera). A network that estimates depth from size then works for any lens.
        """
        return CANONICAL_FOCAL * self.image_size[0] / self.P[0, 0]

    @classmethod
    def without_camera(cls, T_grid_lidar: np.ndarray) -> "Calibration":
        """For a LiDAR by itself, and images of None: KITTI's camera, where KITTI's car has it. The networks were
        trained there, and do better with its black image than with a camera that sees nothing of the grid.

        T_grid_lidar : (4, 4), as in `Calibration`
        """
        P = np.array([(718.0, 0, 607, 0), (0, 718, 185, 0), (0, 0, 1, 0)])
        T_cam_grid = np.array([(0.0, -1, 0, 0), (0, 0, -1, -0.08), (1, 0, 0, -0.27), (0, 0, 0, 1)])
        return cls(P, T_cam_grid @ T_grid_lidar, (1241, 376), T_grid_lidar)

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """LiDAR points (..., >=3) -> pixels (..., 2) and depth (...) in metres; pixels are NaN where depth <= 0."""
        return _project(points, self.P_lidar)

    def project_grid(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `project`, from the grid frame, such as voxel centres."""
        return _project(points, self.P_grid)

    def in_view(self, uv: np.ndarray) -> np.ndarray:
        """Which pixels (..., 2) are in the image: 0 <= u < W and 0 <= v < H; NaN does not."""
        with np.errstate(invalid="ignore"):
            return np.all((uv >= 0) & (uv < self.image_size), axis=-1)

    @classmethod
    def from_camera_info(
        cls, width: int, height: int, K: ArrayLike, P: ArrayLike, T_cam_lidar: np.ndarray
    ) -> "Calibration":
        """From the fields of sensor_msgs/CameraInfo and the extrinsics of its own frame.

        The left 3x3 of P is taken where it is filled (rectified images), else K. P's fourth column is left out: it is
        the offset to a stereo partner, which the extrinsics of the camera's own frame hold already.
        """
        intrinsics = np.asarray(P, np.float64).reshape(3, 4)[:, :3]
        if intrinsics[0, 0] == 0:
            intrinsics = np.asarray(K, np.float64).reshape(3, 3)
        return cls(np.hstack([intrinsics, np.zeros((3, 1))]), T_cam_lidar, (int(width), int(height)))


def _project(points: np.ndarray, P: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    q = np.asarray(points, np.float64)[..., :3] @ P[:, :3].T + P[:, 3]
    depth = q[..., 2]
    in_front = np.where(depth > 1e-5, depth, np.nan)
    return q[..., :2] / in_front[..., None], depth
