"""Labelled voxels and what is shown of them: visible voxels, bird's-eye view, point lists."""

from dataclasses import dataclass

import numpy as np

from .compiled import compiled
from .grid import Grid
from .taxonomy import CLASS_NAMES, IGNORE

DRIVABLE = tuple(CLASS_NAMES.index(name) for name in ("road", "parking"))


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
    flat = labels.reshape(-1)
    return np.flatnonzero((flat > 0) & (flat != IGNORE)).astype(np.int32)


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


def birds_eye_view(
    labels: np.ndarray, grid: Grid, drivable: tuple[int, ...] = DRIVABLE, clearance: float = 2.5
) -> np.ndarray:
    """Columns as nav2 reads them: 0 drivable, 100 obstacle, -1 unknown. (X, Y) int8.

    A column whose lowest voxel is drivable is an obstacle only if something else is within `clearance` metres above
    it (crowns and bridges do not block the road); any other column is an obstacle if anything is in it.
    """
    is_drivable = np.zeros(256, np.bool_)
    is_drivable[list(drivable)] = True
    return _birds_eye(np.ascontiguousarray(labels), is_drivable, round(clearance / grid.voxel_size))


@compiled
def _birds_eye(labels, is_drivable, clearance):
    nx, ny, nz = labels.shape
    view = np.full((nx, ny), -1, np.int8)
    for i in range(nx):
        for j in range(ny):
            floor = -1
            for k in range(nz):
                label = labels[i, j, k]
                if label == 0 or label == IGNORE:
                    continue
                if is_drivable[label]:
                    if floor < 0 and view[i, j] < 0:
                        floor = k
                        view[i, j] = 0
                elif floor < 0 or k - floor <= clearance:
                    view[i, j] = 100
                    break
    return view
