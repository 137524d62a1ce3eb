"""Voxel ground truth of the synthetic street, as SemanticKITTI's: the surfaces that the scans of a drive hit."""

from dataclasses import replace
from functools import lru_cache, partial
from typing import NamedTuple
from weakref import proxy

import numpy as np

from occ_core.compiled import compiled
from occ_core.grid import KITTI_GRID
from occ_core.transforms import move_points
from occ_core.voxelizer import occupancy_grid

from .lidar_model import HDL64
from .scene import Caster, Scene, rotated
from .shapes import Mesh

STRIDE = 1.5
"""Metres between the poses that the street is scanned from."""
_REGISTRATION = (0.035, 0.035, 0.015)
_SCANNER = replace(HDL64, columns=1083)
_OPAQUE, _VISIBLE = 1, 2
_AHEAD, _BEHIND, _SIGHT_EVERY = 60.0, 6.0, 6
_VIEWS = 64
"""Views kept: the 44 of a frame, and those that the next frames add."""


class Truth(NamedTuple):
    """All (256, 256, 32): labels uint16 raw ids, the others bool."""

    labels: np.ndarray
    invalid: np.ndarray
    occupied: np.ndarray
    occluded: np.ndarray


class Observer:
    """Scans of the static street from poses every `STRIDE` metres of the drive; each cast once.

    Always with KITTI's LiDAR at the origin of the grid frame, so that a street's truth does not depend on the rig.
    Threads may share it.

    pose_at : arc length -> T_world_grid
    """

    def __init__(self, static: Caster, pose_at, seed: int):
        self.scene, self.pose_at, self.seed = Scene(static), pose_at, seed
        # Bound to a proxy: the cache would keep its owner, and its scans, alive until garbage is collected.
        self.view = lru_cache(_VIEWS)(partial(Observer._view, proxy(self)))

    def _view(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Hits in the world (N, 3) float32 and their raw labels (N,) uint16."""
        rng = np.random.default_rng([self.seed, 3, index + 1000])
        pose = self.pose_at(index * STRIDE)
        rays = rotated(_SCANNER.rays(rng.random()), pose)
        found = self.scene.cast(pose[:3, 3], rays)
        near = found.hit & (found.distance > _SCANNER.near) & (found.distance < 70)
        distance = found.distance[near] + rng.normal(0, _SCANNER.noise, near.sum()).astype(np.float32)
        registration = pose[:3, 3] + rng.normal(0, _REGISTRATION)
        places = registration.astype(np.float32) + rays[near] * distance[:, None]
        return places, found.label[near]

    def truth(
        self,
        s: float,
        T_grid_lidar: np.ndarray,
        points: np.ndarray,
        raw: np.ndarray,
        moving: Mesh | None,
    ) -> Truth:
        """Ground truth, in the grid frame, of the frame at arc length s.

        Its scan is `points` (N, 4), in the LiDAR frame, with labels `raw` (N,) uint32.

        Occupied is what any view from 6 m behind to 60 m ahead hit, by majority of labels, and moving objects where
        they are now. Invalid is what is visible from none of these poses, and surfaces that none of their scans hit.
        """
        grid = KITTI_GRID
        T_world_grid = self.pose_at(s)
        T_world_lidar = T_world_grid @ T_grid_lidar
        to_grid = np.linalg.inv(T_world_grid)
        to_grid[:3] /= grid.voxel_size
        to_grid[:3, 3] -= np.array(grid.origin) / grid.voxel_size
        indices = range(int(np.ceil((s - _BEHIND) / STRIDE)), int((s + _AHEAD) / STRIDE) + 1)

        labels, votes = np.zeros(grid.shape, np.uint16), np.zeros(grid.shape, np.int32)
        for index in indices:
            places, hit_labels = self.view(index)
            _vote(to_grid, places, hit_labels, labels, votes)
        real = (raw & 0xFFFF) > 0
        seen = np.ascontiguousarray(points[real, :3])
        _vote(to_grid @ T_world_lidar, seen, (raw[real] & 0xFFFF).astype(np.uint16), labels, votes)
        hit = labels > 0
        surface = np.zeros(grid.shape, bool)
        static = self.scene.casters[0].mesh
        _rasterise(to_grid, static.vertices, static.faces, static.label, surface, labels, False)
        opaque = hit | (surface & _grown(hit))
        if moving is not None:
            _rasterise(to_grid, moving.vertices, moving.faces, moving.label, opaque, labels, True)

        state = opaque.astype(np.uint8) * _OPAQUE
        _mark_visible(state, to_grid @ T_world_lidar[:, 3])
        now = (state & _VISIBLE) > 0
        for index in indices[::_SIGHT_EVERY]:
            _mark_visible(state, to_grid @ self.pose_at(index * STRIDE)[:, 3])
        visible = (state & _VISIBLE) > 0
        labels[~visible & ~hit] = 0  # the far sides of moving objects
        invalid = (~visible & ~hit) | (surface & (labels == 0))
        return Truth(labels, invalid, occupancy_grid(move_points(points, T_grid_lidar), grid).astype(bool), ~now)


def _grown(mask: np.ndarray) -> np.ndarray:
    """The mask, dilated twice along the axes."""
    grown = mask.copy()
    for _ in range(2):
        before = grown.copy()
        grown[1:] |= before[:-1]
        grown[:-1] |= before[1:]
        grown[:, 1:] |= before[:, :-1]
        grown[:, :-1] |= before[:, 1:]
        grown[:, :, 1:] |= before[:, :, :-1]
        grown[:, :, :-1] |= before[:, :, 1:]
    return grown


@compiled
def _vote(T, places, raw, labels, votes):
    """Majority vote by Boyer and Moore: a voxel keeps its candidate until as many votes against it came in."""
    nx, ny, nz = labels.shape
    for n in range(len(places)):
        x, y, z = places[n]
        i = T[0, 0] * x + T[0, 1] * y + T[0, 2] * z + T[0, 3]
        j = T[1, 0] * x + T[1, 1] * y + T[1, 2] * z + T[1, 3]
        k = T[2, 0] * x + T[2, 1] * y + T[2, 2] * z + T[2, 3]
        if 0 <= i < nx and 0 <= j < ny and 0 <= k < nz:
            a, b, c = int(i), int(j), int(k)
            if votes[a, b, c] == 0:
                labels[a, b, c], votes[a, b, c] = raw[n], 1
            elif labels[a, b, c] == raw[n]:
                votes[a, b, c] += 1
            else:
                votes[a, b, c] -= 1


@compiled
def _rasterise(T, vertices, faces, face_label, solid, labels, write_labels):
    """Mark the voxels that triangles pass through, sampled every half voxel."""
    shape = solid.shape
    p = np.empty((3, 3))
    for f in range(len(faces)):
        outside, extent = False, 0.0
        for a in range(3):
            for c in range(3):
                v = vertices[faces[f, c]]
                p[c, a] = T[a, 0] * v[0] + T[a, 1] * v[1] + T[a, 2] * v[2] + T[a, 3]
            low, high = min(p[0, a], p[1, a], p[2, a]), max(p[0, a], p[1, a], p[2, a])
            outside = outside or high < 0 or low >= shape[a]
            extent = max(extent, high - low)
            if outside:
                break
        n = int(extent * 2) + 1
        if outside or n > 2000:  # only the far land is so large, and it is outside the grid
            continue
        for i in range(n + 1):
            for j in range(n + 1 - i):
                u, v = i / n, j / n
                x = p[0, 0] + u * (p[1, 0] - p[0, 0]) + v * (p[2, 0] - p[0, 0])
                y = p[0, 1] + u * (p[1, 1] - p[0, 1]) + v * (p[2, 1] - p[0, 1])
                z = p[0, 2] + u * (p[1, 2] - p[0, 2]) + v * (p[2, 2] - p[0, 2])
                if 0 <= x < shape[0] and 0 <= y < shape[1] and 0 <= z < shape[2]:
                    solid[int(x), int(y), int(z)] = True
                    if write_labels:
                        labels[int(x), int(y), int(z)] = face_label[f]


@compiled
def _mark_visible(state, eye):
    """Mark what is visible from `eye` (voxel units): the voxels on lines to the grid's faces, up to an opaque one."""
    nx, ny, nz = state.shape
    for i in range(nx):
        for j in range(ny):
            _walk(state, eye, i + 0.5, j + 0.5, 0.5)
            _walk(state, eye, i + 0.5, j + 0.5, nz - 0.5)
    for k in range(nz):
        for i in range(nx):
            _walk(state, eye, i + 0.5, 0.5, k + 0.5)
            _walk(state, eye, i + 0.5, ny - 0.5, k + 0.5)
        for j in range(ny):
            _walk(state, eye, 0.5, j + 0.5, k + 0.5)
            _walk(state, eye, nx - 0.5, j + 0.5, k + 0.5)


@compiled
def _walk(state, eye, x, y, z):
    """Walk the grid from `eye` to (x, y, z) (Amanatides and Woo 1987); from outside it starts at the grid's face."""
    nx, ny, nz = state.shape
    dx, dy, dz = x - eye[0], y - eye[1], z - eye[2]
    t0 = 0.0
    if eye[0] < 0:
        t0 = max(t0, -eye[0] / dx)
    elif eye[0] > nx:
        t0 = max(t0, (nx - eye[0]) / dx)
    if eye[1] < 0:
        t0 = max(t0, -eye[1] / dy)
    elif eye[1] > ny:
        t0 = max(t0, (ny - eye[1]) / dy)
    if eye[2] < 0:
        t0 = max(t0, -eye[2] / dz)
    elif eye[2] > nz:
        t0 = max(t0, (nz - eye[2]) / dz)
    t0 += 1e-6
    px, py, pz = eye[0] + t0 * dx, eye[1] + t0 * dy, eye[2] + t0 * dz
    if not (0 <= px < nx and 0 <= py < ny and 0 <= pz < nz):
        return
    i, j, k = int(px), int(py), int(pz)
    si, sj, sk = (1 if dx > 0 else -1), (1 if dy > 0 else -1), (1 if dz > 0 else -1)
    wx, wy, wz = 1 / max(abs(dx), 1e-9), 1 / max(abs(dy), 1e-9), 1 / max(abs(dz), 1e-9)
    tx = abs(i + (dx > 0) - eye[0]) * wx
    ty = abs(j + (dy > 0) - eye[1]) * wy
    tz = abs(k + (dz > 0) - eye[2]) * wz
    while True:
        state[i, j, k] |= _VISIBLE
        if state[i, j, k] & _OPAQUE:
            return
        if tx < ty and tx < tz:
            i += si
            tx += wx
            if i < 0 or i >= nx:
                return
        elif ty < tz:
            j += sj
            ty += wy
            if j < 0 or j >= ny:
                return
        else:
            k += sk
            tz += wz
            if k < 0 or k >= nz:
                return
