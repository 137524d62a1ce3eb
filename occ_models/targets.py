"""Training targets made from full-resolution labels."""

from pathlib import Path

import numpy as np

from occ_core import Grid
from occ_core.compiled import compiled
from occ_core.taxonomy import IGNORE, NUM_CLASSES
from occ_data import DataError
from occ_data.kitti import read_gray

CERTAIN = 254
"""Gray value of probability 1 in the geometric teacher's files."""


def project_labels(uv: np.ndarray, depth: np.ndarray, labels: np.ndarray, image_size, shape: tuple[int, int]):
    """Sparse label map of projected points: the nearest point of each cell wins, IGNORE where none falls.

    uv : (N, 2) pixels of an image of `image_size` (width, height), NaN behind the camera; labels : (N,) uint8.
    Returns `shape` (h, w) uint8.
    """
    return nearest_wins(uv, depth, labels, IGNORE, image_size, shape)


def nearest_wins(uv: np.ndarray, depth: np.ndarray, values: np.ndarray, other, image_size, shape: tuple[int, int]):
    """As `project_labels`, of any values (N,); `other` where no point falls."""
    height, width = shape
    with np.errstate(invalid="ignore"):
        inside = np.all((uv >= 0) & (uv < image_size), axis=1)
    column = (uv[inside, 0] * width / image_size[0]).astype(int)
    row = (uv[inside, 1] * height / image_size[1]).astype(int)
    far_first = np.argsort(-depth[inside], kind="stable")
    target = np.full(shape, other, values.dtype)
    target[row[far_first], column[far_first]] = values[inside][far_first]
    return target


def vote_labels(points: np.ndarray, classes: np.ndarray, grid: Grid) -> np.ndarray:
    """The most frequent known class among a voxel's points (the smaller id where they tie), (X, Y, Z) uint8.

    points : (N, >=3) metres; classes : (N,) uint8. IGNORE where at most one point lies (OccLE section 3.5.1) or none
    has a class. For voxels larger than surface details it replaces eq. 2, which samples at the voxel's centre.
    """
    return _vote(points, classes, np.array(grid.origin), grid.voxel_size, grid.shape)


def lift_labels(pixels: np.ndarray, lifting: np.ndarray, points: np.ndarray, grid: Grid) -> np.ndarray:
    """Eq. 2 on a class map: each voxel gets the class of the pixel on which its centre falls, (X, Y, Z) uint8.

    pixels : (H, W) uint8; lifting : (1, X*Y, Z, 2), -1..1 across the image; points : (N, >=3) metres. IGNORE outside
    the image and where at most one point lies (OccLE section 3.5.1).
    """
    u, v = np.moveaxis(lifting.reshape(*grid.shape, 2), -1, 0)
    seen = (np.abs(u) < 1) & (np.abs(v) < 1)
    seen &= vote_labels(points, np.ones(len(points), np.uint8), grid) != IGNORE  # more than one point
    height, width = pixels.shape
    labels = np.full(grid.shape, IGNORE, np.uint8)
    labels[seen] = pixels[((v[seen] + 1) / 2 * height).astype(int), ((u[seen] + 1) / 2 * width).astype(int)]
    return labels


@compiled
def _vote(points, classes, origin, size, shape):
    votes = np.zeros((shape[0], shape[1], shape[2], NUM_CLASSES), np.uint16)
    for n in range(len(points)):
        # Compared before it becomes an integer, as NaN and huge numbers have no cell.
        x, y, z = (
            (points[n, 0] - origin[0]) / size,
            (points[n, 1] - origin[1]) / size,
            (points[n, 2] - origin[2]) / size,
        )
        if 0 <= x < shape[0] and 0 <= y < shape[1] and 0 <= z < shape[2]:
            cell = votes[int(x), int(y), int(z)]
            cell[0] += 1
            if 0 < classes[n] < NUM_CLASSES:
                cell[classes[n]] += 1
    labels = np.full(shape, IGNORE, np.uint8)
    for i in range(shape[0]):
        for j in range(shape[1]):
            for k in range(shape[2]):
                winner = 1 + np.argmax(votes[i, j, k, 1:])
                if votes[i, j, k, 0] > 1 and votes[i, j, k, winner]:
                    labels[i, j, k] = winner
    return labels


def read_geometry(path: Path, shape: tuple[int, int, int], thresholds: tuple[float, float]) -> np.ndarray:
    """A frame's teacher labels (X, Y, Z) uint8: 0 free, 1 occupied, IGNORE where it is not certain."""
    pixels = read_gray(path)
    if pixels.dtype != np.uint8 or pixels.size != np.prod(shape):
        raise DataError(f"{path}: {pixels.shape} {pixels.dtype}; expected the probabilities of a grid of {shape}")
    pixels = pixels.reshape(shape).astype(int)
    labels = np.where(pixels > CERTAIN // 2, 1, 0)
    # Divided last, as `class_thresholds` does: a threshold is itself one of these numbers.
    certain = np.where(labels, pixels / CERTAIN >= thresholds[1], (CERTAIN - pixels) / CERTAIN >= thresholds[0])
    return np.where(certain, labels, IGNORE).astype(np.uint8)
