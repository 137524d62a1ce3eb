"""Writes SemanticKITTI's files."""

import shutil
from collections.abc import Mapping
from collections.abc import Sequence as SequenceOf
from pathlib import Path

import numpy as np

from occ_core.calibration_file import write_kitti_calibration
from occ_core.files import write_bytes, write_text
from occ_core.grid import KITTI_GRID, Grid
from occ_core.rig import Rig, write_rig

from ..drive import DataError
from .images import write_png
from .voxels import write_bits, write_grid, write_voxel_labels


class SequenceWriter:
    """Writes `ROOT/sequences/NAME`; a file appears under its name only when it is complete. grid : of the voxels."""

    def __init__(self, root: str | Path, name: str, grid: Grid = KITTI_GRID):
        self.path = Path(root) / "sequences" / name
        self.path.mkdir(parents=True, exist_ok=True)
        self.grid = grid

    def write_calibration(self, projections: Mapping[str, np.ndarray], Tr: np.ndarray) -> None:
        """projections : P0..P3, (3, 4) each; Tr : (3, 4) or (4, 4) velodyne -> rectified camera 0."""
        write_kitti_calibration(self.path / "calib.txt", projections, Tr)

    def write_rig(self, rig: Rig) -> None:
        """Where the LiDAR is, for one that is not mounted as KITTI's; without it the sequence has KITTI's rig."""
        write_rig(self.path / "rig.yaml", rig)

    def write_poses(self, camera_poses: np.ndarray) -> None:
        """camera_poses : (N, 3, 4) or (N, 4, 4) camera 0 -> world, metres."""
        poses = np.asarray(camera_poses, np.float64)
        if not np.isfinite(poses).all():
            raise DataError(f"{self.path / 'poses.txt'}: pose {_first_bad(poses)} is not finite; expected numbers")
        self._table("poses.txt", [np.asarray(pose, np.float64)[:3].reshape(12) for pose in camera_poses])

    def write_times(self, seconds: np.ndarray) -> None:
        """seconds : (N,)."""
        if not np.isfinite(seconds).all():
            raise DataError(f"{self.path / 'times.txt'}: time {_first_bad(np.asarray(seconds))} is not finite")
        self._table("times.txt", [[time] for time in seconds])

    def write_frame(
        self,
        frame: str,
        image: np.ndarray | None = None,
        scan: np.ndarray | None = None,
        point_labels: np.ndarray | None = None,
    ) -> None:
        """image : (H, W, 3) uint8 RGB; scan : (N, 4) float32; point_labels : (N,) uint32 raw."""
        if image is not None:
            write_png(self.path / "image_2" / f"{frame}.png", image)
        if scan is not None:
            if np.ndim(scan) != 2 or np.shape(scan)[1] != 4 or not len(scan):
                raise DataError(f"scan of frame {frame}: expected shape (N, 4) with N > 0, got {np.shape(scan)}")
            write_bytes(self.path / "velodyne" / f"{frame}.bin", np.asarray(scan, "<f4").tobytes())
        if point_labels is not None:
            write_bytes(self.path / "labels" / f"{frame}.label", np.asarray(point_labels, "<u4").tobytes())

    def write_voxels(
        self,
        frame: str,
        raw_labels: np.ndarray | None = None,
        invalid: np.ndarray | None = None,
        occupied: np.ndarray | None = None,
        occluded: np.ndarray | None = None,
    ) -> None:
        """All of the grid's shape: raw_labels uint16 raw ids, the others 0 or 1 (`occupied` is the scan's `.bin`)."""
        folder = self.path / "voxels"
        write_grid(folder, self.grid)
        for suffix, bits in (("bin", occupied), ("invalid", invalid), ("occluded", occluded)):
            if bits is not None:
                path = folder / f"{frame}.{suffix}"
                write_bits(path, self._checked(path, bits))
        if raw_labels is not None:  # last: a frame with a `.label` has everything
            path = folder / f"{frame}.label"
            write_voxel_labels(path, self._checked(path, raw_labels))

    def _checked(self, path: Path, voxels: np.ndarray) -> np.ndarray:
        if np.shape(voxels) != self.grid.shape:
            raise DataError(f"{path}: voxels of shape {np.shape(voxels)} cannot be written; expected {self.grid.shape}")
        return voxels

    def _table(self, name: str, rows: list) -> None:
        # 17 digits are read back to the bit.
        write_text(self.path / name, "".join(" ".join(f"{value:.16e}" for value in row) + "\n" for row in rows))


def _first_bad(values: np.ndarray) -> int:
    return int(np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(1))[0])


def link_inputs(source: Path, target: Path, without: SequenceOf[str]) -> None:
    """Complete the sequence folder `target` with links to what `source` has; `without` names what is left out."""
    if source.resolve() == target.resolve():
        return
    for path in sorted(source.iterdir()):
        if path.name in without or (target / path.name).exists():
            continue
        if path.is_dir():
            (target / path.name).symlink_to(path.resolve(), target_is_directory=True)
        else:
            shutil.copyfile(path, target / path.name)
