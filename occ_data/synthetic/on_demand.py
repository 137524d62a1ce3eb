"""A synthetic drive as a data set: nothing is written, each frame is made when asked for."""

from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from occ_core.calibration import Calibration
from occ_core.grid import KITTI_GRID, Grid
from occ_core.rig import Rig, RigError
from occ_core.taxonomy import points_from_raw, voxels_from_raw

from ..drive import DataError, is_number
from .drive import Drive, Frame
from .sensor_set import KITTI


class SyntheticDrive:
    """The drive of a seed, `frames` moments 0.8 m apart: the same numbers that `generate` writes, all labelled.

    rig, varied : as for `Drive`

    The frame asked for last stays in memory. Neighbouring frames share most of the work for their voxel ground truth.
    """

    def __init__(self, seed: int, frames: int = 100, rig: str = KITTI, varied: bool = False):
        if seed < 0 or frames < 1:
            raise DataError(f"synthetic drive: seed {seed} of {frames} frames; expected seed >= 0 and frames >= 1")
        self.seed, self.length, self.rig_name, self.varied = seed, frames, rig, varied
        path, name = f"synthetic:{seed}:{frames}", f"synthetic-{seed}"
        if rig != KITTI or varied:
            path, name = f"{path}:{rig}", f"{name}-{Path(rig).stem}"
        if varied:
            path, name = f"{path}:varied", f"{name}-varied"
        self.path, self.name = Path(path), name
        try:
            self._drive = Drive(seed, frames, rig=rig, varied=varied)
        except RigError as error:
            raise DataError(f"{path}: {error}") from None
        self._moment = lru_cache(maxsize=1)(self._drive.frame)

    def __reduce__(self):
        return SyntheticDrive, (self.seed, self.length, self.rig_name, self.varied)

    @cached_property
    def frames(self) -> list[str]:
        """All ids."""
        return [f"{n:06d}" for n in range(self.length)]

    @property
    def image_frames(self) -> list[str]:
        """All ids."""
        return self.frames

    @property
    def voxel_frames(self) -> list[str]:
        """All ids."""
        return self.frames

    @property
    def calibration(self) -> Calibration:
        """Of the rig's camera."""
        return self._drive.sensors.calibration

    @property
    def rig(self) -> Rig:
        """Where the LiDAR is, and what it is."""
        return self._drive.sensors.rig

    @property
    def times(self) -> np.ndarray:
        """(N,) float64 seconds."""
        return self._drive.times

    @cached_property
    def poses(self) -> np.ndarray:
        """(N, 4, 4) T_world_lidar, the world being the first LiDAR frame."""
        poses = np.stack([self._drive.pose_at(n * self._drive.step) for n in range(self.length)])
        return np.linalg.inv(poses[0]) @ poses

    @property
    def has_poses(self) -> bool:
        """True."""
        return True

    @property
    def grid(self) -> Grid:
        """SemanticKITTI's."""
        return KITTI_GRID

    def image(self, frame: str) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""
        return self._frame(frame).image

    def scan(self, frame: str) -> np.ndarray:
        """(N, 4) float32: x, y, z in metres (LiDAR frame), intensity 0..1."""
        return self._frame(frame).points

    def has_scan(self, frame: str) -> bool:
        """True."""
        return True

    def point_labels(self, frame: str) -> np.ndarray:
        """(N,) uint32 raw: class id in the low 16 bits, instance in the high ones."""
        return self._frame(frame).point_labels

    def has_labels(self, frame: str) -> bool:
        """True."""
        return True

    def pseudo_labels(self, frame: str) -> np.ndarray:
        """(H, W) uint8: the exact class of each pixel, 255 in the sky."""
        return points_from_raw(self._frame(frame).pixel_labels)

    def has_pseudo_labels(self, frame: str) -> bool:
        """True."""
        return True

    def voxel_labels(self, frame: str) -> np.ndarray:
        """(X, Y, Z) uint8: classes 0..19, 255 where never observed."""
        truth = self._drive.truth(int(frame), self._frame(frame))
        return voxels_from_raw(truth.labels, truth.invalid)

    def has_voxels(self, frame: str) -> bool:
        """True."""
        return True

    def _frame(self, frame: str) -> Frame:
        if not (is_number(frame) and int(frame) < self.length):
            raise DataError(f"{self.path}: no frame {frame!r}; expected 000000 to {self.length - 1:06d}")
        return self._moment(int(frame))
