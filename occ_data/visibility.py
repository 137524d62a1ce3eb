"""What a scan observed of a voxel grid: rays mark free voxels, its range image fills the gaps between them, and voxels
between two returns from one surface are left out again."""

import numpy as np

from occ_core.compiled import compiled

CELL = np.deg2rad(0.6)
"""Edge of a range image's cells: wider than the gap between the HDL-64E's beams, so that a solid object fills all."""


@compiled
def carve(origin, ends, seen):
    """Mark the voxels that rays pass through (Amanatides and Woo 1987), without the voxels of their ends.

    origin : (3,) and ends : (N, 3) float64 in voxel units; seen : (X, Y, Z) bool, marked in place
    """
    shape = seen.shape
    voxel = np.empty(3, np.int64)
    step = np.empty(3, np.int64)
    t_next = np.empty(3)
    t_step = np.empty(3)
    for n in range(len(ends)):
        # The part of the ray inside the box: t in [t_in, t_out], 0 at the sensor and 1 at the hit.
        t_in, t_out = 0.0, 1.0
        for a in range(3):
            d = ends[n, a] - origin[a]
            if d == 0:
                if not 0 <= origin[a] < shape[a]:
                    t_out = -1.0
                continue
            t0, t1 = -origin[a] / d, (shape[a] - origin[a]) / d
            t_in, t_out = max(t_in, min(t0, t1)), min(t_out, max(t0, t1))
        if not t_in < t_out:
            continue
        for a in range(3):
            d = ends[n, a] - origin[a]
            voxel[a] = min(max(int(np.floor(origin[a] + t_in * d)), 0), shape[a] - 1)
            step[a] = 1 if d > 0 else -1
            t_step[a] = np.inf if d == 0 else abs(1 / d)
            t_next[a] = np.inf if d == 0 else (voxel[a] + (d > 0) - origin[a]) / d
        while True:
            axis = 0 if t_next[0] < t_next[1] else 1
            axis = axis if t_next[axis] < t_next[2] else 2
            if t_next[axis] >= 1:  # the ray ends in this voxel
                break
            seen[voxel[0], voxel[1], voxel[2]] = True
            voxel[axis] += step[axis]
            t_next[axis] += t_step[axis]
            if voxel[axis] < 0 or voxel[axis] >= shape[axis]:
                break


def carve_ref(origin: np.ndarray, ends: np.ndarray, seen: np.ndarray) -> None:
    """`carve` in plain numpy: every ray is cut at all voxel faces, and the middle of each piece names its voxel."""
    for end in np.asarray(ends, np.float64):
        direction = end - origin
        cuts = [np.array([0.0, 1.0])]
        for axis, length in enumerate(seen.shape):
            if direction[axis]:
                cuts.append((np.arange(length + 1) - origin[axis]) / direction[axis])
        cuts = np.unique(np.clip(np.concatenate(cuts), 0, 1))
        middles = origin + direction * ((cuts[1:] + cuts[:-1]) / 2)[:, None]
        voxels = np.floor(middles).astype(int)
        passed = np.all((voxels >= 0) & (voxels < seen.shape), 1) & np.any(voxels != np.floor(end), 1)
        seen[tuple(voxels[passed].T)] = True


def range_image(points: np.ndarray, far: float) -> np.ndarray:
    """The nearest range in each direction, (elevation, azimuth) cells of `CELL` from straight down to the top beam.

    points : (N, 3) metres from the sensor. A cell without a return reads `far` above the horizon (open sky) and 0,
    nothing known, below it (dark surfaces swallow rays). Azimuth runs from -pi and wraps.
    """
    distance = np.linalg.norm(points, axis=1)
    elevation = np.arcsin(points[:, 2] / distance)
    row = ((elevation + np.pi / 2) / CELL).astype(np.int64)
    column = ((np.arctan2(points[:, 1], points[:, 0]) + np.pi) / CELL).astype(np.int64)
    # Stray returns above the sensor's top beam get no rows of their own.
    rows = int((np.quantile(elevation, 0.999) + np.pi / 2) / CELL) + 1 if len(points) else 1
    columns = int(np.ceil(2 * np.pi / CELL))
    image = np.full((rows, columns), np.inf)
    np.minimum.at(image, (np.minimum(row, rows - 1), np.minimum(column, columns - 1)), distance)
    horizon = int(np.pi / 2 / CELL) + 1
    image[:horizon][np.isinf(image[:horizon])] = 0
    image[np.isinf(image)] = far
    # The last row is used for everything above it: a wall just below the top beam is assumed to continue upwards.
    image[-1] = image[-3:].min(axis=0)
    return image


@compiled
def mark_in_sight(image, T_scan_grid, seen):
    """Mark the voxels whose centre is nearer than everything the scan hit around its direction (2 x 2 cells).

    image : see `range_image`; above its last row that row counts
    T_scan_grid : (4, 4) voxel units -> metres from the sensor; seen : (X, Y, Z) bool, marked in place
    """
    rows, columns = image.shape
    nx, ny, nz = seen.shape
    margin = np.sqrt(T_scan_grid[0, 2] ** 2 + T_scan_grid[1, 2] ** 2 + T_scan_grid[2, 2] ** 2)  # one voxel
    T = T_scan_grid
    for i in range(nx):
        for j in range(ny):
            for k in range(nz):
                if seen[i, j, k]:
                    continue
                u, v, w = i + 0.5, j + 0.5, k + 0.5
                x = T[0, 0] * u + T[0, 1] * v + T[0, 2] * w + T[0, 3]
                y = T[1, 0] * u + T[1, 1] * v + T[1, 2] * w + T[1, 3]
                z = T[2, 0] * u + T[2, 1] * v + T[2, 2] * w + T[2, 3]
                flat = np.sqrt(x * x + y * y)
                row = int((np.arctan2(z, flat) + np.pi / 2) / CELL - 0.5)
                column = int(np.floor((np.arctan2(y, x) + np.pi) / CELL - 0.5))
                nearest = np.inf
                for r in range(row, row + 2):
                    for c in range(column, column + 2):
                        nearest = min(nearest, image[min(r, rows - 1), c % columns])
                if np.sqrt(flat * flat + z * z) + margin < nearest:
                    seen[i, j, k] = True


def mark_in_sight_ref(image: np.ndarray, T_scan_grid: np.ndarray, seen: np.ndarray) -> None:
    """`mark_in_sight` in plain numpy."""
    centers = np.stack(np.meshgrid(*(np.arange(n) + 0.5 for n in seen.shape), indexing="ij"), -1)
    x, y, z = np.moveaxis(centers @ T_scan_grid[:3, :3].T + T_scan_grid[:3, 3], -1, 0)
    row = ((np.arctan2(z, np.hypot(x, y)) + np.pi / 2) / CELL - 0.5).astype(int)
    column = np.floor((np.arctan2(y, x) + np.pi) / CELL - 0.5).astype(int)
    around = [
        image[np.minimum(row + r, image.shape[0] - 1), (column + c) % image.shape[1]] for r in (0, 1) for c in (0, 1)
    ]
    seen |= np.sqrt(x * x + y * y + z * z) + np.linalg.norm(T_scan_grid[:3, 2]) < np.min(around, 0)


BEAM_GAP = np.deg2rad(0.8)
AZIMUTH_STEP = np.deg2rad(0.2)
SURFACE_GAP = 3.0


def surface_gaps(points: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of returns that bound one piece of surface: adjacent beams, one azimuth, one class, at most 3 m apart.

    A ray that grazes the road passes through the very voxels whose ground it never hits; between two such returns
    nothing was seen to be free.

    points : (N, 3) metres from the sensor, classes : (N,). Returns the (M, 3) points at both ends.
    """
    azimuth = np.floor(np.arctan2(points[:, 1], points[:, 0]) / AZIMUTH_STEP)
    elevation = np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1]))
    order = np.lexsort((elevation, azimuth))
    low, high = order[:-1], order[1:]
    pair = (azimuth[low] == azimuth[high]) & (classes[low] == classes[high])
    pair &= elevation[high] - elevation[low] < BEAM_GAP
    pair &= np.linalg.norm(points[high] - points[low], axis=1) <= SURFACE_GAP
    return points[low[pair]], points[high[pair]]


def mark_segments(starts: np.ndarray, ends: np.ndarray, marked: np.ndarray) -> None:
    """Mark the voxels along straight segments, sampled twice a voxel. starts, ends : (N, 3) in voxel units."""
    samples = np.linspace(0, 1, 1 + int(2 * np.linalg.norm(ends - starts, axis=1).max(initial=0)))
    for t in samples:
        places = starts + t * (ends - starts)
        inside = np.all((places >= 0) & (places < marked.shape), axis=1)
        marked[tuple(places[inside].astype(np.int64).T)] = True
