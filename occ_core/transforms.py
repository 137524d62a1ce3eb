"""Rigid transforms as ROS sends them, and the tree they make."""

import math
from bisect import bisect_left, bisect_right
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .errors import quoted

MAX_DISTANCE = 1e7
"""Metres of a translation: beyond the Earth's radius, and small enough for products of many."""


MAX_FRAMES, MAX_SAMPLES, MAX_NAME = 1000, 100_000, 256
"""Of a tree with a limited history: frames, moving transforms of all of them together, and characters of a name."""
HISTORY = 10.0
"""Seconds of moving transforms that a robot needs, as in tf2."""
_JUMP_NS = 500_000_000
"""A stamp that is older than the frame's newest by more than this: the clock was set back."""
_DENSEST = 2000
"""Samples in the history of one frame, about; those of a faster sender are thinned out."""
_VELOCITY_NS = 100_000_000
"""The last velocity is measured over this time, so that noise of the newest samples counts less."""

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


def interpolate(T0: np.ndarray, T1: np.ndarray, share: float) -> np.ndarray:
    """Between two poses (4, 4): translation linear, rotation by slerp. share : 0 gives T0, 1 gives T1; beyond them, the
    same velocity goes on.
    """
    if np.array_equal(T0, T1):
        return T0
    q0, q1 = quaternion_of(T0[:3, :3]), quaternion_of(T1[:3, :3])
    if (dot := q0 @ q1) < 0:
        q1, dot = -q1, -dot
    sine = np.linalg.norm(q1 - dot * q0)  # of the angle between them; exact where it is small
    angle = math.atan2(sine, dot)
    q = q0 if sine < 1e-12 else math.cos(share * angle) * q0 + math.sin(share * angle) * (q1 - dot * q0) / sine
    return matrix_of((1 - share) * T0[:3, 3] + share * T1[:3, 3], q)


class Lookup(NamedTuple):
    """T : (4, 4) T_target_source; None where there is none, and `why` says the reason
    beyond : seconds by which the stamp lies before or after what is known of the frames on the way, 0 inside
    """

    T: np.ndarray | None
    why: str = ""
    beyond: float = 0.0


class TransformTree:
    """The transforms of /tf and /tf_static: each frame's pose in its parent, fixed or over time.

    A frame has one parent. A fixed transform takes precedence over moving ones of the same frame, whatever their
    parent; of two parents of a moving frame the newest counts, and what was known of it before is forgotten.
    """

    def __init__(self, history: float | None = None):
        """history : seconds of moving transforms that are kept, and then frames, samples and names are limited too,
        and a clock that jumps back forgets what the frame did before; None keeps everything, for files.
        """
        self._history = None if history is None else round(history * 1e9)
        self._links: dict[str, tuple[str, np.ndarray] | _Track] = {}
        self._samples = 0

    def add(self, parent: str, child: str, T_parent_child: np.ndarray, stamp: int | None = None) -> bool:
        """stamp : ns, sorted in among earlier ones; None for a fixed transform, which replaces the one before.

        False where there is no room for another frame (MAX_FRAMES), or a name is longer than MAX_NAME.
        """
        parent, child = parent.lstrip("/"), child.lstrip("/")
        link = self._links.get(child)
        limited = self._history is not None
        if limited and (len(child) > MAX_NAME or len(parent) > MAX_NAME):
            return False
        if limited and link is None and len(self._links) >= MAX_FRAMES:
            return False
        before = len(link.stamps) if isinstance(link, _Track) else 0
        if stamp is None:
            self._links[child] = (parent, T_parent_child)
            self._samples -= before
            return True
        if isinstance(link, tuple):
            return True
        if link is None or link.parent != parent:
            link = self._links[child] = _Track(parent)
        link.add(stamp, T_parent_child, self._history)
        self._samples += len(link.stamps) - before
        if limited and self._samples > MAX_SAMPLES:
            longest = max((t for t in self._links.values() if isinstance(t, _Track)), key=lambda t: len(t.stamps))
            self._samples -= longest.forget(len(longest.stamps) // 2)
        return True

    @property
    def frames(self) -> list[str]:
        """All frame names, sorted."""
        return sorted({name for child, link in self._links.items() for name in (child, _parent(link))})

    @property
    def samples(self) -> int:
        """Moving transforms that are kept."""
        return self._samples

    def chain(self, frame: str, stamp: int | None = None) -> tuple[dict[str, np.ndarray], bool]:
        """T_ancestor_frame of all ancestors at a time, root last; and whether any link on the way moves.

        Before and after what is known of a moving frame, its first or last pose is used.
        """
        names = self._ancestors(frame.lstrip("/"))
        links = [self._links[name] for name in names[:-1]]
        found, T = {names[0]: np.eye(4)}, np.eye(4)
        for parent, link in zip(names[1:], links, strict=True):
            T = _pose(link, stamp)[0] @ T
            found[parent] = T
        return found, any(isinstance(link, _Track) for link in links)

    def between(self, target: str, source: str, stamp: int | None = None) -> np.ndarray | None:
        """T_target_source, (4, 4), through the nearest common ancestor; None where nothing joins them. Times as in
        `chain`; without a stamp, the newest.
        """
        return self.lookup(target, source, stamp).T

    def lookup(
        self, target: str, source: str, stamp: int | None = None, beyond: float = math.inf, extrapolate: bool = False
    ) -> Lookup:
        """T_target_source at a time, ns; without one, the newest. Only the links up to the nearest common ancestor
        count. Between two samples of a moving frame the pose is interpolated.

        beyond : seconds before a frame's first and after its last sample in which that one is used
        extrapolate : after the last one, its last velocity goes on instead (constant-velocity model)
        """
        target, source = target.lstrip("/"), source.lstrip("/")
        paths = self._paths(target, source)
        if paths is None:
            return Lookup(None, "tf does not connect them")
        poses, farthest = [], 0.0
        for path in paths:
            T = np.eye(4)
            for name in path:
                link_pose, late = _pose(self._links[name], stamp, extrapolate)
                if abs(late) > beyond:
                    return Lookup(None, _why(name, late), abs(late))
                T, farthest = link_pose @ T, max(farthest, abs(late))
            poses.append(T)
        return Lookup(np.linalg.inv(poses[0]) @ poses[1] if paths[0] else poses[1], "", farthest)

    def still(self, target: str, source: str) -> bool:
        """Whether they are joined, and nothing between them has moved as far back as is known."""
        paths = self._paths(target.lstrip("/"), source.lstrip("/"))
        links = [self._links[name] for path in paths or () for name in path]
        return paths is not None and not any(isinstance(link, _Track) and link.moved for link in links)

    def _ancestors(self, frame: str) -> list[str]:
        """The frame and its ancestors; it ends where a loop begins."""
        names = [frame]
        known = {frame}
        while (link := self._links.get(names[-1])) is not None and (parent := _parent(link)) not in known:
            names.append(parent)
            known.add(parent)
        return names

    def _paths(self, target: str, source: str) -> tuple[list[str], list[str]] | None:
        """The frames from target and from source up to the nearest common ancestor, without that one."""
        of_target, of_source = self._ancestors(target), self._ancestors(source)
        above = set(of_target)
        common = next((name for name in of_source if name in above), None)
        if common is None:
            return None
        return of_target[: of_target.index(common)], of_source[: of_source.index(common)]


class _Track:
    """The poses of one moving frame in its parent, by stamp in ns."""

    def __init__(self, parent: str):
        self.parent = parent
        self.stamps: list[int] = []
        self._poses: list[np.ndarray] = []
        self._changed: int | None = None

    def add(self, stamp: int, T: np.ndarray, history: int | None) -> None:
        if history is not None and self.stamps:
            if stamp < self.stamps[-1] - _JUMP_NS:
                self.forget(len(self.stamps))
                self._changed = None
            elif len(self.stamps) > 1 and self.stamps[-1] < stamp < self.stamps[-2] + history // _DENSEST:
                self.stamps.pop()
                self._poses.pop()
        place = bisect_left(self.stamps, stamp)
        if place < len(self.stamps) and self.stamps[place] == stamp:
            del self.stamps[place], self._poses[place]
        neighbours = self._poses[max(0, place - 1) : place + 1]
        if any(not np.array_equal(T, other) for other in neighbours):
            self._changed = stamp if place == len(self.stamps) else self.stamps[-1]
        self.stamps.insert(place, stamp)
        self._poses.insert(place, T)
        if history is not None:
            self.forget(bisect_left(self.stamps, self.stamps[-1] - history))

    def forget(self, number: int) -> int:
        """The oldest ones; gives the number."""
        del self.stamps[:number], self._poses[:number]
        return number

    @property
    def moved(self) -> bool:
        """Whether two of the poses differ."""
        return self._changed is not None and self._changed > self.stamps[0]

    def at(self, stamp: int | None, extrapolate: bool) -> tuple[np.ndarray, float]:
        """The pose, and seconds by which the stamp is later than the last one; negative: earlier than the first."""
        stamps, poses = self.stamps, self._poses
        if stamp is None or stamp == stamps[-1]:
            return poses[-1], 0.0
        if stamp > stamps[-1]:
            late = (stamp - stamps[-1]) / 1e9
            earlier = bisect_right(stamps, stamps[-1] - _VELOCITY_NS) - 1
            if not extrapolate or len(stamps) == 1:
                return poses[-1], late
            first = max(earlier, 0)
            share = (stamp - stamps[first]) / (stamps[-1] - stamps[first])
            return interpolate(poses[first], poses[-1], share), late
        after = bisect_right(stamps, stamp)
        if after == 0:
            return poses[0], (stamp - stamps[0]) / 1e9
        share = (stamp - stamps[after - 1]) / (stamps[after] - stamps[after - 1])
        return (interpolate(poses[after - 1], poses[after], share) if share else poses[after - 1]), 0.0


def _parent(link: tuple[str, np.ndarray] | _Track) -> str:
    return link.parent if isinstance(link, _Track) else link[0]


def _pose(
    link: tuple[str, np.ndarray] | _Track, stamp: int | None, extrapolate: bool = False
) -> tuple[np.ndarray, float]:
    return link.at(stamp, extrapolate) if isinstance(link, _Track) else (link[1], 0.0)


def _why(name: str, late: float) -> str:
    known = "newest" if late > 0 else "oldest"
    than = "older" if late > 0 else "newer"
    return f"the {known} transform of {quoted(name)} is {abs(late):.2f} s {than} than the stamp"
