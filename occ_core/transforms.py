"""Rigid transforms as ROS sends them, and the tree they make."""

import numpy as np
from numpy.typing import ArrayLike

MAX_DISTANCE = 1e7
"""Metres of a translation: beyond the Earth's radius, and small enough for products of many."""


IDENTITY = np.eye(4)
IDENTITY.flags.writeable = False


def are_poses(matrices: np.ndarray) -> np.ndarray:
    """(..., 4, 4) -> (...) bool: a rotation, up to 1 %, and a finite translation of at most MAX_DISTANCE."""
    rotation, translation = matrices[..., :3, :3], matrices[..., :3, 3]
    sane = np.isfinite(matrices).all((-2, -1)) & (np.abs(matrices) <= MAX_DISTANCE).all((-2, -1))
    rotation = np.where((sane & (np.abs(rotation).max((-2, -1)) <= 2))[..., None, None], rotation, 0)
    near = np.abs(rotation @ np.swapaxes(rotation, -1, -2) - np.eye(3)).max((-2, -1)) <= 1e-2
    return sane & near & (np.linalg.det(rotation) > 0) & (np.abs(translation).max(-1) <= MAX_DISTANCE)


def move_points(points: np.ndarray, T: np.ndarray) -> np.ndarray:
    """Points (N, >=3) moved by T (4, 4); further columns stay. The same array where T is the identity."""
    if np.array_equal(T, IDENTITY):
        return points
    moved = points.copy()
    moved[:, :3] = points[:, :3] @ T[:3, :3].T.astype(points.dtype) + T[:3, 3].astype(points.dtype)
    return moved


def quaternion_of(rotation: np.ndarray) -> np.ndarray:
    """(3, 3) rotation -> (x, y, z, w). Of four forms the one with the largest divisor (Shepperd 1978)."""
    R = np.asarray(rotation, np.float64)
    trace = np.trace(R)
    squares = np.array([1 + 2 * R[0, 0] - trace, 1 + 2 * R[1, 1] - trace, 1 + 2 * R[2, 2] - trace, 1 + trace])
    n = int(np.argmax(squares))  # 4 times the square of component n
    q = np.empty(4)
    if n == 3:
        q[:] = R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1], squares[3]
    else:
        i, j, k = n, (n + 1) % 3, (n + 2) % 3
        q[[i, j, k, 3]] = squares[n], R[i, j] + R[j, i], R[i, k] + R[k, i], R[k, j] - R[j, k]
    return q / np.linalg.norm(q)


def matrix_of(translation: ArrayLike, quaternion: ArrayLike) -> np.ndarray:
    """(3,) metres and (x, y, z, w), normalised here -> (4, 4)."""
    x, y, z, w = np.asarray(quaternion, np.float64) / np.linalg.norm(quaternion)
    T = np.eye(4)
    T[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    T[:3, 3] = translation
    return T


def nearest_rotation(matrix: np.ndarray) -> np.ndarray:
    """The rotation closest to a (3, 3) matrix that was printed with few digits."""
    u, _, vt = np.linalg.svd(matrix)
    return u @ np.diag([1, 1, np.linalg.det(u @ vt)]) @ vt


class TransformTree:
    """The transforms of /tf and /tf_static: each frame's pose in its parent, fixed or over time."""

    def __init__(self):
        self._static: dict[str, tuple[str, np.ndarray]] = {}
        self._moving: dict[str, tuple[str, list[int], list[np.ndarray]]] = {}

    def add(self, parent: str, child: str, T_parent_child: np.ndarray, stamp: int | None = None) -> None:
        """stamp : ns, kept beside earlier ones; None for a fixed transform, which replaces the one before."""
        parent, child = parent.lstrip("/"), child.lstrip("/")
        if stamp is None:
            self._static[child] = (parent, T_parent_child)
            return
        _, stamps, matrices = self._moving.setdefault(child, (parent, [], []))
        stamps.append(stamp)
        matrices.append(T_parent_child)

    @property
    def frames(self) -> list[str]:
        """All frame names, sorted."""
        edges = [(child, parent) for tree in (self._static, self._moving) for child, (parent, *_) in tree.items()]
        return sorted({name for edge in edges for name in edge})

    def chain(self, frame: str, stamp: int = 0) -> tuple[dict[str, np.ndarray], bool]:
        """T_ancestor_frame of all ancestors at a time, root last; and whether any link on the way moves."""
        frame = frame.lstrip("/")
        found, T, moves = {frame: np.eye(4)}, np.eye(4), False
        while True:
            if frame in self._static:
                frame, link = self._static[frame]
            elif frame in self._moving:
                frame, stamps, matrices = self._moving[frame]
                link = matrices[int(np.argmin(np.abs(np.asarray(stamps) - stamp)))]
                moves = True
            else:
                return found, moves
            if frame in found:  # a loop: not a tree
                return found, moves
            T = link @ T
            found[frame] = T

    def between(self, target: str, source: str, stamp: int = 0) -> np.ndarray | None:
        """T_target_source, (4, 4), through the nearest common ancestor; None where there is none."""
        of_target, of_source = self.chain(target, stamp)[0], self.chain(source, stamp)[0]
        common = next((name for name in of_source if name in of_target), None)
        return None if common is None else np.linalg.inv(of_target[common]) @ of_source[common]
