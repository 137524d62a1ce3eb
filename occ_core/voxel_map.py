"""A map of voxels in a world-fixed frame: how frames are added to it, how it forgets, and what it says.

Each voxel has the log-odds of being occupied (Moravec and Elfes 1985; with limits, as in Hornung et al. 2013), the
class that leads the vote with its lead (Boyer and Moore 1991, weighted), and the time when a frame last said
"occupied". That is 5 bytes: 25.6 MB for 80 x 80 x 6.4 m at 0.2 m.
"""

import numpy as np

from .compiled import compiled
from .free_space import HIT, LABEL, SEEN_FREE, codes_of
from .grid import Grid
from .occupancy import Occupancy
from .taxonomy import CLASS_NAMES

MOVABLE = tuple(
    CLASS_NAMES.index(name)
    for name in (
        "car", "bicycle", "motorcycle", "truck", "other-vehicle", "person", "bicyclist", "motorcyclist"
    )
)  # fmt: skip
MOVABLE_DECAY = 1.5
"""Seconds after which a movable object that no frame confirms is forgotten."""
PARKED = 60
"""Lead in the vote from which a movable object counts as parked, and is kept as long as anything else: 20 frames."""

UNIT = 16
"""Log-odds are kept in 1/16, as int8."""
LOWEST, HIGHEST = -2 * UNIT, 5 * UNIT
"""Limits of the log-odds: what changed is believed after a few frames."""
OCCUPIED = 11
"""Log-odds from which a voxel counts as occupied: a probability of 2/3."""
TICK = 0.1
"""Seconds, the resolution of the time of the last confirmation."""
_SEEN_VOTE, _COMPLETED_VOTE = 4, 2
_SWEEP = 64
"""Every frame forgets what is too old in one part of so many; reading leaves it out before."""
_FOREVER = 1 << 16
_SHIFT = 20
_LABELS = np.uint64(0x0101010101010101 * LABEL)


def evidence_table() -> np.ndarray:
    """Change of the log-odds, (4, 256) int16 in 1/UNIT: by row, and by the network's confidence.

    Rows: predicted free; free, and a ray passed through; predicted occupied; occupied, and hit.
    "Free" counts for more than "occupied": the newest frame is the nearest one, and knows best what is not there. The
    weights were chosen on real and synthetic frames (benchmarks/map.py).
    """
    p = np.clip(np.arange(256) / 255, 0.5, 0.98)
    predicted = np.log(p / (1 - p))
    rows = [-1.4 * predicted, -1.4 * predicted - 1.0, predicted, predicted + 2.0]
    return np.rint(UNIT * np.array(rows)).astype(np.int16)


EVIDENCE = evidence_table()
_PROBABILITY = np.rint(255 / (1 + np.exp(-np.arange(-128, 128) / UNIT))).astype(np.uint8)


class VoxelMap:
    """Voxels of one size in a box of the map frame that may move by whole voxels; what leaves it is forgotten."""

    def __init__(self, shape: tuple[int, int, int], voxel_size: float, corner: tuple[int, int, int], decay: float):
        """corner : of the box, in whole voxels from the map frame's origin; decay : see below"""
        self.voxel_size = voxel_size
        self.decay = decay
        """Seconds after which what no frame confirms is forgotten, infinity for never; may be set at any time."""
        self._corner = np.array(corner, np.int64)
        # Voxel (x, y, z), counted from the map frame's origin, is kept at its remainder by the shape: nothing is moved
        # when the box moves. Where _odds is 0, nothing is known, and _notes holds anything; elsewhere the class in bits
        # 0 to 7, its lead in the vote in 8 to 15, and the time in ticks, modulo 65,536, in 16 to 31.
        self._odds, self._notes = np.zeros(shape, np.int8), np.zeros(shape, np.uint32)
        self._now, self._swept = 0, 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels of the box."""
        return self._odds.shape

    @property
    def corner(self) -> np.ndarray:
        """(3,) int64: the box's corner, in voxels from the map frame's origin."""
        return self._corner.copy()

    @property
    def grid(self) -> Grid:
        """The box in the map frame; its origin is a multiple of the voxel size."""
        x, y, z = (self._corner * self.voxel_size).tolist()
        return Grid(self.shape, self.voxel_size, (x, y, z))

    def clear(self) -> None:
        """Forget everything."""
        self._odds[:] = 0

    def move(self, corner: np.ndarray) -> None:
        """Move the box; corner : (3,) in voxels from the map frame's origin."""
        for axis, (old, new, length) in enumerate(zip(self._corner, corner, self.shape, strict=True)):
            if abs(new - old) >= length:
                self.clear()
            elif new != old:
                left = np.arange(old, new) if new > old else np.arange(new + length, old + length)
                self._odds[(slice(None),) * axis + (left % length,)] = 0
        self._corner[:] = corner

    def add(self, occupancy: Occupancy, T_map_grid: np.ndarray, sensors: np.ndarray, seconds: float) -> None:
        """Add one frame.

        Parameters
        ----------
        T_map_grid : (4, 4) grid frame -> map frame
        sensors : (S, 3) where the LiDARs are, metres in the grid frame
        seconds : the frame's time
        """
        self._now = int(seconds / TICK)
        T = self._T_frame_map(occupancy.grid, T_map_grid)
        box = self._box(occupancy.grid, T)
        codes = codes_of(occupancy, sensors)
        confidence = np.ascontiguousarray(occupancy.confidence)
        _add(self._odds, self._notes, self._corner, box, T, codes, confidence, EVIDENCE, self._now)
        rows = -(-self.shape[0] // _SWEEP)
        part = slice(self._swept, self._swept + rows)
        _forget(self._odds[part], self._notes[part], self._limits(), self._now)
        self._swept = part.stop if part.stop < self.shape[0] else 0

    def occupancy(self) -> Occupancy:
        """The map at the time of the last frame, over `grid`, whose frame is the map frame.

        Confidence is the probability that an occupied voxel is occupied; 0 where it is free or unknown.
        """
        labels, confidence = np.zeros(self.shape, np.uint8), np.zeros(self.shape, np.uint8)
        _read(
            self._odds, self._notes, self._corner, self._limits(), self._now, _PROBABILITY, labels, confidence
        )  # fmt: skip
        return Occupancy(labels, confidence, self.grid)

    def _limits(self) -> np.ndarray:
        """(2, classes) int64 ticks without confirmation after which a voxel is forgotten; row 1 where it is parked."""
        ticks = _FOREVER if np.isinf(self.decay) else round(self.decay / TICK)
        limits = np.full((2, len(CLASS_NAMES)), ticks)
        limits[0, list(MOVABLE)] = min(ticks, round(MOVABLE_DECAY / TICK))
        return limits

    def _T_frame_map(self, grid: Grid, T_map_grid: np.ndarray) -> np.ndarray:
        """(4, 4) voxel of the map, counted from the map frame's origin -> place in the frame's grid, in voxels."""
        T_voxels_grid = np.diag([1 / grid.voxel_size] * 3 + [1.0])
        T_voxels_grid[:3, 3] = -np.array(grid.origin) / grid.voxel_size
        T_map_voxels = np.diag([self.voxel_size] * 3 + [1.0])
        T_map_voxels[:3, 3] = self.voxel_size / 2
        return T_voxels_grid @ np.linalg.inv(T_map_grid) @ T_map_voxels

    def _box(self, grid: Grid, T_frame_map: np.ndarray) -> np.ndarray:
        """(2, 2) int64: the map's voxels in x and y, from and up to, between which the frame's grid lies."""
        corners = np.stack(np.meshgrid(*((0, n) for n in grid.shape), indexing="ij"), -1).reshape(-1, 3)
        inverse = np.linalg.inv(T_frame_map)
        placed = (corners @ inverse[:3, :3].T + inverse[:3, 3])[:, :2]
        low, high = self._corner[:2], self._corner[:2] + self.shape[:2]
        return np.array(
            [np.clip(np.floor(placed.min(0)), low, high), np.clip(np.ceil(placed.max(0)) + 1, low, high)], int
        )


@compiled
def _too_old(note, limits, now):
    label, votes, stamp = note & 0xFF, (note >> 8) & 0xFF, note >> 16
    return ((now - stamp) & 0xFFFF) > limits[1 if votes >= PARKED else 0, label]


@compiled
def _add(odds, notes, corner, box, T, codes, confidence, evidence, now):
    """Every voxel of the map takes the frame's voxel in which its centre lies."""
    nx, ny, nz = odds.shape
    one = 1 << _SHIFT
    # Fixed-point numbers: what is added up over a column stays exact.
    fx, fy, fz = codes.shape[0] * one, codes.shape[1] * one, codes.shape[2] * one
    dx, dy, dz = round(T[0, 2] * one), round(T[1, 2] * one), round(T[2, 2] * one)
    jx, jy, jz = round(T[0, 1] * one), round(T[1, 1] * one), round(T[2, 1] * one)
    flat_odds, flat_notes = odds.reshape(-1), notes.reshape(-1)
    flat_codes, flat_confidence = codes.reshape(-1), confidence.reshape(-1)
    map_words, frame_words = _words(odds), _words(codes)
    in_words = len(map_words) > 0 and len(frame_words) > 0 and 0 < dz <= one
    bottom = corner[2] % nz
    for i in range(box[0, 0], box[1, 0]):
        j = box[0, 1]
        x = int(np.floor((T[0, 0] * i + T[0, 1] * j + T[0, 2] * corner[2] + T[0, 3]) * one))
        y = int(np.floor((T[1, 0] * i + T[1, 1] * j + T[1, 2] * corner[2] + T[1, 3]) * one))
        z = int(np.floor((T[2, 0] * i + T[2, 1] * j + T[2, 2] * corner[2] + T[2, 3]) * one))
        p, q = i % nx, j % ny
        for _ in range(box[0, 1], box[1, 1]):
            first, end = _inside(x, dx, fx, 0, nz)
            first, end = _inside(y, dy, fy, first, end)
            first, end = _inside(z, dz, fz, first, end)
            if first < end:
                u, v = (x + first * dx) >> _SHIFT, (y + first * dy) >> _SHIFT
                u_end, v_end = (x + (end - 1) * dx) >> _SHIFT, (y + (end - 1) * dy) >> _SHIFT
                n = first
                while n < end:
                    # As long as the frame's column is the same one: nearly always all of it.
                    stop = end
                    if u != u_end or v != v_end:
                        stop = n + 1
                        while (x + stop * dx) >> _SHIFT == u and (y + stop * dy) >> _SHIFT == v and stop < end:
                            stop += 1
                    here, there = (p * ny + q) * nz, (u * codes.shape[1] + v) * codes.shape[2]
                    k = n
                    while k < stop:
                        m = bottom + k
                        m = here + (m - nz if m >= nz else m)
                        w = there + ((z + k * dz) >> _SHIFT)
                        if in_words and w & 7 == 0 and k + 8 <= stop and m + 8 <= here + nz:
                            nothing = map_words[m >> 3] | map_words[(m + 7) >> 3] | frame_words[w >> 3] & _LABELS
                            if nothing == 0:  # eight voxels at once: most of the air
                                k += 8
                                continue
                        k += 1
                        if flat_codes[w] & LABEL or flat_odds[m]:
                            _add_voxel(
                                flat_odds, flat_notes, m, flat_codes[w], flat_confidence[w], evidence, now
                            )  # fmt: skip
                    n = stop
                    u, v = (x + n * dx) >> _SHIFT, (y + n * dy) >> _SHIFT
            x, y, z = x + jx, y + jy, z + jz
            q = q + 1 if q + 1 < ny else 0


def add_ref(
    odds: np.ndarray, notes: np.ndarray, corner: np.ndarray, T: np.ndarray, codes: np.ndarray, confidence, now: int
) -> None:
    """What `VoxelMap.add` does with a frame, in plain numpy; see there and `_add` for the arguments."""
    index = np.stack(np.meshgrid(*(np.arange(c, c + n) for c, n in zip(corner, odds.shape, strict=True))), -1)
    index = index.reshape(-1, 3)
    place = np.floor(index @ T[:3, :3].T + T[:3, 3]).astype(int)
    inside = np.all((place >= 0) & (place < codes.shape), axis=1)
    here, there = tuple((index[inside] % odds.shape).T), tuple(place[inside].T)
    code, value, note = codes[there], odds[here].astype(int), notes[here].astype(int)
    label, hit, free = code & LABEL, (code & HIT) > 0, (code & SEEN_FREE) > 0
    rows = np.where(label > 0, np.where(hit, 3, 2), np.where(free, 1, 0))
    changed = (label > 0) | ((value != 0) & ~hit)
    total = np.clip(value + EVIDENCE[rows, confidence[there]], LOWEST, HIGHEST)
    odds[here] = np.where(changed, np.where(total == 0, -1, total), value)
    weight = np.where(hit, _SEEN_VOTE, _COMPLETED_VOTE)
    leader, lead = np.where(value != 0, note & 0xFF, label), np.where(value != 0, (note >> 8) & 0xFF, 0)
    lead = np.where(leader == label, lead + weight, lead - weight)
    leader = np.where(lead < 0, label, leader)
    voted = leader | np.minimum(np.abs(lead), 255) << 8 | (now & 0xFFFF) << 16
    notes[here] = np.where(label > 0, voted, note)


@compiled
def _words(voxels):
    """Eight voxels in one number, where columns are made of whole ones; nothing elsewhere."""
    return voxels.reshape(-1).view(np.uint64) if voxels.shape[2] % 8 == 0 else np.zeros(0, np.uint64)


@compiled
def _inside(place, step, length, first, end):
    """The part of first..end where place + n * step is in [0, length), which is one piece."""
    low, high = place + first * step, place + (end - 1) * step
    if low > high:
        low, high = high, low
    if low >= 0 and high < length:
        return first, end
    if high < 0 or low >= length:
        return first, first
    while first < end and not 0 <= place + first * step < length:
        first += 1
    while first < end and not 0 <= place + (end - 1) * step < length:
        end -= 1
    return first, end


@compiled
def _add_voxel(odds, notes, m, code, confidence, evidence, now):
    label, value = np.int64(code & LABEL), np.int64(odds[m])
    if label == 0:
        if not code & HIT:
            value += evidence[1 if code & SEEN_FREE else 0, confidence]
            value = max(value, LOWEST)
            odds[m] = value if value != 0 else -1
        return
    weight = _SEEN_VOTE if code & HIT else _COMPLETED_VOTE
    note = np.int64(notes[m]) if value != 0 else label
    leader, lead = note & 0xFF, (note >> 8) & 0xFF
    if leader == label:
        lead = min(lead + weight, 255)
    elif lead >= weight:
        lead -= weight
    else:
        leader, lead = label, weight - lead
    notes[m] = leader | lead << 8 | (now & 0xFFFF) << 16
    value = min(value + evidence[3 if code & HIT else 2, confidence], HIGHEST)
    odds[m] = value if value != 0 else -1


@compiled
def _forget(odds, notes, limits, now):
    nx, ny, nz = odds.shape
    for i in range(nx):
        for j in range(ny):
            for k in range(nz):
                if odds[i, j, k] != 0 and _too_old(np.int64(notes[i, j, k]), limits, now):
                    odds[i, j, k] = 0


@compiled
def _read(odds, notes, corner, limits, now, probability, labels, confidence):
    nx, ny, nz = odds.shape
    words = _words(odds)
    for i in range(nx):
        p = (i - corner[0]) % nx
        for j in range(ny):
            q = (j - corner[1]) % ny
            for first in range(0, nz, 8):
                if len(words) and words[((i * ny + j) * nz + first) >> 3] == 0:  # eight voxels at once
                    continue
                for k in range(first, min(first + 8, nz)):
                    value, note = odds[i, j, k], np.int64(notes[i, j, k])
                    if value < OCCUPIED or _too_old(note, limits, now):
                        continue
                    r = (k - corner[2]) % nz
                    labels[p, q, r] = note & 0xFF
                    confidence[p, q, r] = probability[value + 128]
