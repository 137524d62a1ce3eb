"""Labelled voxels drawn on the camera image."""

import numpy as np

from .calibration import Calibration
from .compiled import compiled
from .occupancy import Occupancy, visible_voxels, voxel_positions
from .taxonomy import COLORS

NEAREST = 2.0
"""Metres: closer voxels would cover the picture."""


def draw_overlay(image: np.ndarray, occupancy: Occupancy, calibration: Calibration, opacity: float = 0.5) -> np.ndarray:
    """Each visible voxel as a square of its projected size, the nearest on top, blended with the image.

    image : (H, W, 3) uint8 RGB of the calibration's size; returns a new one.
    """
    nearest = _nearest_label(*_squares(occupancy, calibration), (image.shape[0], image.shape[1]))
    return _blend(np.ascontiguousarray(image), nearest, COLORS, round(256 * opacity))


def _squares(occupancy: Occupancy, calibration: Calibration) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The squares to draw: centre (M, 2) and half width (M,) in pixels, labels (M,); from near to far."""
    flat = visible_voxels(occupancy.labels)
    uv, depth = calibration.project_grid(voxel_positions(flat, occupancy.grid))
    half = 0.5 * occupancy.grid.voxel_size * calibration.P[0, 0] / np.maximum(depth, NEAREST)
    reach = half[:, None] * (1, 1)
    with np.errstate(invalid="ignore"):
        seen = (depth >= NEAREST) & np.all((uv > -reach) & (uv < calibration.image_size + reach), axis=1)
    order = np.argsort(depth[seen], kind="stable")
    index = np.flatnonzero(seen)[order]
    return uv[index], half[index], occupancy.labels.reshape(-1)[flat[index]]


def _nearest_label(uv: np.ndarray, half: np.ndarray, labels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(H, W) uint8: the class of the nearest square over each pixel, 0 where none; 128 is added on its rim."""
    return _paint(uv, half, labels, np.zeros(shape, np.uint8))


@compiled
def _paint(uv, half, labels, painted):
    height, width = painted.shape
    # Next pixel of a row that is still free, so that covered ones cost nothing: a row is walked once, not once a voxel.
    free = np.empty((height, width + 1), np.int32)
    for v in range(height):
        for u in range(width + 1):
            free[v, u] = u
    for n in range(len(labels)):
        left, right = int(np.floor(uv[n, 0] - half[n] + 0.5)), int(np.floor(uv[n, 0] + half[n] + 0.5))
        top, bottom = int(np.floor(uv[n, 1] - half[n] + 0.5)), int(np.floor(uv[n, 1] + half[n] + 0.5))
        if left >= width:
            continue
        rim = half[n] >= 2.5
        for v in range(max(top, 0), min(bottom + 1, height)):
            u = _find_free(free[v], max(left, 0))
            while u <= right and u < width:
                on_rim = rim and (u in (left, right) or v in (top, bottom))
                painted[v, u] = labels[n] + 128 if on_rim else labels[n]
                free[v, u] = u + 1
                u = _find_free(free[v], u + 1)
    return painted


@compiled
def _find_free(row, u):
    """The first free pixel at or right of u, halving the path on the way (union-find)."""
    while row[u] != u:
        row[u] = row[row[u]]
        u = row[u]
    return u


def nearest_label_ref(uv: np.ndarray, half: np.ndarray, labels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """`_nearest_label` in plain numpy: a painter that begins with the farthest."""
    painted = np.zeros(shape, np.uint8)
    for (u, v), h, label in zip(uv[::-1], half[::-1], labels[::-1], strict=True):
        (left, right), (top, bottom) = (np.floor(np.array((c - h, c + h)) + 0.5).astype(int) for c in (u, v))
        rows, columns = slice(max(top, 0), max(bottom + 1, 0)), slice(max(left, 0), max(right + 1, 0))
        painted[rows, columns] = label
        if h >= 2.5:
            for v_rim in (top, bottom):
                if 0 <= v_rim < shape[0]:
                    painted[v_rim, columns] = label + 128
            for u_rim in (left, right):
                if 0 <= u_rim < shape[1]:
                    painted[rows, u_rim] = label + 128
    return painted


@compiled
def _blend(image, nearest, colors, opacity):
    height, width = nearest.shape
    blended = np.empty_like(image)
    for v in range(height):
        for u in range(width):
            label = nearest[v, u] & 127
            # The rim is drawn at half the colour, so that single voxels can be told apart.
            dim = 1 if nearest[v, u] & 128 else 0
            for c in range(3):
                if label:
                    value = np.int32(image[v, u, c]) * (256 - opacity) + (np.int32(colors[label, c]) >> dim) * opacity
                    blended[v, u, c] = value >> 8
                else:
                    blended[v, u, c] = image[v, u, c]
    return blended
