"""Calibration files, read and written: KITTI's `calib.txt`, and YAML."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .calibration import Calibration, CalibrationError
from .files import FileError, read_text, read_yaml, write_text

_EDGE = 0.1
MAX_CALIBRATION_BYTES = 1 << 20


class FileCalibration(NamedTuple):
    """What a calibration file says.

    T_cam_lidar : (4, 4) LiDAR frame -> optical frame of the camera itself
    K : (3, 3) of the camera, or None
    image_size : (width, height) or None
    """

    T_cam_lidar: np.ndarray
    K: np.ndarray | None
    image_size: tuple[int, int] | None


class KittiCalibration(NamedTuple):
    """P : (3, 4) of one camera; Tr : (4, 4) LiDAR frame -> rectified camera 0."""

    P: np.ndarray
    Tr: np.ndarray


def read_calibration_file(path: str | Path, camera: int = 2) -> FileCalibration:
    """A KITTI odometry `calib.txt` (rows P0..P3 and Tr) or a YAML file (.yaml, .yml).

    YAML keys: `T_cam_lidar` (3 or 4 rows of 4: LiDAR frame -> optical frame of the camera) and, for cameras without
    CameraInfo, `K` (3 x 3) and `image_size` (width, height). Raises CalibrationError.
    """
    if Path(path).suffix in (".yaml", ".yml"):
        return _read_yaml(Path(path))
    P, Tr = read_kitti_calibration(path, camera)
    _check(path, P, Tr)
    # Tr leads to camera 0; P's fourth column says where this camera sits beside it.
    T_cam_cam0 = np.eye(4)
    T_cam_cam0[:3, 3] = np.linalg.solve(P[:, :3], P[:, 3])
    return FileCalibration(T_cam_cam0 @ Tr, P[:, :3], None)


def read_kitti_calibration(path: str | Path, camera: int = 2) -> KittiCalibration:
    """The rows P0..P3 and Tr of a KITTI odometry `calib.txt` as they stand there. Raises CalibrationError."""
    rows = {}
    try:
        lines = read_text(path, MAX_CALIBRATION_BYTES).splitlines()
    except FileError as error:
        raise CalibrationError(str(error)) from None
    for line in lines:
        name, _, values = line.partition(":")
        if not values.strip():
            continue
        try:
            rows[name.strip()] = np.array(values.split(), np.float64).reshape(3, 4)
        except ValueError:
            raise CalibrationError(f"{path}: row {name!r}: expected 12 numbers") from None
    for name in (f"P{camera}", "Tr"):
        if name not in rows:
            raise CalibrationError(f"{path}: no row {name!r}; expected P0..P3 and Tr, or a .yaml file")
    return KittiCalibration(rows[f"P{camera}"], np.vstack([rows["Tr"], (0, 0, 0, 1)]))


def write_kitti_calibration(path: str | Path, projections: Mapping[str, np.ndarray], Tr: np.ndarray) -> Path:
    """Write a KITTI `calib.txt`, exact to the bit; gives its path.

    projections : (3, 4) by name, such as "P2"; Tr : (3, 4) or (4, 4) LiDAR frame -> rectified camera 0
    """
    rows = {**{name: projections[name] for name in sorted(projections)}, "Tr": np.asarray(Tr)[:3]}
    numbers = {name: np.asarray(row, np.float64).reshape(12) for name, row in rows.items()}
    # 17 digits are read back to the bit.
    lines = [f"{name}: " + " ".join(f"{value:.16e}" for value in row) for name, row in numbers.items()]
    return write_text(path, "\n".join(lines) + "\n")


def image_calibration(path: str | Path, image_size: tuple[int, int]) -> Calibration:
    """The calibration in a file for an image of this (width, height).

    A `calib.txt` holds no image size: its principal point shows whether the two fit. Raises CalibrationError.
    """
    file = read_calibration_file(path)
    if file.K is None:
        raise CalibrationError(f"{path}: no K; expected T_cam_lidar, K and image_size")
    if file.image_size is None:
        center = file.K[:2, 2]
        if not all(_EDGE < value / size < 1 - _EDGE for value, size in zip(center, image_size, strict=True)):
            raise CalibrationError(
                f"{path}: principal point ({center[0]:.0f}, {center[1]:.0f}) is at the edge of the image of "
                "{}x{} or outside; expected this image's calibration ".format(*image_size)
                + "(if it is, use YAML with image_size)"
            )
    return Calibration(np.hstack([file.K, np.zeros((3, 1))]), file.T_cam_lidar, file.image_size or image_size)


def _read_yaml(path: Path) -> FileCalibration:
    try:
        content = read_yaml(path)
    except FileError as error:
        raise CalibrationError(str(error)) from None
    keys = {"T_cam_lidar", "K", "image_size"}
    if not isinstance(content, dict) or "T_cam_lidar" not in content or not content.keys() <= keys:
        found = ", ".join(map(str, content))[:100] if isinstance(content, dict) else type(content).__name__
        raise CalibrationError(f"{path}: expected the key T_cam_lidar, and optionally K with image_size; found {found}")
    if ("K" in content) != ("image_size" in content):
        raise CalibrationError(f"{path}: K and image_size go together; found only one of them")
    T = _matrix(path, content, "T_cam_lidar", ((3, 4), (4, 4)))
    T = np.vstack([T[:3], (0, 0, 0, 1)])
    if "K" not in content:
        K, image_size = np.eye(3), None
    else:
        K = _matrix(path, content, "K", ((3, 3),))
        width, height = _matrix(path, content, "image_size", ((2,),))
        image_size = (int(width), int(height))
    _check(path, np.hstack([K, np.zeros((3, 1))]), T, image_size or (1, 1))
    return FileCalibration(T, K if image_size else None, image_size)


def _check(path: str | Path, P: np.ndarray, T_cam_lidar: np.ndarray, image_size: tuple[int, int] = (1, 1)) -> None:
    """What Calibration asks of its parts, with the file's name in the error."""
    try:
        Calibration(P, T_cam_lidar, image_size)
    except CalibrationError as error:
        raise CalibrationError(f"{path}: {error}") from None


def _matrix(path: Path, content: dict, key: str, shapes: tuple) -> np.ndarray:
    try:
        matrix = np.array(content[key], np.float64)
    except (TypeError, ValueError, OverflowError):
        matrix = np.empty(0)
    if matrix.shape not in shapes or not np.isfinite(matrix).all():
        expected = " or ".join("x".join(map(str, shape)) for shape in shapes)
        raise CalibrationError(f"{path}: {key}: expected {expected} finite numbers")
    return matrix
