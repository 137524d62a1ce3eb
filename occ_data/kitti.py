"""SemanticKITTI's files: the one reader and the one writer, exact to the bit.

ROOT/sequences/SS/  calib.txt  poses.txt  times.txt
                    image_2/NNNNNN.png       left colour image
                    velodyne/NNNNNN.bin      N x 4 float32: x, y, z, remission
                    labels/NNNNNN.label      N uint32: class in the low half, instance in the high half
                    voxels/NNNNNN.label      256*256*32 uint16 raw ids
                    voxels/NNNNNN.{bin,invalid,occluded}   one bit a voxel, first voxel in the highest bit
and of our own:     pseudo_labels/NNNNNN.png  pixel_labels/NNNNNN.png   8-bit class maps, 255 unknown; the latter exact
"""

import os
import shutil
from collections.abc import Mapping
from collections.abc import Sequence as SequenceOf
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from occ_core.calibration import Calibration, read_kitti_calib
from occ_core.errors import InputError
from occ_core.grid import KITTI_GRID
from occ_core.taxonomy import IGNORE, NUM_CLASSES, voxels_from_raw

VOXELS = int(np.prod(KITTI_GRID.shape))
_PNG_END = b"IEND\xaeB`\x82"


class DataError(InputError):
    """A data set that cannot be used; the message names the file, what was found and what was expected."""


def sequences(root: str | Path, names: SequenceOf[str] | None = None) -> list["Sequence"]:
    """The named sequences of the data set whose folder `root` holds `sequences/`; all of them, sorted, by default."""
    folder = Path(root) / "sequences"
    if not folder.is_dir():
        raise DataError(f"{root}: no folder 'sequences' in it; expected ROOT/sequences/SS/velodyne")
    if names is None:
        names = sorted(path.name for path in folder.iterdir() if (path / "velodyne").is_dir())
        if not names:
            raise DataError(f"{folder}: no sequence in it; expected folders such as 00/velodyne")
    return [Sequence(folder / name) for name in names]


class Sequence:
    """One `sequences/SS` folder. Files are read when asked for, and checked when read.

    path : the folder
    name : its name, such as "08"
    frames : sorted ids ("000000") of the frames that have a scan
    image_frames : of those that have an image
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.name = self.path.name
        if not any((self.path / folder).is_dir() for folder in ("velodyne", "image_2")):
            raise DataError(f"{self.path}: no folder 'velodyne' or 'image_2' in it; expected a SemanticKITTI sequence")

    @cached_property
    def frames(self) -> list[str]:
        """See the class. Raises DataError where no frame has a scan."""
        return self._ids("velodyne", "bin")

    @cached_property
    def image_frames(self) -> list[str]:
        """See the class. Raises DataError where no frame has an image."""
        return self._ids("image_2", "png")

    def __len__(self) -> int:
        return len(self.frames)

    def __repr__(self) -> str:
        return f"Sequence({str(self.path)!r})"

    def file(self, folder: str, frame: str, suffix: str) -> Path:
        """Where a frame's file lies, whether it exists or not."""
        return self.path / folder / f"{frame}.{suffix}"

    @cached_property
    def times(self) -> np.ndarray:
        """(N,) float64 seconds; frame id n has row int(n)."""
        return self._rows(self.path / "times.txt", 1)[:, 0]

    @cached_property
    def poses(self) -> np.ndarray:
        """(N, 4, 4) float64 T_world_lidar in metres; frame id n has row int(n).

        The file holds the poses of camera 0, so T_world_lidar = Tr^-1 T_cam Tr, the world being the first LiDAR frame.
        """
        T_cam = _homogeneous(self._rows(self.path / "poses.txt", 12).reshape(-1, 3, 4))
        Tr = _homogeneous(self._calib("Tr"))
        return np.linalg.inv(Tr) @ T_cam @ Tr

    @cached_property
    def calibration(self) -> Calibration:
        """Camera 2 (left colour) from the LiDAR; the image size is that of the first image."""
        height, width = self.image(self.image_frames[0]).shape[:2]
        return Calibration.from_kitti(self.path / "calib.txt", (width, height))

    def image(self, frame: str) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""
        return cv2.cvtColor(_png(self.file("image_2", frame, "png"), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)

    def scan(self, frame: str) -> np.ndarray:
        """(N, 4) float32: x, y, z in metres (LiDAR frame), remission."""
        path = self.file("velodyne", frame, "bin")
        data = _read(path)
        if not data or len(data) % 16:
            raise DataError(f"{path}: {len(data)} bytes; expected a multiple of 16 (x, y, z, remission); truncated?")
        return np.frombuffer(data, "<f4").reshape(-1, 4).copy()

    def point_labels(self, frame: str) -> np.ndarray:
        """(N,) uint32 raw: class id in the low 16 bits, instance in the high ones; one per point of the scan."""
        path = self.file("labels", frame, "label")
        data = _read(path)
        points = _size(self.file("velodyne", frame, "bin")) // 16
        if len(data) != 4 * points:
            raise DataError(
                f"{path}: {len(data)} bytes; expected {4 * points}: 4 for each of the scan's {points} points"
            )
        return np.frombuffer(data, "<u4").copy()

    def has_labels(self, frame: str) -> bool:
        """Whether the scan's points are labelled."""
        return self.file("labels", frame, "label").is_file()

    def has_voxels(self, frame: str) -> bool:
        """Whether the frame has voxel ground truth."""
        return self.file("voxels", frame, "label").is_file()

    def voxel_labels(self, frame: str) -> np.ndarray:
        """(256, 256, 32) uint8: classes 0..19, 255 where ignored or never observed (`.invalid`)."""
        raw = read_voxel_labels(self.file("voxels", frame, "label"))
        invalid = self.file("voxels", frame, "invalid")
        return voxels_from_raw(raw, read_bits(invalid) if invalid.is_file() else None)

    def voxel_bits(self, frame: str, kind: str) -> np.ndarray:
        """(256, 256, 32) uint8 of 0 and 1; kind: "bin", "invalid" or "occluded"."""
        return read_bits(self.file("voxels", frame, kind))

    def _ids(self, folder: str, suffix: str) -> list[str]:
        ids = sorted(file.stem for file in (self.path / folder).glob(f"*.{suffix}") if file.stem.isdigit())
        if not ids:
            raise DataError(f"{self.path / folder}: missing or empty; expected files such as 000000.{suffix}")
        return ids

    def _calib(self, name: str) -> np.ndarray:
        rows = read_kitti_calib(self.path / "calib.txt")
        if name not in rows:
            raise DataError(f"{self.path / 'calib.txt'}: no row {name!r}; expected P0..P3 and Tr")
        return rows[name]

    def _rows(self, path: Path, columns: int) -> np.ndarray:
        """Rows of numbers, at least as many as the largest frame id asks for."""
        try:
            rows = [
                [float(value) for value in line.split()] for line in _read(path).decode().splitlines() if line.strip()
            ]
        except ValueError as error:
            raise DataError(f"{path}: not a table of numbers: {error}") from None
        if bad := [n for n, row in enumerate(rows) if len(row) != columns]:
            raise DataError(f"{path}: line {bad[0] + 1} has {len(rows[bad[0]])} numbers; expected {columns}")
        if len(rows) <= int(self.frames[-1]):
            raise DataError(f"{path}: {len(rows)} lines; expected at least {int(self.frames[-1]) + 1}, one per frame")
        return np.array(rows, np.float64)


class SequenceWriter:
    """Writes `ROOT/sequences/NAME`; a file appears under its name only when it is complete."""

    def __init__(self, root: str | Path, name: str):
        self.path = Path(root) / "sequences" / name
        self.path.mkdir(parents=True, exist_ok=True)

    def write_calibration(self, projections: Mapping[str, np.ndarray], Tr: np.ndarray) -> None:
        """projections : P0..P3, (3, 4) each; Tr : (3, 4) or (4, 4) velodyne -> rectified camera 0."""
        rows = {**{name: projections[name] for name in sorted(projections)}, "Tr": np.asarray(Tr)[:3]}
        lines = [f"{name}: {_numbers(np.asarray(row, np.float64).reshape(12))}" for name, row in rows.items()]
        self._text("calib.txt", lines)

    def write_poses(self, camera_poses: np.ndarray) -> None:
        """camera_poses : (N, 3, 4) or (N, 4, 4) camera 0 -> world, metres."""
        self._text("poses.txt", [_numbers(np.asarray(pose, np.float64)[:3].reshape(12)) for pose in camera_poses])

    def write_times(self, seconds: np.ndarray) -> None:
        """seconds : (N,)."""
        self._text("times.txt", [_numbers([time]) for time in seconds])

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
            if np.ndim(scan) != 2 or np.shape(scan)[1] != 4:
                raise DataError(f"scan of frame {frame}: expected shape (N, 4), got {np.shape(scan)}")
            self._bytes("velodyne", f"{frame}.bin", np.asarray(scan, "<f4").tobytes())
        if point_labels is not None:
            self._bytes("labels", f"{frame}.label", np.asarray(point_labels, "<u4").tobytes())

    def write_voxels(
        self,
        frame: str,
        raw_labels: np.ndarray | None = None,
        invalid: np.ndarray | None = None,
        occupied: np.ndarray | None = None,
        occluded: np.ndarray | None = None,
    ) -> None:
        """All (256, 256, 32): raw_labels uint16 raw ids, the others 0 or 1 (`occupied` is the scan's `.bin`)."""
        folder = self.path / "voxels"
        for suffix, bits in (("bin", occupied), ("invalid", invalid), ("occluded", occluded)):
            if bits is not None:
                write_bits(folder / f"{frame}.{suffix}", bits)
        if raw_labels is not None:  # last: a frame with a `.label` has everything
            write_voxel_labels(folder / f"{frame}.label", raw_labels)

    def _text(self, name: str, lines: list[str]) -> None:
        _write(self.path / name, ("\n".join(lines) + "\n").encode())

    def _bytes(self, folder: str, name: str, data: bytes) -> None:
        _write(self.path / folder / name, data)


def read_gray(path: str | Path) -> np.ndarray:
    """A gray PNG as (H, W) uint8 or uint16."""
    gray = _png(Path(path), cv2.IMREAD_UNCHANGED)
    if gray.ndim != 2:
        raise DataError(f"{path}: has {gray.shape[2]} channels; expected a gray PNG")
    return gray


def read_classes(path: str | Path) -> np.ndarray:
    """A class map as (H, W) uint8: 0..19, 255 unknown."""
    classes = read_gray(path)
    wrong = (classes >= NUM_CLASSES) & (classes != IGNORE)
    if classes.dtype != np.uint8 or wrong.any():
        found = f"value {int(classes[wrong][0])}" if wrong.any() else str(classes.dtype)
        raise DataError(f"{path}: {found}; expected 8-bit classes 0..{NUM_CLASSES - 1} and {IGNORE}")
    return classes


def write_png(path: str | Path, image: np.ndarray) -> None:
    """image : (H, W, 3) uint8 RGB, or (H, W) uint8 or uint16 gray."""
    image = np.ascontiguousarray(image)
    ok, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image)
    if not ok:
        raise DataError(f"{path}: an image of shape {image.shape} cannot be encoded")
    _write(path, data.tobytes())


def link_inputs(source: Path, target: Path, without: SequenceOf[str]) -> None:
    """Make the sequence folder `target` complete with links to what `source` has, `without` left out."""
    if source.resolve() == target.resolve():
        return
    for path in sorted(source.iterdir()):
        if path.name in without or (target / path.name).exists():
            continue
        if path.is_dir():
            (target / path.name).symlink_to(path.resolve(), target_is_directory=True)
        else:
            shutil.copyfile(path, target / path.name)


def read_bits(path: str | Path) -> np.ndarray:
    """A bit-packed voxel file as (256, 256, 32) uint8 of 0 and 1."""
    data = _read(path)
    if len(data) != VOXELS // 8:
        raise DataError(f"{path}: {len(data)} bytes; expected {VOXELS // 8}: one bit a voxel")
    return np.unpackbits(np.frombuffer(data, np.uint8)).reshape(KITTI_GRID.shape)


def write_bits(path: str | Path, grid: np.ndarray) -> None:
    """grid : (256, 256, 32); whatever is not zero becomes 1."""
    _write(path, np.packbits(_full_grid(path, grid).astype(bool).reshape(-1)).tobytes())


def read_voxel_labels(path: str | Path) -> np.ndarray:
    """A voxel `.label` file as (256, 256, 32) uint16 raw ids."""
    data = _read(path)
    if len(data) != VOXELS * 2:
        raise DataError(f"{path}: {len(data)} bytes; expected {VOXELS * 2}: two a voxel")
    return np.frombuffer(data, "<u2").reshape(KITTI_GRID.shape).copy()


def write_voxel_labels(path: str | Path, raw: np.ndarray) -> None:
    """raw : (256, 256, 32) uint16 raw ids."""
    _write(path, _full_grid(path, raw).astype("<u2").tobytes())


def _full_grid(path, grid: np.ndarray) -> np.ndarray:
    grid = np.asarray(grid)
    if grid.shape != KITTI_GRID.shape:
        raise DataError(f"{path}: a grid of shape {grid.shape} was to be written; expected {KITTI_GRID.shape}")
    return grid


def _homogeneous(rows: np.ndarray) -> np.ndarray:
    """(..., 3, 4) -> (..., 4, 4)."""
    last = np.broadcast_to(np.array([0.0, 0.0, 0.0, 1.0]), (*rows.shape[:-2], 1, 4))
    return np.concatenate([rows, last], -2)


def _numbers(values) -> str:
    return " ".join(f"{value:.16e}" for value in values)  # 17 digits: read back to the bit


def _read(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def _png(path: Path, flags: int) -> np.ndarray:
    data = _read(path)
    if _PNG_END not in data[-16:]:
        raise DataError(f"{path}: not a whole PNG: {len(data)} bytes without the end chunk; truncated?")
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if image is None:
        raise DataError(f"{path}: cannot be decoded; expected a PNG image")
    return image


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None


def _write(path: str | Path, data: bytes) -> None:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
