"""The ground near a LiDAR, as a plane: how high the sensor is above it, and how it is tilted.

The lowest point of each 1 m cell within 20 m, a plane through three of them that most cells agree with (MSAC, Torr and
Zisserman 2000), and a least-squares fit to the points near it. Cells count less with distance, so that a slope ahead
weighs less than the ground beneath; what is below a plane counts against it, so that no roof is taken for the ground.
"""

from typing import NamedTuple

import numpy as np

from .compiled import compiled

MIN_HEIGHT, MAX_HEIGHT = 0.1, 5.0
"""Metres of a LiDAR above the ground between which it is looked for."""
MAX_TILT = 15.0
"""Degrees against the guess, up to which it is looked for."""
_NEAREST, _FARTHEST = 1.0, 20.0
"""Metres of the points from the sensor, level."""
_CELLS = 40
"""Of 1 m, each way."""
_HALF_WEIGHT = 8.0
"""Metres at which a cell counts half."""
_NEAR, _FINE = 0.15, 0.1
"""Metres from the plane: of a cell that agrees with it, of the points that it is fitted to."""
_BELOW = 0.3
"""Metres below the plane of a cell that counts against it."""
_SAMPLE = 8192
"""Points looked at, spread over the cloud."""
_MIN_CELLS, _MIN_SHARE, _MIN_SPREAD = 30, 0.2, 1.0
"""Of a ground: its cells, their share of all (weighted), the smaller standard deviation of their places, m."""
_SLOPE = float(np.tan(np.radians(MAX_TILT)))
_DRAWS = np.random.default_rng(0).random((128, 3))
"""Three cells for each plane that is tried, as shares of their number: always the same."""
_REASONS = (
    "", "too few points below the LiDAR within 20 m", "no plane that is nearly level", "too little ground within 20 m",
    "too much else beside the ground", "the ground is seen in a narrow strip only",
)  # fmt: skip


class Ground(NamedTuple):
    """height : metres of the origin of the points' frame above the ground
    roll, pitch : degrees by which the guess's z axis is off the ground's normal, about x (left side up) and y (front
        down), as in Ry(pitch) Rx(roll)
    support : share of the near cells that agree, 0..1
    """

    height: float
    roll: float
    pitch: float
    support: float

    @property
    def tilt(self) -> float:
        """Degrees between the guess's z axis and the ground's normal."""
        cosine = np.cos(np.radians(self.roll)) * np.cos(np.radians(self.pitch))
        return float(np.degrees(np.arccos(cosine)))


class GroundFit(NamedTuple):
    """ground : None where it was not found; reason : why not"""

    ground: Ground | None
    reason: str


def fit_ground(points: np.ndarray, T_ground_points: np.ndarray, sensor: np.ndarray) -> GroundFit:
    """The ground near the sensor; the same result for the same cloud. Under 1 ms for 120,000 points.

    Parameters
    ----------
    points : (N, >=3) float32, metres, in any frame
    T_ground_points : (4, 4) to the ground frame that is guessed: z up within MAX_TILT
    sensor : (3,) position of the LiDAR in the points' frame; the ground is looked for MIN_HEIGHT to MAX_HEIGHT below it
    """
    T = np.ascontiguousarray(T_ground_points, np.float64)
    sensor = T[:3, :3] @ np.asarray(sensor, np.float64) + T[:3, 3]
    code, share, a, b, c = _fit(np.ascontiguousarray(points, np.float32), T, sensor, _DRAWS)
    return _result(code, share, a, b, c, T)


def _result(code: int, share: float, a: float, b: float, c: float, T: np.ndarray) -> GroundFit:
    """Of the plane z = a x + b y + c in the guess."""
    if code:
        return GroundFit(None, _REASONS[code])
    normal = np.array((-a, -b, 1)) / np.sqrt(a * a + b * b + 1)
    height = normal @ (T[:3, 3] - (0, 0, c))
    roll, pitch = np.arctan2(normal[1], normal[2]), np.arcsin(-normal[0])
    return GroundFit(Ground(float(height), float(np.degrees(roll)), float(np.degrees(pitch)), float(share)), "")


@compiled
def _fit(points, T, sensor, draws):
    """-> index in _REASONS, share of the cells that agree, and a, b, c of the plane z = a x + b y + c."""
    near, cell_of, lowest = _near(points, T, sensor)
    cells = np.empty((_CELLS * _CELLS, 3))
    weights = np.empty(_CELLS * _CELLS)
    count = 0
    for n in lowest:
        if n >= 0:
            x, y = near[n, 0] - sensor[0], near[n, 1] - sensor[1]
            cells[count] = near[n]
            weights[count] = 1 / (1 + (x * x + y * y) / _HALF_WEIGHT**2)
            count += 1
    if count < _MIN_CELLS:
        return 1, 0.0, 0.0, 0.0, 0.0
    cells, weights = cells[:count], weights[:count]
    a, b, c = _best_plane(cells, weights, sensor, draws)
    if np.isnan(c):
        return 2, 0.0, 0.0, 0.0, 0.0
    for tolerance in (_NEAR, _FINE):
        a, b, c, code = _refined(near, cell_of, sensor, a, b, c, tolerance)
        if code:
            return code, 0.0, 0.0, 0.0, 0.0
    total, agree = 0.0, 0.0
    for n in range(count):
        total += weights[n]
        if abs(cells[n, 2] - a * cells[n, 0] - b * cells[n, 1] - c) < _NEAR:
            agree += weights[n]
    if agree < _MIN_SHARE * total:
        return 4, 0.0, 0.0, 0.0, 0.0
    if not _possible(a, b, c, sensor):
        return 2, 0.0, 0.0, 0.0, 0.0
    return 0, agree / total, a, b, c


@compiled
def _near(points, T, sensor):
    """The sampled points where the ground may be, in the guess; the cell of each; each cell's lowest, -1 for none."""
    total = len(points)
    step = max(total / _SAMPLE, 1.0)
    near = np.empty((min(total, _SAMPLE) + 1, 3))
    cell_of = np.empty(len(near), np.int32)
    lowest = np.full(_CELLS * _CELLS, -1, np.int32)
    count, at, k = 0, 0, 0
    while at < total:
        px, py, pz = points[at, 0], points[at, 1], points[at, 2]
        k += 1
        # The fraction jitters, so that no step is a multiple of a LiDAR's number of beams.
        at = int((k + (k * 0.6180339887498949) % 1.0) * step) if step > 1 else k
        x = T[0, 0] * px + T[0, 1] * py + T[0, 2] * pz + T[0, 3]
        y = T[1, 0] * px + T[1, 1] * py + T[1, 2] * pz + T[1, 3]
        z = T[2, 0] * px + T[2, 1] * py + T[2, 2] * pz + T[2, 3]
        dx, dy = x - sensor[0], y - sensor[1]
        square = dx * dx + dy * dy
        if not (_NEAREST**2 <= square < _FARTHEST**2):  # NaN, too
            continue
        reach = _SLOPE * np.sqrt(square)
        if not (-MAX_HEIGHT - reach <= z - sensor[2] <= reach - MIN_HEIGHT):
            continue
        cell = int(dx + _FARTHEST) * _CELLS + int(dy + _FARTHEST)
        near[count, 0], near[count, 1], near[count, 2] = x, y, z
        cell_of[count] = cell
        if lowest[cell] < 0 or z < near[lowest[cell], 2]:
            lowest[cell] = count
        count += 1
    return near[:count], cell_of[:count], lowest


@compiled
def _best_plane(cells, weights, sensor, draws):
    """a, b, c of the plane that the cells agree with most; NaN where none is possible."""
    count = len(cells)
    best, plane = 0.0, (np.nan, np.nan, np.nan)
    for draw in draws:
        p, q, r = cells[int(draw[0] * count)], cells[int(draw[1] * count)], cells[int(draw[2] * count)]
        x1, y1, z1 = q[0] - p[0], q[1] - p[1], q[2] - p[2]
        x2, y2, z2 = r[0] - p[0], r[1] - p[1], r[2] - p[2]
        area = x1 * y2 - x2 * y1
        if abs(area) < 4:
            continue
        a, b = (z1 * y2 - z2 * y1) / area, (x1 * z2 - x2 * z1) / area
        c = p[2] - a * p[0] - b * p[1]
        if not _possible(a, b, c, sensor):
            continue
        score = 0.0
        for n in range(count):
            above = cells[n, 2] - a * cells[n, 0] - b * cells[n, 1] - c
            if above < -_BELOW:
                score -= weights[n] / 2
            elif abs(above) < _NEAR:
                score += weights[n] * (1 - (above / _NEAR) ** 2)
        if score > best:
            best, plane = score, (a, b, c)
    return plane


@compiled
def _possible(a, b, c, sensor):
    """Whether a plane is level enough and at a possible height below the sensor."""
    height = (sensor[2] - a * sensor[0] - b * sensor[1] - c) / np.sqrt(1 + a * a + b * b)
    return a * a + b * b <= _SLOPE**2 and MIN_HEIGHT <= height <= MAX_HEIGHT


@compiled
def _refined(near, cell_of, sensor, a, b, c, tolerance):
    """Least squares through the points within the tolerance, one weight a cell -> a, b, c, index in _REASONS."""
    inliers = np.zeros(_CELLS * _CELLS, np.int32)
    for n in range(len(near)):
        if abs(near[n, 2] - a * near[n, 0] - b * near[n, 1] - c) < tolerance:
            inliers[cell_of[n]] += 1
    cells = 0
    for number in inliers:
        if number:
            cells += 1
    if cells < _MIN_CELLS:
        return a, b, c, 3
    w, wx, wy, wz, wxx, wxy, wyy, wxz, wyz = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for n in range(len(near)):
        x, y, z = near[n, 0] - sensor[0], near[n, 1] - sensor[1], near[n, 2] - sensor[2]
        if abs(near[n, 2] - a * near[n, 0] - b * near[n, 1] - c) < tolerance:
            weight = 1 / (1 + (x * x + y * y) / _HALF_WEIGHT**2) / inliers[cell_of[n]]
            w += weight
            wx, wy, wz = wx + weight * x, wy + weight * y, wz + weight * z
            wxx, wxy, wyy = wxx + weight * x * x, wxy + weight * x * y, wyy + weight * y * y
            wxz, wyz = wxz + weight * x * z, wyz + weight * y * z
    x, y, z = wx / w, wy / w, wz / w
    xx, xy, yy, xz, yz = wxx / w - x * x, wxy / w - x * y, wyy / w - y * y, wxz / w - x * z, wyz / w - y * z
    smaller = (xx + yy) / 2 - np.sqrt(((xx - yy) / 2) ** 2 + xy * xy)
    if smaller < _MIN_SPREAD**2:
        return a, b, c, 5
    det = xx * yy - xy * xy
    a, b = (xz * yy - yz * xy) / det, (yz * xx - xz * xy) / det
    return a, b, z + sensor[2] - a * (x + sensor[0]) - b * (y + sensor[1]), 0


def fit_ground_ref(points: np.ndarray, T_ground_points: np.ndarray, sensor: np.ndarray) -> GroundFit:
    """`fit_ground` in plain numpy."""
    T = np.asarray(T_ground_points, np.float64)
    sensor = T[:3, :3] @ np.asarray(sensor, np.float64) + T[:3, 3]
    near, cell = _near_ref(points, T, sensor)
    order = np.lexsort((near[:, 2], cell))
    cells = near[order[np.unique(cell[order], return_index=True)[1]]]
    weights = _weights_ref(cells, sensor)
    if len(cells) < _MIN_CELLS:
        return GroundFit(None, _REASONS[1])
    plane = _best_plane_ref(cells, weights, sensor)
    if plane is None:
        return GroundFit(None, _REASONS[2])
    for tolerance in (_NEAR, _FINE):
        chosen = np.abs(_above_ref(near, plane)) < tolerance
        inliers = np.bincount(cell[chosen], minlength=_CELLS**2)
        if np.count_nonzero(inliers) < _MIN_CELLS:
            return GroundFit(None, _REASONS[3])
        weight = _weights_ref(near[chosen], sensor) / inliers[cell[chosen]]
        middle = np.average(near[chosen], 0, weight)
        covariance = np.cov(near[chosen].T, aweights=weight, ddof=0)
        if np.linalg.eigvalsh(covariance[:2, :2])[0] < _MIN_SPREAD**2:
            return GroundFit(None, _REASONS[5])
        a, b = np.linalg.solve(covariance[:2, :2], covariance[:2, 2])
        plane = np.array((a, b, middle[2] - a * middle[0] - b * middle[1]))
    share = weights[np.abs(_above_ref(cells, plane)) < _NEAR].sum() / weights.sum()
    if share < _MIN_SHARE:
        return GroundFit(None, _REASONS[4])
    a, b, c = plane
    return _result(0 if _possible_ref(plane, sensor) else 2, share, a, b, c, T)


def _near_ref(points, T, sensor):
    step = max(len(points) / _SAMPLE, 1)
    if step > 1:
        k = np.arange(_SAMPLE)
        sample = ((k + (k * 0.6180339887498949) % 1.0) * step).astype(int)
        points = points[sample[sample < len(points)]]
    near = points[:, :3].astype(np.float64) @ T[:3, :3].T + T[:3, 3]
    level, z = near[:, :2] - sensor[:2], near[:, 2] - sensor[2]
    distance = np.hypot(*level.T)
    reach = _SLOPE * distance
    with np.errstate(invalid="ignore"):
        chosen = (
            (distance >= _NEAREST) & (distance < _FARTHEST) & (z >= -MAX_HEIGHT - reach) & (z <= reach - MIN_HEIGHT)
        )
    column = (level[chosen] + _FARTHEST).astype(int)
    return near[chosen], column[:, 0] * _CELLS + column[:, 1]


def _weights_ref(points, sensor):
    return 1 / (1 + ((points[:, :2] - sensor[:2]) ** 2).sum(1) / _HALF_WEIGHT**2)


def _above_ref(points, plane):
    return points[:, 2] - points[:, :2] @ plane[:2] - plane[2]


def _possible_ref(plane, sensor):
    height = _above_ref(sensor[None], plane)[0] / np.sqrt(1 + plane[:2] @ plane[:2])
    return plane[:2] @ plane[:2] <= _SLOPE**2 and MIN_HEIGHT <= height <= MAX_HEIGHT


def _best_plane_ref(cells, weights, sensor):
    best, found = 0.0, None
    for p, q, r in cells[(_DRAWS * len(cells)).astype(int)]:
        edges = np.stack((q - p, r - p))
        if abs(np.linalg.det(edges[:, :2])) < 4:
            continue
        slope = np.linalg.solve(edges[:, :2], edges[:, 2])
        plane = np.array((*slope, p[2] - slope @ p[:2]))
        above = _above_ref(cells, plane)
        score = (weights * np.clip(1 - (above / _NEAR) ** 2, 0, None)).sum() - weights[above < -_BELOW].sum() / 2
        if _possible_ref(plane, sensor) and score > best:
            best, found = score, plane
    return found
