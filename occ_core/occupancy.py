"""Labelled voxels and what is shown of them: occupied and visible voxels, their positions."""

from dataclasses import dataclass

import numpy as np

from .compiled import compiled
from .grid import Grid
from .taxonomy import IGNORE


@dataclass(frozen=True, eq=False)
class Occupancy:
    """labels, confidence : (X, Y, Z) uint8; labels 0 empty, 1..19; confidence 0..255: probability that the
    voxel is empty, or occupied, as labelled
    hits : (X, Y, Z) uint8, 1 where a LiDAR point is; None where the network needs no cloud
    """

    labels: np.ndarray
    confidence: np.ndarray
    grid: Grid
    hits: np.ndarray | None = None


def visible_voxels(labels: np.ndarray) -> np.ndarray:
    """Flat indices (M,) int32, ascending, of occupied voxels with a face towards an empty voxel or the grid's border.

    The others are hidden in every view from outside.
    """
    return _visible(np.ascontiguousarray(labels))


@compiled
def _visible(labels):
    nx, ny, nz = labels.shape
    found = np.empty(labels.size, np.int32)
    count = 0
    for i in range(nx):
        for j in range(ny):
            for k in range(nz):
                if labels[i, j, k] == 0 or labels[i, j, k] == IGNORE:
                    continue
                inner = 0 < i < nx - 1 and 0 < j < ny - 1 and 0 < k < nz - 1
                if inner and (
                    labels[i - 1, j, k] and labels[i + 1, j, k] and labels[i, j - 1, k]
                    and labels[i, j + 1, k] and labels[i, j, k - 1] and labels[i, j, k + 1]
                ):  # fmt: skip
                    continue
                found[count] = (i * ny + j) * nz + k
                count += 1
    return found[:count].copy()


def visible_voxels_ref(labels: np.ndarray) -> np.ndarray:
    """`visible_voxels` in plain numpy."""
    solid = np.pad(labels > 0, 1)
    core = (slice(1, -1),) * 3
    hidden = np.ones(labels.shape, bool)
    for axis in range(3):
        for step in (-1, 1):
            hidden &= np.roll(solid, step, axis)[core]
    return np.flatnonzero((labels > 0) & (labels != IGNORE) & ~hidden).astype(np.int32)


def occupied_voxels(labels: np.ndarray) -> np.ndarray:
    """Flat indices (M,) int32, ascending, of all occupied voxels."""
    return _occupied(np.ascontiguousarray(labels).reshape(-1))


@compiled
def _occupied(flat_labels):
    count = 0
    for label in flat_labels:
        count += label != 0 and label != IGNORE
    found = np.empty(count, np.int32)
    n = 0
    for index in range(len(flat_labels)):
        if flat_labels[index] != 0 and flat_labels[index] != IGNORE:
            found[n] = index
            n += 1
    return found


def voxel_positions(flat: np.ndarray, grid: Grid) -> np.ndarray:
    """Centres (M, 3) float32, metres in the grid frame, of flat voxel indices (M,)."""
    return _positions(np.ascontiguousarray(flat), grid.shape, np.array(grid.origin, float), grid.voxel_size)


@compiled
def _positions(flat, shape, origin, size):
    _, ny, nz = shape
    positions = np.empty((len(flat), 3), np.float32)
    for n in range(len(flat)):
        column = flat[n] // nz
        positions[n, 0] = origin[0] + size * (column // ny + 0.5)
        positions[n, 1] = origin[1] + size * (column % ny + 0.5)
        positions[n, 2] = origin[2] + size * (flat[n] % nz + 0.5)
    return positions
