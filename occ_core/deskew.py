"""Deskewing: a LiDAR measures a sweep's points one after the other; they are moved to where they are at one moment."""

import math
from collections.abc import Callable

import numpy as np

from .compiled import compiled
from .transforms import quaternion_of

PIECE = 0.01
"""Seconds within which the velocity is taken as constant."""
_STILL = 1e-6


def deskew(points: np.ndarray, times: np.ndarray, pose_at: Callable[[float], np.ndarray | None]) -> np.ndarray | None:
    """Points as a sweep at once, at time 0, would have them. The same array where the LiDAR stood still.

    Parameters
    ----------
    points : (N, >=3) float32 metres, each in the LiDAR's frame at its own time; further columns stay
    times : (N,) float32 seconds
    pose_at : time -> (4, 4) T_fixed_lidar, in a frame that is fixed in the world, such as odom; None if it is not known

    None where a pose is not known.
    """
    start, end = min(float(times.min()), 0.0), max(float(times.max()), 0.0)
    pieces = max(1, math.ceil((end - start) / PIECE))
    step = max((end - start) / pieces, 1e-9)
    poses = []
    for time in (0.0, *(start + n * step for n in range(pieces + 1))):
        if (pose := pose_at(time)) is None:
            return None
        poses.append(pose)
    relative = np.linalg.inv(poses[0]) @ np.stack(poses[1:])
    if np.abs(relative - np.eye(4)).max() < _STILL:
        return points
    rotations = np.stack([quaternion_of(T[:3, :3]) for T in relative])
    for n in range(1, len(rotations)):
        if rotations[n] @ rotations[n - 1] < 0:
            rotations[n] *= -1
    return _move(points, times, start, step, rotations, np.ascontiguousarray(relative[:, :3, 3]))


def deskew_ref(points: np.ndarray, times: np.ndarray, pose_at: Callable[[float], np.ndarray]) -> np.ndarray:
    """The same with the pose of each point's own time, in plain numpy."""
    moved, T_lidar_fixed = points.copy(), np.linalg.inv(pose_at(0.0))
    for n, time in enumerate(times):
        T = T_lidar_fixed @ pose_at(float(time))
        moved[n, :3] = T[:3, :3] @ points[n, :3] + T[:3, 3]
    return moved


@compiled
def _move(points, times, start, step, rotations, translations):
    """Rotations as quaternions (K, 4) x, y, z, w; between two of them linear, then normalised (a piece is short)."""
    moved = points.copy()
    last = len(rotations) - 2
    for n in range(len(points)):
        place = (times[n] - start) / step
        k = min(max(int(place), 0), last)
        share = place - k
        x = (1 - share) * rotations[k, 0] + share * rotations[k + 1, 0]
        y = (1 - share) * rotations[k, 1] + share * rotations[k + 1, 1]
        z = (1 - share) * rotations[k, 2] + share * rotations[k + 1, 2]
        w = (1 - share) * rotations[k, 3] + share * rotations[k + 1, 3]
        scale = 2 / (x * x + y * y + z * z + w * w)
        px, py, pz = points[n, 0], points[n, 1], points[n, 2]
        # p + 2 (w (v x p) + v x (v x p)) / |q|^2
        cx, cy, cz = y * pz - z * py, z * px - x * pz, x * py - y * px
        rx = px + scale * (w * cx + y * cz - z * cy)
        ry = py + scale * (w * cy + z * cx - x * cz)
        rz = pz + scale * (w * cz + x * cy - y * cx)
        moved[n, 0] = rx + (1 - share) * translations[k, 0] + share * translations[k + 1, 0]
        moved[n, 1] = ry + (1 - share) * translations[k, 1] + share * translations[k + 1, 1]
        moved[n, 2] = rz + (1 - share) * translations[k, 2] + share * translations[k + 1, 2]
    return moved
