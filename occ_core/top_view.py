"""Labelled voxels seen from above, coloured by class."""

import cv2
import numpy as np

from .compiled import compiled
from .taxonomy import COLORS, IGNORE

_UNKNOWN = (232, 235, 238)


def top_labels(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The highest occupied voxel of each column: class (X, Y) uint8, 0 where none, and height index (X, Y) int16."""
    return _top(np.ascontiguousarray(labels))


@compiled
def _top(labels):
    nx, ny, nz = labels.shape
    top, height = np.zeros((nx, ny), np.uint8), np.full((nx, ny), -1, np.int16)
    for i in range(nx):
        for j in range(ny):
            for k in range(nz - 1, -1, -1):
                if 0 < labels[i, j, k] != IGNORE:
                    top[i, j], height[i, j] = labels[i, j, k], k
                    break
    return top, height


def top_view(labels: np.ndarray, scale: int) -> np.ndarray:
    """The colour of the highest voxel of each column, higher ones lighter; x up, y left. RGB uint8, `scale` pixels a
    voxel.
    """
    top, height = top_labels(labels)
    palette = np.full((256, 3), _UNKNOWN, np.float32)
    palette[1 : len(COLORS)] = COLORS[1:]
    relief = 0.86 + 0.14 * np.clip(height, 0, None)[..., None] / max(1, labels.shape[2] - 1)
    image = palette[top] * np.where(top[..., None] > 0, relief, 1)
    image = image[::-1, ::-1].round().astype(np.uint8)
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
