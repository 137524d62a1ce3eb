"""Predictions on disk: SemanticKITTI's `.label` files, with a `grid.yaml` beside them where the grid is another."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from occ_core import IGNORE, Grid
from occ_core.taxonomy import raw_from_classes, voxels_from_raw
from occ_data.kitti import read_grid, read_voxel_labels, write_grid, write_voxel_labels


class Prediction(NamedTuple):
    """labels : (X, Y, Z) uint8 classes 0..19 on `grid`."""

    labels: np.ndarray
    grid: Grid


def prediction_file(root: Path, sequence: str, frame: str) -> Path:
    """Where SemanticKITTI's tools look for a frame's prediction."""
    return root / "sequences" / sequence / "predictions" / f"{frame}.label"


def write_prediction(path: Path, prediction: Prediction) -> Path:
    """Write the labels as raw ids, and the grid beside them; gives the path of the labels."""
    if read_grid(path.parent) != prediction.grid:
        write_grid(path.parent, prediction.grid)
    return write_voxel_labels(path, raw_from_classes(prediction.labels))


def read_prediction(path: Path) -> Prediction:
    """As SemanticKITTI's own evaluation reads it: raw ids without a class count as empty. Raises DataError."""
    grid = read_grid(path.parent)
    labels = voxels_from_raw(read_voxel_labels(path, grid.shape))
    labels[labels == IGNORE] = 0
    return Prediction(labels, grid)
