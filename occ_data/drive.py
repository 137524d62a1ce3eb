"""What every data set is: drives, each a camera and a LiDAR frame by frame."""

from pathlib import Path
from typing import Protocol

import numpy as np

from occ_core.calibration import Calibration
from occ_core.errors import InputError
from occ_core.grid import Grid
from occ_core.rig import Rig


class DataError(InputError):
    """A data set that cannot be used; the message names the file, what was found and what was expected."""


def is_number(text: str) -> bool:
    """Whether a text is a number such as the id of a frame: ASCII digits, few enough for an int64."""
    return text.isascii() and text.isdecimal() and len(text) <= 18


class Drive(Protocol):
    """One drive. Everything is read, or made, when asked for, and raises DataError where that fails.

    Frames have ids of six digits, such as "000042". All methods take one; frame id n has row int(n) in `times` and
    `poses`.
    """

    @property
    def path(self) -> Path:
        """Where it comes from: folder or file, or for a synthetic drive what `open_drive` makes it from."""

    @property
    def name(self) -> str:
        """Short name, such as "08": predictions are written under it."""

    @property
    def frames(self) -> list[str]:
        """Sorted ids of the frames that have a scan; DataError where none has."""

    @property
    def image_frames(self) -> list[str]:
        """Sorted ids of the frames that have an image; DataError where none has."""

    @property
    def voxel_frames(self) -> list[str]:
        """Sorted ids of the frames that have voxel ground truth; may be empty."""

    @property
    def calibration(self) -> Calibration:
        """The camera's from the LiDAR, with the rig's `T_grid_lidar`; the same for all frames."""

    @property
    def rig(self) -> Rig:
        """Where the LiDAR is above the ground: always known, KITTI_RIG where nothing says otherwise."""

    @property
    def times(self) -> np.ndarray:
        """(N,) float64 seconds."""

    @property
    def poses(self) -> np.ndarray:
        """(N, 4, 4) float64 T_world_lidar in metres, the world being the first LiDAR frame."""

    @property
    def has_poses(self) -> bool:
        """Whether it is known how the LiDAR moved."""

    @property
    def grid(self) -> Grid:
        """The grid of the voxel ground truth."""

    def image(self, frame: str) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""

    def scan(self, frame: str) -> np.ndarray:
        """(N, 4) float32: x, y, z in metres (LiDAR frame), intensity 0..1."""

    def has_scan(self, frame: str) -> bool:
        """Whether the frame has a scan."""

    def point_labels(self, frame: str) -> np.ndarray:
        """(N,) uint32 raw: class id in the low 16 bits, instance in the high ones; one per point of the scan."""

    def has_labels(self, frame: str) -> bool:
        """Whether the scan's points are labelled."""

    def pseudo_labels(self, frame: str) -> np.ndarray:
        """(H, W) uint8 class of each pixel of the image, 255 unknown."""

    def has_pseudo_labels(self, frame: str) -> bool:
        """Whether the image has a class map."""

    def voxel_labels(self, frame: str) -> np.ndarray:
        """(X, Y, Z) uint8 on `grid`, in the grid frame: classes 0..19, 255 where ignored or never observed."""

    def has_voxels(self, frame: str) -> bool:
        """Whether the frame has voxel ground truth."""
