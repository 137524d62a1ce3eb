"""What one frame saw of its grid: the voxels with a LiDAR point, and those that the rays to them passed through."""

import numpy as np

from .compiled import compiled
from .local_ground import IS_GROUND
from .occupancy import Occupancy
from .taxonomy import NUM_CLASSES

LABEL, HIT, SEEN_FREE = 0x1F, 0x20, 0x40
"""Bits of a voxel's code: its class; a LiDAR point is in it; a ray passed through it."""

_BEFORE_HIT = 1.5
_ABOVE_GROUND = 2.0
"""Voxels: rays do not free what is nearer to their end, nor, where they end on the ground, what is less far above their
end. A ray that grazes the ground passes through voxels whose ground it never hits."""
_KNOWN = 2
"""Voxels in a row that other rays passed through, after which a ray ends: the rest of the way to the sensor is the same
within a voxel (as in voxblox's fast integrator, Oleynikova et al. 2017)."""


def codes_of(occupancy: Occupancy, sensors: np.ndarray) -> np.ndarray:
    """(X, Y, Z) uint8: the class (0 where it is IGNORE) with HIT and SEEN_FREE.

    Rays are traced from the middle of each hit voxel to the nearest sensor (Amanatides and Woo 1987).

    sensors : (S, 3) metres in the grid frame
    """
    labels, grid = occupancy.labels, occupancy.grid
    codes = np.array(labels, order="C")
    if codes.max() >= NUM_CLASSES:
        codes[codes >= NUM_CLASSES] = 0
    if occupancy.hits is not None and len(sensors):
        hits = np.flatnonzero(np.ascontiguousarray(occupancy.hits).view(np.bool_))
        codes.reshape(-1)[hits] |= HIT
        places = (np.asarray(sensors, np.float64) - grid.origin) / grid.voxel_size
        _mark(codes, hits, places, IS_GROUND)
    return codes


@compiled
def _mark(codes, flat, sensors, is_ground):
    shape = codes.shape
    voxel, step = np.empty(3, np.int64), np.empty(3, np.int64)
    t_next, t_step = np.empty(3), np.empty(3)
    end, way = np.empty(3), np.empty(3)
    for n in range(len(flat)):
        column = flat[n] // shape[2]
        end[0], end[1], end[2] = column // shape[1] + 0.5, column % shape[1] + 0.5, flat[n] % shape[2] + 0.5
        nearest = np.inf
        for s in range(len(sensors)):
            square = 0.0
            for a in range(3):
                square += (sensors[s, a] - end[a]) ** 2
            if square < nearest:
                nearest = square
                for a in range(3):
                    way[a] = sensors[s, a] - end[a]
        # From the hit, t = 0, to the sensor, t = 1.
        start = _BEFORE_HIT / np.sqrt(nearest)
        if is_ground[codes[int(end[0]), int(end[1]), int(end[2])] & LABEL]:
            start = max(start, _ABOVE_GROUND / way[2]) if way[2] > 0 else 1.0
        if start >= 1:
            continue
        known = 0
        for a in range(3):
            place = end[a] + start * way[a]
            voxel[a] = int(np.floor(place))
            step[a] = 1 if way[a] > 0 else -1
            t_step[a] = np.inf if way[a] == 0 else abs(1 / way[a])
            t_next[a] = np.inf if way[a] == 0 else (voxel[a] + (way[a] > 0) - end[a]) / way[a]
        while 0 <= voxel[0] < shape[0] and 0 <= voxel[1] < shape[1] and 0 <= voxel[2] < shape[2]:
            code = codes[voxel[0], voxel[1], voxel[2]]
            known = known + 1 if code & SEEN_FREE else 0
            if known == _KNOWN:
                break
            if not code & HIT:
                codes[voxel[0], voxel[1], voxel[2]] = code | SEEN_FREE
            axis = 0 if t_next[0] < t_next[1] else 1
            axis = axis if t_next[axis] < t_next[2] else 2
            if t_next[axis] >= 1:  # the sensor is in this voxel
                break
            voxel[axis] += step[axis]
            t_next[axis] += t_step[axis]
