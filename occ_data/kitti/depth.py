"""Depth of images: PNGs as KITTI's depth benchmark has them, and folders of these for the frames of drives."""

from pathlib import Path

import numpy as np

from occ_core.arrays import read_npy
from occ_core.files import FileError

from ..drive import DataError, Drive
from .images import read_gray

_PIXELS_A_METRE = 256
_FARTHEST = 120.0
"""Metres: the median of an image's depths is nearer. A PNG in millimetres read as 256 a metre is four times too far."""


def read_depth(path: Path) -> np.ndarray:
    """(H, W) metres along the camera's axis, float; what is not positive is unknown.

    A 16-bit PNG holds 256 a metre, as KITTI's do, 0 where unknown; a .npy file holds metres. Raises DataError.
    """
    if path.suffix.lower() == ".npy":
        try:
            depth = read_npy(path)
        except FileError as error:
            raise DataError(str(error)) from None
        if depth.ndim != 2 or depth.dtype.kind != "f":
            raise DataError(f"{path}: {depth.dtype}{list(depth.shape)}; expected floats [H, W], in metres")
    else:
        try:
            depth = read_gray(path)
        except DataError as error:
            raise DataError(f"{error} (16 bits, 256 a metre), or .npy in metres") from None
        if depth.dtype != np.uint16:
            raise DataError(f"{path}: {8 * depth.itemsize}-bit; expected a PNG of 16 bits, 256 a metre")
        depth = depth / np.float32(_PIXELS_A_METRE)
    known = depth[(depth > 0) & (depth < np.inf)]
    if known.size and (middle := float(np.median(known))) > _FARTHEST:
        unit = "metres" if path.suffix.lower() == ".npy" else "256 a metre; are these millimetres?"
        raise DataError(f"{path}: half of its depths are beyond {middle:.0f} m; expected {unit}")
    return depth


class DepthFolder:
    """Depth images of drives: FOLDER/NAME/NNNNNN.png, where NAME is the drive's, such as 08. See `read_depth`."""

    def __init__(self, path: str | Path):
        """Raises DataError where there is no such folder."""
        self.path = Path(path)
        if not self.path.is_dir():
            raise DataError(f"{path}: no such folder; expected depth images as FOLDER/08/000000.png")

    def file(self, drive: Drive, frame: str) -> Path:
        """Path of a frame's depth image, whether it exists or not."""
        return self.path / drive.name / f"{frame}.png"

    def has(self, drive: Drive, frame: str) -> bool:
        """Whether the frame has a depth image."""
        return self.file(drive, frame).is_file()

    def check(self, drive: Drive, frames: list[str]) -> None:
        """Raise DataError where one of the frames has no depth image."""
        if lacking := [frame for frame in frames if not self.has(drive, frame)]:
            more = f" (nor are those of {len(lacking) - 1} more frames of {drive.name})" if len(lacking) > 1 else ""
            raise DataError(f"{self.file(drive, lacking[0])}: missing{more}; expected a depth image for every frame")

    def read(self, drive: Drive, frame: str) -> np.ndarray:
        """(H, W) metres, as `read_depth`. Raises DataError, also where the size is not that of the drive's images."""
        path, (width, height) = self.file(drive, frame), drive.calibration.image_size
        depth = read_depth(path)
        if depth.shape != (height, width):
            raise DataError(f"{path}: {depth.shape[1]}x{depth.shape[0]}; expected {width}x{height}, the image's size")
        return depth
