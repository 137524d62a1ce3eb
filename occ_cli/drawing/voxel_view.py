"""Labelled voxels in perspective: a z-buffer of cube faces with corner shading, on one CPU core."""

from dataclasses import dataclass

import cv2
import numpy as np

from occ_core import COLORS, IGNORE, Grid
from occ_core.compiled import compiled

# Light on the faces -x, +x, -y, +y, -z, +z: the sun is high, a little to the rear left of the vehicle.
_FACE_LIGHT = np.array([0.86, 0.62, 0.70, 0.80, 0.45, 1.0], np.float32)
_CORNER_LIGHT = np.array([0.60, 0.76, 0.89, 1.0], np.float32)
_SKY = np.array([(226, 234, 243), (249, 250, 251)], np.float32)
_VEHICLE = (-3.0, 1.0, -0.9, 0.9, -1.65, -0.25)
_VEHICLE_COLOR = (250, 250, 250)
_LEFT_OUT = (205, 208, 212)
# From the middle of the grid's lower near edge, in lengths of the grid; 51.2 m is the length of SemanticKITTI's.
_EYE, _TARGET = np.array([(-20.0, 4.0, 20.0), (16.5, -0.5, -0.5)]) / 51.2


@dataclass(frozen=True)
class ViewPoint:
    """A pinhole camera in the LiDAR frame (metres): where it is, where it points, its horizontal field of view."""

    eye: tuple[float, float, float]
    target: tuple[float, float, float]
    field_of_view: float = 56.0

    @classmethod
    def of(cls, grid: Grid) -> "ViewPoint":
        """Behind and above the grid's near edge, in proportion to its length."""
        length = grid.voxel_size * grid.shape[0]
        x, y, z = grid.origin
        near = np.array((x, y + grid.voxel_size * grid.shape[1] / 2, z))
        return cls(tuple((near + length * _EYE).tolist()), tuple((near + length * _TARGET).tolist()))

    def matrix(self, width: int, height: int) -> np.ndarray:
        """(3, 4): homogeneous LiDAR coordinates -> homogeneous pixels, depth in metres."""
        eye, target = np.array(self.eye), np.array(self.target)
        forward = (target - eye) / np.linalg.norm(target - eye)
        right = np.cross(forward, (0, 0, 1.0))
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward])
        focal = width / 2 / np.tan(np.radians(self.field_of_view / 2))
        K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
        return K @ np.hstack([rotation, -(rotation @ eye)[:, None]])


def voxel_view(
    labels: np.ndarray,
    grid: Grid,
    size: tuple[int, int] = (1280, 720),
    view: ViewPoint | None = None,
    smooth: bool = True,
    left_out: np.ndarray | None = None,
) -> np.ndarray:
    """Draw occupied voxels and the vehicle.

    Parameters
    ----------
    labels : (X, Y, Z) uint8; 0 and IGNORE are not drawn
    size : (width, height) in pixels
    smooth : draw at twice the size and shrink (four times the work)
    view : ViewPoint.of(grid) by default
    left_out : (X, Y, Z) bool, voxels to draw in grey instead of their class's colour

    Returns
    -------
    (height, width, 3) uint8 RGB
    """
    view = view or ViewPoint.of(grid)
    width, height = (2 * n for n in size) if smooth else size
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = (_SKY[0] + (_SKY[1] - _SKY[0]) * np.linspace(0, 1, height, dtype=np.float32)[:, None, None]).round()
    depth = np.full((height, width), np.inf, np.float32)
    matrix = view.matrix(width, height)
    shown = np.ascontiguousarray(np.where(labels == IGNORE, 0, labels))
    palette = np.full((256, 3), _LEFT_OUT, np.float32)
    palette[: len(COLORS)] = COLORS
    if left_out is not None:
        shown[left_out & (shown > 0)] = 254
    _draw_grid(
        shown, np.array(grid.origin), grid.voxel_size, np.array(view.eye, np.float64), matrix, palette,
        _FACE_LIGHT, _CORNER_LIGHT, picture, depth,
    )  # fmt: skip
    _draw_box(
        np.array(_VEHICLE), np.array(view.eye, np.float64), matrix, np.array(_VEHICLE_COLOR, np.float32), picture, depth
    )
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA) if smooth else picture


@compiled
def _solid(labels, i, j, k):
    nx, ny, nz = labels.shape
    return 0 <= i < nx and 0 <= j < ny and 0 <= k < nz and labels[i, j, k] > 0


@compiled
def _draw_grid(labels, origin, size, eye, matrix, palette, face_light, corner_light, picture, depth):
    nx, ny, nz = labels.shape
    quad = np.empty((4, 3))
    light = np.empty(4, np.float32)
    side = np.zeros(3, np.int64)
    cell = np.zeros(3, np.int64)
    for i in range(nx):
        for j in range(ny):
            for k in range(nz):
                label = labels[i, j, k]
                if label == 0:
                    continue
                cell[0], cell[1], cell[2] = i, j, k
                for face in range(6):
                    axis, up = face // 2, face % 2
                    plane = origin[axis] + size * (cell[axis] + up)
                    if (eye[axis] - plane) * (2 * up - 1) <= 0:
                        continue
                    side[:] = cell
                    side[axis] += 2 * up - 1
                    if _solid(labels, side[0], side[1], side[2]):
                        continue
                    _corners(cell, axis, up, origin, size, quad)
                    _corner_light(labels, side, axis, corner_light, light)
                    for n in range(4):
                        light[n] *= face_light[face]
                    _fill_quad(quad, light, palette[label], matrix, picture, depth)


@compiled
def _corners(cell, axis, up, origin, size, quad):
    """The face's corners in the order (0,0) (1,0) (1,1) (0,1) of the two other axes."""
    a, b = (axis + 1) % 3, (axis + 2) % 3
    for n in range(4):
        da, db = 1 if n == 1 or n == 2 else 0, 1 if n >= 2 else 0
        quad[n, axis] = origin[axis] + size * (cell[axis] + up)
        quad[n, a] = origin[a] + size * (cell[a] + da)
        quad[n, b] = origin[b] + size * (cell[b] + db)


@compiled
def _corner_light(labels, side, axis, corner_light, light):
    """Corners darken with the solid voxels that meet there in the layer before the face."""
    a, b = (axis + 1) % 3, (axis + 2) % 3
    probe = np.zeros(3, np.int64)
    for n in range(4):
        da, db = 1 if n == 1 or n == 2 else -1, 1 if n >= 2 else -1
        probe[:] = side
        probe[a] += da
        first = _solid(labels, probe[0], probe[1], probe[2])
        probe[b] += db
        diagonal = _solid(labels, probe[0], probe[1], probe[2])
        probe[a] -= da
        second = _solid(labels, probe[0], probe[1], probe[2])
        open_sides = 0 if first and second else 3 - int(first) - int(second) - int(diagonal)
        light[n] = corner_light[open_sides]


@compiled
def _fill_quad(quad, light, color, matrix, picture, depth):
    """Fill a planar quad nearer than what is there. Position on the face is perspective-correct; edges are darkened
    where the face is large enough for them to be seen."""
    height, width = depth.shape
    u, v, w = np.empty(4), np.empty(4), np.empty(4)
    for n in range(4):
        x, y, z = quad[n, 0], quad[n, 1], quad[n, 2]
        d = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] * z + matrix[2, 3]
        if d < 0.3:
            return
        u[n] = (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z + matrix[0, 3]) / d
        v[n] = (matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * z + matrix[1, 3]) / d
        w[n] = 1 / d
    if u.max() < 0 or v.max() < 0 or u.min() >= width or v.min() >= height:
        return
    extent = max(u.max() - u.min(), v.max() - v.min())
    edge = min(1.2 / extent, 0.12) if extent > 9 else 0.0
    for half in range(2):
        p, q = (1, 2) if half == 0 else (2, 3)
        area = (u[p] - u[0]) * (v[q] - v[0]) - (u[q] - u[0]) * (v[p] - v[0])
        if abs(area) < 1e-9:
            continue
        low_u, high_u = max(0, int(np.floor(min(u[0], u[p], u[q])))), min(width - 1, int(max(u[0], u[p], u[q])))
        low_v, high_v = max(0, int(np.floor(min(v[0], v[p], v[q])))), min(height - 1, int(max(v[0], v[p], v[q])))
        for row in range(low_v, high_v + 1):
            for column in range(low_u, high_u + 1):
                cu, cv = column + 0.5, row + 0.5
                bp = ((cu - u[0]) * (v[q] - v[0]) - (u[q] - u[0]) * (cv - v[0])) / area
                bq = ((u[p] - u[0]) * (cv - v[0]) - (cu - u[0]) * (v[p] - v[0])) / area
                b0 = 1 - bp - bq
                if b0 < -1e-7 or bp < -1e-7 or bq < -1e-7:
                    continue
                inverse = b0 * w[0] + bp * w[p] + bq * w[q]
                distance = 1 / inverse
                if distance >= depth[row, column]:
                    continue
                depth[row, column] = distance
                wp, wq = bp * w[p] * distance, bq * w[q] * distance
                s = wp + (wq if half == 0 else 0.0)
                t = wq + (0.0 if half == 0 else wp)
                shade = (light[0] * (1 - s) + light[1] * s) * (1 - t) + (light[3] * (1 - s) + light[2] * s) * t
                if edge > 0 and (s < edge or t < edge or s > 1 - edge or t > 1 - edge):
                    shade *= 0.88
                haze = min(0.35, max(0.0, (distance - 25) / 110))
                for c in range(3):
                    lit = color[c] * shade + 14 * shade
                    picture[row, column, c] = np.uint8(min(255.0, lit * (1 - haze) + 236 * haze))


@compiled
def _draw_box(box, eye, matrix, color, picture, depth):
    """An axis-aligned box (x0, x1, y0, y1, z0, z1)."""
    quad = np.empty((4, 3))
    for face in range(6):
        axis, up = face // 2, face % 2
        plane = box[2 * axis + up]
        if (eye[axis] - plane) * (2 * up - 1) <= 0:
            continue
        a, b = (axis + 1) % 3, (axis + 2) % 3
        for n in range(4):
            quad[n, axis] = plane
            quad[n, a] = box[2 * a + (1 if n == 1 or n == 2 else 0)]
            quad[n, b] = box[2 * b + (1 if n >= 2 else 0)]
        light = np.full(4, 1.0 if face == 5 else 0.78 if axis == 0 else 0.68, np.float32)
        _fill_quad(quad, light, color, matrix, picture, depth)
