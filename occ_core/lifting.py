"""Lifting: where each voxel centre falls in the image (OccLE eq. 2), and how far from the camera it lies."""

from typing import NamedTuple

import numpy as np

from .calibration import Calibration
from .grid import Grid
from .taxonomy import IGNORE

_MIN_IN_VIEW = 0.05
"""Share of the voxels in the image under which the camera does not look into the grid."""
OUT_OF_VIEW = -2.0
"""Table value of voxels outside the image: so far outside that bilinear sampling with zero padding gives zero."""


class LiftingTable(NamedTuple):
    """coordinates : (X*Y, Z, 2) float32, image (u, v) in [-1, 1] (align_corners=False), OUT_OF_VIEW elsewhere
    in_view : (X, Y, Z) bool
    depth : (X*Y, Z) float32, of the voxel centre before the camera, canonical metres (`Calibration.canonical`)
    """

    coordinates: np.ndarray
    in_view: np.ndarray
    depth: np.ndarray


def lifting_table(grid: Grid, calibration: Calibration) -> LiftingTable:
    """Project every voxel centre. Normalised coordinates hold for any resized copy of the image and any stride."""
    uv, depth = calibration.project_grid(grid.centers())
    in_view = calibration.in_view(uv)
    normalised = 2 * (uv + 0.5) / np.asarray(calibration.image_size) - 1
    coordinates = np.where(in_view[..., None], normalised, OUT_OF_VIEW).astype(np.float32)
    x, y, z = grid.shape
    depth = (depth * calibration.canonical).astype(np.float32)
    return LiftingTable(coordinates.reshape(x * y, z, 2), in_view, depth.reshape(x * y, z))


def view_warnings(table: LiftingTable) -> list[str]:
    """One line where the camera hardly looks into the grid: the network then gets next to nothing of the image."""
    share = float(table.in_view.mean())
    if share >= _MIN_IN_VIEW:
        return []
    return [
        f"camera: only {100 * share:.1f} % of the grid is in the image; check the extrinsics (T_cam_lidar, or tf to "
        "the camera's optical frame), the names of the frames, and that x points to where the camera looks"
    ]


def lift_labels(labels: np.ndarray, table: LiftingTable) -> np.ndarray:
    """A label map (H, W) onto the voxels by nearest pixel; IGNORE out of view. Returns (X, Y, Z) uint8."""
    height, width = labels.shape
    uv = (table.coordinates.reshape(*table.in_view.shape, 2) + 1) / 2 * (width, height) - 0.5
    column, row = (np.clip(np.rint(uv[..., n]).astype(int), 0, (width, height)[n] - 1) for n in (0, 1))
    return np.where(table.in_view, labels[row, column], IGNORE).astype(np.uint8)


def lift_features_ref(features: np.ndarray, table: LiftingTable) -> np.ndarray:
    """Bilinear lifting of (C, H, W) features in plain numpy, (C, X, Y, Z): what the graph's GridSample must give."""
    channels, height, width = features.shape
    padded = np.zeros((channels, height + 2, width + 2), np.float64)
    padded[:, 1:-1, 1:-1] = features
    uv = (table.coordinates.astype(np.float64).reshape(-1, 2) + 1) / 2 * (width, height) - 0.5
    low = np.floor(uv)
    lifted = np.zeros((channels, len(uv)))
    for du in (0, 1):
        for dv in (0, 1):
            corner = low + np.array((du, dv))
            weight = np.prod(1 - np.abs(uv - corner), axis=1)
            column = np.clip(corner[:, 0] + 1, 0, width + 1).astype(int)
            row = np.clip(corner[:, 1] + 1, 0, height + 1).astype(int)
            lifted += weight * padded[:, row, column]
    lifted *= table.in_view.reshape(-1)
    return lifted.reshape(channels, *table.in_view.shape)
