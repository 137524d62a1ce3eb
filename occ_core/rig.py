"""Rigs: where a robot's frame is above the ground, and so in the frame that the networks were trained in."""

from dataclasses import dataclass

import numpy as np

from .errors import InputError
from .transforms import are_poses

GRID_HEIGHT = 1.73
"""Metres of the grid frame's origin above the ground: KITTI's LiDAR, with which the networks were trained."""


@dataclass(frozen=True, eq=False)
class Rig:
    """T_ground_lidar : (4, 4) LiDAR frame, or another frame of the robot that the points are in -> ground frame (x
        ahead, y left, z up, metres; its origin on the ground)
    intensity_scale : raw intensity that counts as 1, in messages of the sensor; None to find out from the clouds
    """

    T_ground_lidar: np.ndarray
    intensity_scale: float | None = None

    def __post_init__(self):
        T = np.asarray(self.T_ground_lidar, np.float64)
        if T.shape != (4, 4) or not are_poses(T):
            raise InputError("T_ground_lidar: expected a rotation (3x3, orthonormal) and a finite translation, metres")
        object.__setattr__(self, "T_ground_lidar", T)

    @classmethod
    def at_height(cls, height: float) -> "Rig":
        """A level frame whose x axis points ahead; height : metres of its origin above the ground."""
        return cls(translation(0, 0, height))

    @property
    def T_grid_lidar(self) -> np.ndarray:
        """(4, 4) LiDAR frame -> grid frame, GRID_HEIGHT above the ground frame."""
        return translation(0, 0, -GRID_HEIGHT) @ self.T_ground_lidar


def translation(x: float, y: float, z: float) -> np.ndarray:
    """(4, 4), metres."""
    T = np.eye(4)
    T[:3, 3] = x, y, z
    return T


KITTI_RIG = Rig.at_height(GRID_HEIGHT)
