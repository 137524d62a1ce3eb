"""The same frame under other conditions: fewer rings, no intensity, no camera, another image, no LiDAR, lower."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from .frames import Frame
from .rigs import MOUNTINGS, moved

FULL = "full sensor"
LIDAR_BINS = 64
"""Steps of elevation that stand for the rings of a LiDAR whose points are not in the order of its rings."""


@dataclass(frozen=True)
class Condition:
    """change : frame and the image of another drive -> the frame to predict; needs_cloud : it changes the cloud only"""

    change: Callable[[Frame, np.ndarray], Frame]
    needs_cloud: bool = False


def rings(points: np.ndarray) -> np.ndarray:
    """(N,) int ring of each point (N, >=3), LiDAR frame.

    Where the points come ring by ring, as KITTI's files have them, a ring begins where the azimuth starts anew. Other
    clouds are cut into LIDAR_BINS steps of elevation.
    """
    azimuth = np.degrees(np.arctan2(points[:, 1], points[:, 0])) % 360
    ring = np.cumsum(np.diff(azimuth, prepend=azimuth[:1]) < -180)
    if len(ring) and 8 <= ring[-1] < 256:
        return ring
    elevation = np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1]))
    if not len(points) or np.ptp(elevation) == 0:
        return np.zeros(len(points), int)
    return np.minimum((elevation - elevation.min()) / np.ptp(elevation) * LIDAR_BINS, LIDAR_BINS - 1).astype(int)


def _every(step: int) -> Condition:
    return Condition(lambda frame, _: replace(frame, points=frame.points[rings(frame.points) % step == 0]), True)


def _intensity(value: float) -> Condition:
    def change(frame: Frame, _: np.ndarray) -> Frame:
        points = frame.points.copy()
        points[:, 3] = value
        return replace(frame, points=points)

    return Condition(change, True)


def _other_image(frame: Frame, image: np.ndarray) -> Frame:
    return replace(frame, image=cv2.resize(image, frame.image.shape[1::-1], interpolation=cv2.INTER_AREA))


CONDITIONS = {
    FULL: Condition(lambda frame, _: frame),
    "every 2nd ring": _every(2),
    "every 4th ring": _every(4),
    "intensity 0": _intensity(0.0),
    "black image": Condition(lambda frame, _: replace(frame, image=np.zeros_like(frame.image))),
    "image of another drive": Condition(_other_image),
    "no LiDAR": Condition(lambda frame, _: replace(frame, points=frame.points[:0]), True),
    "0.6 m above the ground, its rig": Condition(
        lambda frame, _: moved(frame, MOUNTINGS["0.6 m above the ground"])[0], True
    ),
}
"""Of a LiDAR with 64 rings every 2nd and every 4th one leave 32 and 16."""
