"""Extrinsics: geometry_msgs/Transform and calibration files."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml

from ..calibration import Calibration, CalibrationError, read_kitti_calib
from ..transforms import matrix_of
from . import TransformError


def matrix_from_transform(transform) -> np.ndarray:
    """geometry_msgs/Transform -> (4, 4) T_parent_child. Raises TransformError for a quaternion that is no rotation."""
    t, q = transform.translation, transform.rotation
    quaternion = np.array([q.x, q.y, q.z, q.w])
    norm = np.linalg.norm(quaternion)
    if not (np.isfinite([t.x, t.y, t.z]).all() and abs(norm - 1) < 0.01):
        raise TransformError(f"tf: expected a finite translation and a unit quaternion, got norm {norm:g}")
    return matrix_of((t.x, t.y, t.z), quaternion)


class RigCalibration(NamedTuple):
    """What a calibration file says: T_cam_lidar (4, 4); K (3, 3) of the camera, or None; image_size or None."""

    T_cam_lidar: np.ndarray
    K: np.ndarray | None
    image_size: tuple[int, int] | None


def read_calibration_file(path: str | Path, camera: int = 2) -> RigCalibration:
    """A KITTI odometry `calib.txt` (rows P0..P3 and Tr) or a YAML file (.yaml, .yml).

    YAML keys: `T_cam_lidar` (3 or 4 rows of 4: LiDAR frame -> optical frame of the camera) and, for cameras without
    CameraInfo, `K` (3 x 3) and `image_size` (width, height). Raises CalibrationError.
    """
    if Path(path).suffix in (".yaml", ".yml"):
        return _read_yaml(Path(path))
    rows = read_kitti_calib(path)
    for name in (f"P{camera}", "Tr"):
        if name not in rows:
            raise CalibrationError(f"{path}: no row {name!r}; expected P0..P3 and Tr, or a .yaml file")
    P, Tr = rows[f"P{camera}"], np.vstack([rows["Tr"], (0, 0, 0, 1)])
    _check(path, P, Tr)
    # Tr leads to camera 0; P's fourth column holds where this camera sits beside it.
    T_cam_cam0 = np.eye(4)
    T_cam_cam0[:3, 3] = np.linalg.solve(P[:, :3], P[:, 3])
    return RigCalibration(T_cam_cam0 @ Tr, P[:, :3], None)


def _read_yaml(path: Path) -> RigCalibration:
    try:
        content = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CalibrationError(f"{path}: cannot be read: {error}") from None
    keys = {"T_cam_lidar", "K", "image_size"}
    if not isinstance(content, dict) or "T_cam_lidar" not in content or not content.keys() <= keys:
        found = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise CalibrationError(f"{path}: expected the key T_cam_lidar, and K with image_size if need be; found {found}")
    if ("K" in content) != ("image_size" in content):
        raise CalibrationError(f"{path}: K and image_size go together; found only one of them")
    T = _matrix(path, content, "T_cam_lidar", ((3, 4), (4, 4)))
    T = np.vstack([T[:3], (0, 0, 0, 1)])
    if "K" not in content:
        K, image_size = np.eye(3), None
    else:
        K = _matrix(path, content, "K", ((3, 3),))
        image_size = tuple(int(n) for n in _matrix(path, content, "image_size", ((2,),)))
    _check(path, np.hstack([K, np.zeros((3, 1))]), T, image_size or (1, 1))
    return RigCalibration(T, K if image_size else None, image_size)


def _check(path: str | Path, P: np.ndarray, T_cam_lidar: np.ndarray, image_size: tuple[int, int] = (1, 1)) -> None:
    """What Calibration asks of its parts, with the file's name in the error."""
    try:
        Calibration(P, T_cam_lidar, image_size)
    except CalibrationError as error:
        raise CalibrationError(f"{path}: {error}") from None


def _matrix(path: Path, content: dict, key: str, shapes: tuple) -> np.ndarray:
    try:
        matrix = np.array(content[key], np.float64)
    except (TypeError, ValueError):
        matrix = np.empty(0)
    if matrix.shape not in shapes or not np.isfinite(matrix).all():
        expected = " or ".join("x".join(map(str, shape)) for shape in shapes)
        raise CalibrationError(f"{path}: {key}: expected {expected} finite numbers")
    return matrix
