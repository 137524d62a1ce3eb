"""Point cloud -> voxel features (VoxelNet's seven, OccLE section 3.2) and occupancy grid."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .compiled import compiled
from .errors import InputError
from .grid import Grid

POINT_FEATURES = 7
"""x, y, z, intensity, and the offsets x-cx, y-cy, z-cz from the voxel's centre."""


@dataclass(frozen=True)
class VoxelizerConfig:
    """How the cloud becomes voxel features.

    factor: voxel edge in grid voxels; max_points: points kept a voxel; max_voxels: fixed number of rows.
    """

    factor: int = 1
    max_points: int = 35
    max_voxels: int = 32768

    def __post_init__(self):
        for name in ("factor", "max_points", "max_voxels"):
            if not getattr(self, name) >= 1:
                raise InputError(f"voxelizer.{name}: expected a positive integer, got {getattr(self, name)!r}")


class Voxels(NamedTuple):
    """Row 0 stands for every empty voxel and stays zero, so that features spread over the grid by one Gather.

    features : (max_voxels, max_points, 7) float32, zero beyond each row's count
    counts : (max_voxels,) int32, points kept in the row
    table : (X, Y, Z) int32, row of each voxel, 0 where empty
    lost : occupied voxels that found no row
    """

    features: np.ndarray
    counts: np.ndarray
    table: np.ndarray
    lost: int


def voxelize(points: np.ndarray, grid: Grid, config: VoxelizerConfig) -> Voxels:
    """Group points by voxel, keeping each voxel's first `max_points` in input order.

    The paper draws them at random: shuffle the points first to train that way.

    Parameters
    ----------
    points : (N, 4) x, y, z in metres (LiDAR frame), intensity; points outside the grid or not finite are left out
    grid : the full grid; voxels are `config.factor` times as long
    """
    coarse = grid.coarsen(config.factor)
    features = np.zeros((config.max_voxels, config.max_points, POINT_FEATURES), np.float32)
    counts = np.zeros(config.max_voxels, np.int32)
    table = np.zeros(coarse.shape, np.int32)
    lost = _voxelize(_cloud(points), np.array(coarse.origin), coarse.voxel_size, features, counts, table)
    return Voxels(features, counts, table, lost)


@compiled
def _voxelize(points, origin, size, features, counts, table):
    nx, ny, nz = table.shape
    rows, lost = 1, 0
    for n in range(len(points)):
        x, y, z, intensity = points[n]
        # Negated so that NaN and infinity fall out here, before the conversion to an integer.
        sx, sy, sz = (x - origin[0]) / size, (y - origin[1]) / size, (z - origin[2]) / size
        if not (0 <= sx < nx and 0 <= sy < ny and 0 <= sz < nz):
            continue
        i, j, k = int(sx), int(sy), int(sz)
        row = table[i, j, k]
        if row == 0:
            if rows == len(counts):
                table[i, j, k] = -1
                lost += 1
                continue
            row = rows
            table[i, j, k] = row
            rows += 1
        if row < 0 or counts[row] == features.shape[1]:
            continue
        slot = features[row, counts[row]]
        counts[row] += 1
        slot[0], slot[1], slot[2] = x, y, z
        slot[3] = intensity if np.isfinite(intensity) else 0.0
        slot[4] = x - (origin[0] + size * (i + 0.5))
        slot[5] = y - (origin[1] + size * (j + 0.5))
        slot[6] = z - (origin[2] + size * (k + 0.5))
    if lost:
        for i in range(nx):
            for j in range(ny):
                for k in range(nz):
                    table[i, j, k] = max(table[i, j, k], 0)
    return lost


def voxelize_ref(points: np.ndarray, grid: Grid, config: VoxelizerConfig) -> Voxels:
    """The same in plain numpy: executable specification of `voxelize`."""
    coarse = grid.coarsen(config.factor)
    index, inside = coarse.index_of(points)
    kept = np.asarray(points, np.float32)[inside]
    flat = np.ravel_multi_index(index.T, coarse.shape) if len(index) else np.zeros(0, np.int64)
    voxels, first, voxel_of_point = np.unique(flat, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first, kind="stable"), kind="stable")  # rows in order of first appearance
    row_of_point = rank[voxel_of_point] + 1
    order = np.argsort(row_of_point, kind="stable")
    starts = np.searchsorted(row_of_point[order], np.arange(1, len(voxels) + 1))
    slot_of_point = np.empty(len(flat), np.int64)
    slot_of_point[order] = np.arange(len(flat)) - starts[row_of_point[order] - 1]
    use = (row_of_point < config.max_voxels) & (slot_of_point < config.max_points)

    features = np.zeros((config.max_voxels, config.max_points, POINT_FEATURES), np.float32)
    centers = coarse.origin + coarse.voxel_size * (index[use] + 0.5)
    intensity = np.nan_to_num(kept[use, 3:4], posinf=0, neginf=0)
    values = np.concatenate([kept[use, :3], intensity, kept[use, :3] - centers], 1)
    features[row_of_point[use], slot_of_point[use]] = values
    counts = np.bincount(row_of_point[use], minlength=config.max_voxels).astype(np.int32)
    table = np.zeros(coarse.shape, np.int32)
    rows = np.where(rank + 1 < config.max_voxels, rank + 1, 0)
    table.reshape(-1)[voxels] = rows
    return Voxels(features, counts, table, int((rows == 0).sum()))


def occupancy_grid(points: np.ndarray, grid: Grid) -> np.ndarray:
    """Which voxels hold a point: (X, Y, Z) uint8, as SemanticKITTI's `.bin` holds them for a scan."""
    occupied = np.zeros(grid.shape, np.uint8)
    _occupancy(_cloud(points), np.array(grid.origin), grid.voxel_size, occupied)
    return occupied


@compiled
def _occupancy(points, origin, size, occupied):
    nx, ny, nz = occupied.shape
    for n in range(len(points)):
        x, y, z, _ = points[n]
        sx, sy, sz = (x - origin[0]) / size, (y - origin[1]) / size, (z - origin[2]) / size
        if 0 <= sx < nx and 0 <= sy < ny and 0 <= sz < nz:
            occupied[int(sx), int(sy), int(sz)] = 1


def occupancy_grid_ref(points: np.ndarray, grid: Grid) -> np.ndarray:
    """`occupancy_grid` in plain numpy."""
    occupied = np.zeros(grid.shape, np.uint8)
    occupied[tuple(grid.index_of(points)[0].T)] = 1
    return occupied


def _cloud(points: np.ndarray) -> np.ndarray:
    points = np.ascontiguousarray(points, np.float32)
    if points.ndim != 2 or points.shape[1] != 4:
        raise ValueError(f"points: expected shape (N, 4): x, y, z, intensity; got {points.shape}")
    return points
