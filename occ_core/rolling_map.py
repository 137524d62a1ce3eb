"""The map around a robot: a window of voxels in a world-fixed frame that moves with it and starts anew after a jump."""

import numpy as np

from .grid import Grid
from .occupancy import Occupancy
from .voxel_map import VoxelMap

_JUMP, _SPEED = 2.0, 50.0
_TURN, _TURNING = np.deg2rad(20.0), np.deg2rad(360.0)
"""A robot does not move farther than 2 m and 50 m/s, nor turn by more than 20 degrees and 360 degrees a second."""
_SLACK = 1
"""Voxels by which the robot may be off the middle of the window: one that stands still does not move it."""


class RollingMap:
    """What the last frames said of the surroundings, in a frame that does not move with the robot, such as odom."""

    def __init__(self, grid: Grid, size: float, decay: float):
        """
        Parameters
        ----------
        grid : of the frames; the map has its voxel size, and in z its extent around the robot
        size : metres, length of the window in x and y
        decay : seconds after which what no frame confirms is forgotten
        """
        voxels = round(size / grid.voxel_size)
        self._grid = grid
        self._map = VoxelMap((voxels, voxels, grid.shape[2]), grid.voxel_size, (0, 0, 0), decay)
        self._last: tuple[np.ndarray, float] | None = None

    @property
    def grid(self) -> Grid:
        """The window in the map frame; its origin is a multiple of the voxel size."""
        return self._map.grid

    @property
    def decay(self) -> float:
        """Seconds; may be set at any time."""
        return self._map.decay

    @decay.setter
    def decay(self, seconds: float) -> None:
        self._map.decay = seconds

    def update(self, occupancy: Occupancy, T_map_grid: np.ndarray, sensors: np.ndarray, seconds: float) -> str:
        """Add one frame; gives why the map was started anew, or nothing.

        Parameters
        ----------
        T_map_grid : (4, 4) grid frame at the frame's time -> map frame
        sensors : (S, 3) where the LiDARs are, metres in the grid frame
        seconds : the frame's time
        """
        reason = self._jump(T_map_grid, seconds)
        if reason:
            self._map.clear()
        self._last = T_map_grid, seconds
        self._map.move(self._window(T_map_grid))
        self._map.add(occupancy, T_map_grid, sensors, seconds)
        return reason

    def occupancy(self) -> Occupancy:
        """See `VoxelMap.occupancy`."""
        return self._map.occupancy()

    def _jump(self, T_map_grid: np.ndarray, seconds: float) -> str:
        if self._last is None:
            return ""
        before, then = self._last
        passed = seconds - then
        if passed < 0:
            return f"the clock went back by {-passed:.1f} s"
        if passed > self.decay:
            return f"no frame for {passed:.1f} s"
        distance = float(np.linalg.norm(T_map_grid[:3, 3] - before[:3, 3]))
        if distance > _JUMP + _SPEED * passed:
            return f"the robot jumped by {distance:.1f} m in {passed:.2f} s"
        cosine = (np.trace(before[:3, :3].T @ T_map_grid[:3, :3]) - 1) / 2
        angle = float(np.arccos(np.clip(cosine, -1, 1)))
        if angle > _TURN + _TURNING * passed:
            return f"the robot turned by {np.rad2deg(angle):.0f} degrees in {passed:.2f} s"
        return ""

    def _window(self, T_map_grid: np.ndarray) -> np.ndarray:
        """The corner of the window that has the robot in its middle, and the ground below it as the grid has it."""
        x, y, z = T_map_grid[:3, 3] / self._grid.voxel_size
        half = self._map.shape[0] // 2
        wanted = np.floor([x - half, y - half, z + self._grid.origin[2] / self._grid.voxel_size + 0.5]).astype(np.int64)
        corner = self._map.corner
        return np.where(np.abs(wanted - corner) > _SLACK, wanted, corner)
