"""What a labelled grid means to a robot: obstacles above the local ground, and the cost of each column.

Heights are measured from the local ground, so that slopes are no obstacles and a low box is one. A voxel is an obstacle
where it reaches into the robot's band: its top is above `clearance_low`, its bottom below `robot_height`. The ground is
taken at the centre of its own voxel. With voxels of 0.2 m and a `clearance_low` below 0.3 m, whatever reaches into the
voxel above the ground's counts: everything higher than 0.2 m, some of what is lower.
"""

from dataclasses import dataclass

import numpy as np

from .class_costs import LETHAL
from .compiled import compiled
from .grid import Grid
from .local_ground import IS_GROUND
from .occupancy import Occupancy
from .taxonomy import IGNORE

CONFIDENT = 204
"""Confidence, 80 % of 255, from which `column_costs` uses a completed voxel that no LiDAR point is near."""

_ROUNDING = 1e-4  # voxels


@dataclass(frozen=True)
class Band:
    """The heights, metres above the local ground, between which the robot touches things."""

    clearance_low: float = 0.25
    robot_height: float = 2.0


def obstacle_voxels(labels: np.ndarray, ground: np.ndarray, grid: Grid, costs: np.ndarray, band: Band) -> np.ndarray:
    """Flat indices (M,) int32, ascending, of voxels that a robot must not drive into.

    Parameters
    ----------
    labels : (X, Y, Z) uint8; ground : (X, Y) metres, of `local_ground.ground_heights`
    costs : (256,) of `class_costs`: classes of cost 100 are obstacles, except those of the ground
    """
    touchable = (costs < LETHAL) | IS_GROUND
    first, end = _layers(ground, grid, band)
    return _obstacles(np.ascontiguousarray(labels), first, end, touchable)


def _layers(ground: np.ndarray, grid: Grid, band: Band) -> tuple[np.ndarray, np.ndarray]:
    """(X, Y) int32 each: the voxels of a column from `first` up to, not including, `end` reach into the band."""
    return _layers_of(ground, grid.origin[2], grid.voxel_size, grid.shape[2], band.clearance_low, band.robot_height)


@compiled
def _layers_of(ground, bottom, size, nz, low, high):
    first, end = np.empty(ground.shape, np.int32), np.empty(ground.shape, np.int32)
    for i in range(ground.shape[0]):
        for j in range(ground.shape[1]):
            level = np.float64(ground[i, j]) - bottom
            first[i, j] = min(max(np.floor((level + low) / size + _ROUNDING), 0), nz)
            end[i, j] = min(max(np.ceil((level + high) / size - _ROUNDING), 0), nz)
    return first, end


@compiled
def _obstacles(labels, first, end, touchable):
    nx, ny, nz = labels.shape
    found = np.empty(labels.size, np.int32)
    count = 0
    for i in range(nx):
        for j in range(ny):
            for k in range(first[i, j], end[i, j]):
                if not touchable[labels[i, j, k]]:
                    found[count] = (i * ny + j) * nz + k
                    count += 1
    return found[:count].copy()


def seen_voxels(flat: np.ndarray, hits: np.ndarray | None) -> np.ndarray:
    """(M,) uint8: 1 where a LiDAR point is in the voxel or one of the 26 around it, of flat indices (M,).

    hits : (X, Y, Z) uint8; None, for a network without a cloud, means that nothing was seen.
    """
    if hits is None:
        return np.zeros(len(flat), np.uint8)
    return _seen(flat, np.ascontiguousarray(hits))


@compiled
def _is_seen(hits, i, j, k):
    nx, ny, nz = hits.shape
    bottom, top = max(k - 1, 0), min(k + 1, nz - 1)
    if hits[i, j, bottom] | hits[i, j, k] | hits[i, j, top]:
        return True
    for a in range(max(i - 1, 0), min(i + 2, nx)):
        for b in range(max(j - 1, 0), min(j + 2, ny)):
            if hits[a, b, bottom] | hits[a, b, k] | hits[a, b, top]:
                return True
    return False


@compiled
def _seen(flat, hits):
    _, ny, nz = hits.shape
    seen = np.empty(len(flat), np.uint8)
    for n in range(len(flat)):
        column = flat[n] // nz
        seen[n] = _is_seen(hits, column // ny, column % ny, flat[n] % nz)
    return seen


def column_costs(
    occupancy: Occupancy, ground: np.ndarray, costs: np.ndarray, band: Band, confident: int = CONFIDENT
) -> np.ndarray:
    """Cost of each column, (X, Y) int8: 0 free to 100 lethal, -1 unknown.

    The highest cost among its ground voxels up to `robot_height` and its other voxels in the band; crowns and bridges
    above it do not count, and what lies flat below `clearance_low` costs nothing. A column is unknown where it has no
    such voxel, or where none with the highest cost was seen (`seen_voxels`) or is at least as confident as `confident`.
    LiDAR points in the band where the network sees nothing count as the highest: what may be an obstacle is not free.
    """
    first, end = _layers(ground, occupancy.grid, band)
    labels = np.ascontiguousarray(occupancy.labels)
    hits = np.zeros((0, 0, 0), np.uint8) if occupancy.hits is None else np.ascontiguousarray(occupancy.hits)
    return _costs(labels, occupancy.confidence, hits, first, end, costs, IS_GROUND, confident)


@compiled
def _costs(labels, confidence, hits, first, end, costs, is_ground, confident):
    nx, ny, _ = labels.shape
    view = np.full((nx, ny), -1, np.int8)
    for i in range(nx):
        for j in range(ny):
            highest, sure = -1, -1
            for k in range(end[i, j]):
                label = labels[i, j, k]
                if label == 0 or label == IGNORE:
                    if hits.size and hits[i, j, k] and k >= first[i, j]:
                        highest = LETHAL
                    continue
                cost = costs[label] if is_ground[label] or k >= first[i, j] else 0
                highest = max(highest, cost)
                if cost > sure and (confidence[i, j, k] >= confident or (hits.size and _is_seen(hits, i, j, k))):
                    sure = cost
            if sure == highest:
                view[i, j] = sure
    return view


def obstacle_voxels_ref(
    labels: np.ndarray, ground: np.ndarray, grid: Grid, costs: np.ndarray, band: Band
) -> np.ndarray:
    """`obstacle_voxels` in plain numpy."""
    lethal = (costs[labels] == LETHAL) & ~IS_GROUND[labels]
    return np.flatnonzero(lethal & _reaches(ground, grid, band.clearance_low, band.robot_height)).astype(np.int32)


def _reaches(ground: np.ndarray, grid: Grid, low: float, high: float) -> np.ndarray:
    """(X, Y, Z) bool: the voxel's top is higher above the ground than `low`, its bottom lower than `high`."""
    bottom = grid.origin[2] + grid.voxel_size * np.arange(grid.shape[2])
    above = bottom - ground[..., None].astype(float)
    hair = _ROUNDING * grid.voxel_size
    return (above + grid.voxel_size > low + hair) & (above < high - hair)


def seen_voxels_ref(flat: np.ndarray, hits: np.ndarray) -> np.ndarray:
    """`seen_voxels` in plain numpy."""
    around = np.lib.stride_tricks.sliding_window_view(np.pad(hits, 1), (3, 3, 3))
    return around.any((3, 4, 5)).reshape(-1)[flat].astype(np.uint8)


def column_costs_ref(
    occupancy: Occupancy, ground: np.ndarray, costs: np.ndarray, band: Band, confident: int = CONFIDENT
) -> np.ndarray:
    """`column_costs` in plain numpy."""
    labels, grid = occupancy.labels, occupancy.grid
    occupied = (labels > 0) & (labels != IGNORE) & _reaches(ground, grid, -np.inf, band.robot_height)
    known = occupancy.confidence >= confident
    if occupancy.hits is not None:
        known |= seen_voxels_ref(np.arange(labels.size), occupancy.hits).reshape(labels.shape) > 0
    counts = IS_GROUND[labels] | _reaches(ground, grid, band.clearance_low, np.inf)
    by_voxel = np.where(occupied, np.where(counts, costs[labels], 0), -1)
    sure = np.where(known, by_voxel, -1).max(2)
    if occupancy.hits is not None:
        empty = (labels == 0) | (labels == IGNORE)
        in_band = _reaches(ground, grid, band.clearance_low, band.robot_height)
        by_voxel = np.where(empty & in_band & (occupancy.hits > 0), LETHAL, by_voxel)
    highest = by_voxel.max(2)
    return np.where(sure == highest, highest, -1).astype(np.int8)
