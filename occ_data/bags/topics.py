"""Which topics of a bag are the camera and the LiDAR, and the names that bags get here."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from .decode import IMAGE_TYPES, INFO_TYPE, POINTS_TYPE
from .reader import BagError, bag_topics

IMAGE_TOPIC = "/kitti/camera_color_left/image_raw"
INFO_TOPIC = "/kitti/camera_color_left/camera_info"
POINTS_TOPIC = "/kitti/velo/pointcloud"
GROUND_FRAME = "base_footprint"
"""The robot's frame on the ground, by ROS's convention (REP 120)."""


class Topics(NamedTuple):
    """One camera and one LiDAR; points : None where no cloud is needed."""

    image: str
    camera_info: str
    points: str | None

    @property
    def frames(self) -> str:
        """The topic whose messages are the frames: the clouds, or the images where no cloud is needed."""
        return self.points or self.image


def choose_topics(
    path: str | Path,
    image: str | None = None,
    camera_info: str | None = None,
    points: str | None = None,
    needs_cloud: bool = True,
) -> Topics:
    """The topics asked for; or else kitti2bag's, or else the only ones of their type. Raises BagError."""
    topics = {topic: msgtype for topic, (msgtype, _) in bag_topics(path).items()}
    image = _choose(path, topics, "image", image, IMAGE_TYPES, (IMAGE_TOPIC,))
    beside = image.removesuffix("/compressed").rpartition("/")[0] + "/camera_info"
    camera_info = _choose(path, topics, "camera info", camera_info, (INFO_TYPE,), (beside, INFO_TOPIC))
    if needs_cloud:
        points = _choose(path, topics, "points", points, (POINTS_TYPE,), (POINTS_TOPIC, "/kitti/velo/points"))
    return Topics(image, camera_info, points if needs_cloud else None)


def _choose(path, topics: dict[str, str], what: str, wanted: str | None, types: tuple, usual: Iterable[str]) -> str:
    candidates = [topic for topic, msgtype in topics.items() if msgtype in types]
    listed = ", ".join(candidates) or "none"
    if wanted is not None:
        if wanted not in candidates:
            raise BagError(f"{path}: no topic {wanted!r} of type {types[0]}; there are: {listed}")
        return wanted
    for topic in usual:
        if topic in candidates:
            return topic
    if len(candidates) != 1:
        raise BagError(f"{path}: which {what} topic? expected one of type {types[0]} or a choice; there are: {listed}")
    return candidates[0]
