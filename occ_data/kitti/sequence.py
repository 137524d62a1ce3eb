"""Reads SemanticKITTI's files."""

from collections.abc import Sequence as SequenceOf
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import numpy as np

from occ_core.calibration import Calibration, CalibrationError
from occ_core.calibration_file import KittiCalibration, read_kitti_calibration
from occ_core.decode.intensity import DECIDING, Intensity
from occ_core.grid import Grid
from occ_core.rig import KITTI_RIG, Rig, RigError, read_rig
from occ_core.taxonomy import voxels_from_raw
from occ_core.transforms import MAX_DISTANCE, are_poses

from ..drive import DataError, is_number
from .content import file_size, read_file
from .images import read_classes, read_rgb
from .voxels import read_bits, read_grid, read_voxel_labels

MAX_SECONDS = 1e10
"""Of `times.txt`: three hundred years."""


def sequences(root: str | Path, names: SequenceOf[str] | None = None, rig: Rig | None = None) -> list["Sequence"]:
    """The named sequences of the data set whose folder `root` holds `sequences/`; all of them, sorted, by default.

    rig : see `Sequence`
    """
    folder = Path(root) / "sequences"
    if not folder.is_dir():
        raise DataError(f"{root}: no folder 'sequences' in it; expected ROOT/sequences/SS/velodyne")
    if names is None:
        names = sorted(path.name for path in folder.iterdir() if (path / "velodyne").is_dir())
        if not names:
            raise DataError(f"{folder}: no sequence in it; expected folders such as 00/velodyne")
    return [Sequence(folder / name, rig) for name in names]


class Sequence:
    """A Drive from one `sequences/SS` folder. Files are read when asked for, and checked when read.

    path : the folder
    given_rig : used in the place of the folder's `rig.yaml`; None for that one, or KITTI's where there is none
    name : its name, such as "08"
    frames : sorted ids ("000000") of the frames that have a scan
    image_frames : of those that have an image
    voxel_frames : of those that have voxel ground truth
    """

    def __init__(self, path: str | Path, given_rig: Rig | None = None):
        self.path, self.given_rig = Path(path), given_rig
        self.name = self.path.name
        if not any((self.path / folder).is_dir() for folder in ("velodyne", "image_2")):
            raise DataError(f"{self.path}: no folder 'velodyne' or 'image_2' in it; expected a SemanticKITTI sequence")

    @cached_property
    def frames(self) -> list[str]:
        """See the class. Raises DataError where no frame has a scan."""
        return self._expected_ids("velodyne", "bin")

    @cached_property
    def image_frames(self) -> list[str]:
        """See the class. Raises DataError where no frame has an image."""
        return self._expected_ids("image_2", "png")

    @property
    def voxel_frames(self) -> list[str]:
        """See the class."""
        return self._ids("voxels", "label")

    @property
    def benchmark_frames(self) -> list[str]:
        """Sorted ids of the frames with a voxelised scan, which the benchmark scores: every fifth as downloaded."""
        return self._ids("voxels", "bin")

    def __len__(self) -> int:
        return len(self.frames)

    def __repr__(self) -> str:
        return f"Sequence({str(self.path)!r})"

    def file(self, folder: str, frame: str, suffix: str) -> Path:
        """Path of a frame's file, whether it exists or not."""
        return self.path / folder / f"{frame}.{suffix}"

    @cached_property
    def times(self) -> np.ndarray:
        """(N,) float64 seconds; frame id n has row int(n)."""
        path = self.path / "times.txt"
        times = self._rows(path, 1)[:, 0]
        if len(bad := np.flatnonzero(~(np.abs(times) < MAX_SECONDS))):
            raise DataError(f"{path}: row {bad[0] + 1}: {times[bad[0]]:g}; expected seconds below {MAX_SECONDS:g}")
        return times

    @cached_property
    def poses(self) -> np.ndarray:
        """(N, 4, 4) float64 T_world_lidar in metres; frame id n has row int(n).

        The file holds the poses of camera 0, so T_world_lidar = Tr^-1 T_cam Tr, the world being the first LiDAR frame.
        """
        path = self.path / "poses.txt"
        T_cam = _homogeneous(self._rows(path, 12).reshape(-1, 3, 4))
        if len(bad := np.flatnonzero(~are_poses(T_cam))):
            expected = f"a rotation (3x3, orthonormal) and a translation of at most {MAX_DISTANCE:g} m"
            raise DataError(f"{path}: row {bad[0] + 1}: expected {expected}")
        Tr = self._calibration_file.Tr
        return np.linalg.inv(Tr) @ T_cam @ Tr

    @property
    def has_poses(self) -> bool:
        """Whether there is a poses.txt."""
        return (self.path / "poses.txt").is_file()

    @cached_property
    def calibration(self) -> Calibration:
        """Camera 2 (left colour) from the LiDAR, and the rig; the image size is that of the first image."""
        height, width = self.image(self.image_frames[0]).shape[:2]
        P, Tr = self._calibration_file
        return Calibration(P, Tr, (width, height), self.rig.T_grid_lidar)

    @cached_property
    def rig(self) -> Rig:
        """Where the LiDAR is: what the given rig, then `rig.yaml`, then KITTI's rig says."""
        given, path = self.given_rig or Rig(), self.path / "rig.yaml"
        if given.T_ground_lidar is None and path.exists():
            try:
                given = given.completed(read_rig(path))
            except RigError as error:
                raise DataError(str(error)) from None
        return given.completed(KITTI_RIG)

    @cached_property
    def grid(self) -> Grid:
        """The grid of the voxel ground truth: that of `voxels/grid.yaml`, SemanticKITTI's where there is none."""
        return read_grid(self.path / "voxels")

    def image(self, frame: str) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""
        return read_rgb(self.file("image_2", frame, "png"))

    def scan(self, frame: str) -> np.ndarray:
        """(N, 4) float32: x, y, z in metres (LiDAR frame), remission 0..1, as KITTI's is; where a folder's first scans
        hold 0..255 or 0..65535, all are divided by that.
        """
        points = self._raw_scan(frame)
        self._intensity.normalise(points[:, 3])
        return points

    @cached_property
    def _intensity(self) -> Intensity:
        """Decided by the first scans, whichever is read first."""
        intensity = Intensity()
        for frame in self.frames[:DECIDING]:
            with suppress(DataError):  # said when that frame is asked for
                intensity.normalise(self._raw_scan(frame)[:, 3])
        intensity.keep()
        return intensity

    def _raw_scan(self, frame: str) -> np.ndarray:
        path = self.file("velodyne", frame, "bin")
        data = read_file(path)
        if not data or len(data) % 16:
            raise DataError(f"{path}: {len(data)} bytes; expected a multiple of 16 (x, y, z, remission); truncated?")
        return np.frombuffer(data, "<f4").reshape(-1, 4).copy()

    def point_labels(self, frame: str) -> np.ndarray:
        """(N,) uint32 raw: class id in the low 16 bits, instance in the high ones; one per point of the scan."""
        path = self.file("labels", frame, "label")
        data = read_file(path)
        points = file_size(self.file("velodyne", frame, "bin")) // 16
        if len(data) != 4 * points:
            raise DataError(
                f"{path}: {len(data)} bytes; expected {4 * points}: 4 for each of the scan's {points} points"
            )
        return np.frombuffer(data, "<u4").copy()

    def has_labels(self, frame: str) -> bool:
        """Whether the scan's points are labelled."""
        return self.file("labels", frame, "label").is_file()

    def has_scan(self, frame: str) -> bool:
        """Whether the frame has a scan."""
        return self.file("velodyne", frame, "bin").is_file()

    def pseudo_labels(self, frame: str) -> np.ndarray:
        """(H, W) uint8 class of each pixel of the image, 255 unknown; of frames without pseudo labels the exact classes
        of a synthetic drive.
        """
        return read_classes(self._class_map(frame))

    def has_pseudo_labels(self, frame: str) -> bool:
        """Whether the image has a class map."""
        return self._class_map(frame).is_file()

    def _class_map(self, frame: str) -> Path:
        pseudo, exact = (self.file(folder, frame, "png") for folder in ("pseudo_labels", "pixel_labels"))
        return exact if exact.is_file() and not pseudo.is_file() else pseudo

    def has_voxels(self, frame: str) -> bool:
        """Whether the frame has voxel ground truth."""
        return self.file("voxels", frame, "label").is_file()

    def voxel_labels(self, frame: str) -> np.ndarray:
        """(X, Y, Z) uint8 on `grid`: classes 0..19, 255 where ignored or never observed (`.invalid`)."""
        raw = read_voxel_labels(self.file("voxels", frame, "label"), self.grid.shape)
        invalid = self.file("voxels", frame, "invalid")
        return voxels_from_raw(raw, read_bits(invalid, self.grid.shape) if invalid.is_file() else None)

    def voxel_bits(self, frame: str, kind: str) -> np.ndarray:
        """(X, Y, Z) uint8 of 0 and 1; kind: "bin", "invalid" or "occluded"."""
        return read_bits(self.file("voxels", frame, kind), self.grid.shape)

    @property
    def _last_frame(self) -> int:
        return int(max(self._ids("velodyne", "bin") or self.image_frames))

    @cached_property
    def _calibration_file(self) -> KittiCalibration:
        path = self.path / "calib.txt"
        try:
            found = read_kitti_calibration(path)
            Calibration(found.P, found.Tr, (1, 1))
        except CalibrationError as error:
            raise DataError(str(error) if str(path) in str(error) else f"{path}: {error}") from None
        return found

    def _ids(self, folder: str, suffix: str) -> list[str]:
        return sorted(file.stem for file in (self.path / folder).glob(f"*.{suffix}") if is_number(file.stem))

    def _expected_ids(self, folder: str, suffix: str) -> list[str]:
        ids = self._ids(folder, suffix)
        if not ids:
            raise DataError(f"{self.path / folder}: missing or empty; expected files such as 000000.{suffix}")
        return ids

    def _rows(self, path: Path, columns: int) -> np.ndarray:
        """A table of numbers with a row for every frame id."""
        try:
            rows = [
                [float(value) for value in line.split()]
                for line in read_file(path).decode().splitlines()
                if line.strip()
            ]
        except ValueError as error:
            raise DataError(f"{path}: not a table of numbers: {error}") from None
        if bad := [n for n, row in enumerate(rows) if len(row) != columns]:
            raise DataError(f"{path}: line {bad[0] + 1} has {len(rows[bad[0]])} numbers; expected {columns}")
        if len(rows) <= (last := self._last_frame):
            raise DataError(f"{path}: {len(rows)} lines; expected at least {last + 1}, one per frame")
        return np.array(rows, np.float64)


def _homogeneous(rows: np.ndarray) -> np.ndarray:
    """(..., 3, 4) -> (..., 4, 4)."""
    last = np.broadcast_to(np.array([0.0, 0.0, 0.0, 1.0]), (*rows.shape[:-2], 1, 4))
    return np.concatenate([rows, last], -2)
