"""A bag as a data set, read as it is."""

from bisect import bisect_left
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from occ_core.calibration import Calibration
from occ_core.calibration_file import read_calibration_file
from occ_core.decode.intensity import DECIDING, Intensity
from occ_core.grid import KITTI_GRID, Grid
from occ_core.rig import Rig
from occ_core.transforms import TransformTree

from ..drive import is_number
from .calibration import bag_calibration, bag_rig
from .decode import TF_TYPE, add_transforms, decode, decode_points
from .messages import TopicMessages
from .reader import BagError, bag_topics, header_of, read_bag
from .topics import Topics, choose_topics


@dataclass(frozen=True)
class BagOptions:
    """How a bag is read.

    image, camera_info, points : topics; None takes kitti2bag's or the only one of its type
    tolerance : largest difference, s, between the stamps of a cloud and its image
    calibration_file : extrinsics, where the bag's transforms have none
    lidar_frame : name of the LiDAR's frame, for a bag without clouds: its images are the frames
    rig : where it says where the LiDAR is, `base_footprint` of the bag's transforms is not used
    """

    image: str | None = None
    camera_info: str | None = None
    points: str | None = None
    tolerance: float = 0.05
    calibration_file: Path | None = None
    lidar_frame: str | None = None
    rig: Rig | None = None


class _Stamps(NamedTuple):
    """Of one topic, in the order of the bag: header stamps and times of recording, (N,) int64 ns."""

    stamps: np.ndarray
    recorded: np.ndarray


class _Index(NamedTuple):
    """What one pass over the bag finds."""

    images: _Stamps
    clouds: _Stamps
    transforms: TransformTree
    lidar_frame: str


class BagDrive:
    """A Drive from a bag. The bag is indexed in one pass; images and scans are read when asked for.

    Each cloud is paired with the image nearest in time, and these pairs are the frames, numbered from 000000. The poses
    come from whatever moves above the LiDAR's frame in /tf, relative to the first frame (identity where nothing does).

    Raises BagError for an unreadable bag, ambiguous or missing topics, missing transforms and malformed messages.
    """

    def __init__(self, path: str | Path, options: BagOptions | None = None):
        self.path, self.options = Path(path), options or BagOptions()
        self.name = self.path.stem
        o = self.options
        self.topics: Topics = choose_topics(path, o.image, o.camera_info, o.points, o.lidar_frame is None)

    @cached_property
    def frames(self) -> list[str]:
        """Ids of the clouds that have an image."""
        if self.topics.points is None:
            raise BagError(f"{self.path}: read without clouds; expected a cloud for every frame")
        return self.image_frames

    @cached_property
    def image_frames(self) -> list[str]:
        """Ids of the pairs; without clouds, of all images."""
        return [f"{n:06d}" for n in range(len(self._pairs))]

    @property
    def voxel_frames(self) -> list[str]:
        """None: a bag has no ground truth."""
        return []

    @property
    def unpaired(self) -> int:
        """Number of clouds without an image near enough."""
        return len(self._moments.stamps) - len(self._pairs)

    @cached_property
    def calibration(self) -> Calibration:
        """See `bag_calibration`."""
        o = self.options
        extrinsics = read_calibration_file(o.calibration_file) if o.calibration_file else None
        return bag_calibration(self.path, self.topics, o.lidar_frame, extrinsics, self.rig)

    @cached_property
    def rig(self) -> Rig:
        """What the options say, and for the rest `bag_rig`."""
        return (self.options.rig or Rig()).completed(bag_rig(self.path, self.topics, self.options.lidar_frame))

    @cached_property
    def times(self) -> np.ndarray:
        """(N,) float64 seconds since the first frame."""
        return (self._frame_stamps - self._frame_stamps[0]) / 1e9

    @cached_property
    def poses(self) -> np.ndarray:
        """(N, 4, 4) T_world_lidar, the world being the first frame's LiDAR."""
        tree, frame = self._index.transforms, self._index.lidar_frame
        poses = np.stack([list(tree.chain(frame, int(stamp))[0].values())[-1] for stamp in self._frame_stamps])
        return np.linalg.inv(poses[0]) @ poses

    @cached_property
    def has_poses(self) -> bool:
        """Whether anything moves above the LiDAR's frame."""
        return self._index.transforms.chain(self._index.lidar_frame)[1]

    @property
    def grid(self) -> Grid:
        """SemanticKITTI's."""
        return KITTI_GRID

    def image(self, frame: str) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""
        place = int(self._pairs[self._row(frame), 1])
        return decode(self.topics.image, *self._images[place])

    def scan(self, frame: str) -> np.ndarray:
        """(N, 4) float32: x, y, z, intensity 0..1 by a scale that the first clouds decide; see `decode_cloud`."""
        if self.topics.points is None:
            raise BagError(f"{self.path}: read without clouds; expected a cloud for frame {frame}")
        place = int(self._pairs[self._row(frame), 0])
        return decode_points(self.topics.points, self._clouds[place][1], self._intensity)

    def has_scan(self, frame: str) -> bool:
        """Whether the bag is read with its clouds."""
        return self.topics.points is not None

    def point_labels(self, frame: str) -> np.ndarray:
        """A bag has none: raises BagError."""
        raise BagError(f"{self.path}: a bag has no point labels; write it as a sequence and label that")

    def has_labels(self, frame: str) -> bool:
        """False."""
        return False

    def pseudo_labels(self, frame: str) -> np.ndarray:
        """A bag has none: raises BagError."""
        raise BagError(f"{self.path}: a bag has no class maps; write it as a sequence and run `occ-data pseudo-labels`")

    def has_pseudo_labels(self, frame: str) -> bool:
        """False."""
        return False

    def voxel_labels(self, frame: str) -> np.ndarray:
        """A bag has none: raises BagError."""
        raise BagError(f"{self.path}: a bag has no voxel ground truth")

    def has_voxels(self, frame: str) -> bool:
        """False."""
        return False

    @property
    def _moments(self) -> _Stamps:
        """Of the messages that make the frames."""
        return self._index.clouds if self.topics.points else self._index.images

    @cached_property
    def _frame_stamps(self) -> np.ndarray:
        return self._moments.stamps[self._pairs[:, 0]]

    @cached_property
    def _images(self) -> TopicMessages:
        return TopicMessages(self.path, self.topics.image, self._index.images.recorded)

    @cached_property
    def _clouds(self) -> TopicMessages:
        return TopicMessages(self.path, self.topics.points, self._index.clouds.recorded)

    @cached_property
    def _intensity(self) -> Intensity:
        """Decided by the first clouds, whichever is read first."""
        intensity = Intensity(self.options.rig.intensity_scale if self.options.rig else None)
        for place in self._pairs[:DECIDING, 0]:
            with suppress(BagError):  # said when that frame is asked for
                decode_points(self.topics.frames, self._clouds[int(place)][1], intensity)
        intensity.keep()
        return intensity

    @cached_property
    def _pairs(self) -> np.ndarray:
        """(N, 2) places of cloud and image in their topics, by the clouds' stamps; without clouds the image twice."""
        images = np.argsort(self._index.images.stamps, kind="stable")
        if self.topics.points is None:
            return np.stack([images, images], 1)
        stamps, tolerance = self._index.images.stamps[images].tolist(), round(self.options.tolerance * 1e9)
        pairs = []
        for cloud in np.argsort(self._index.clouds.stamps, kind="stable"):
            stamp = int(self._index.clouds.stamps[cloud])
            near = _nearest(stamps, stamp)
            if abs(stamps[near] - stamp) <= tolerance:
                pairs.append((cloud, images[near]))
        if not pairs:
            within = f"within {self.options.tolerance:g} s; check the stamps"
            raise BagError(
                f"{self.path}: no cloud of {self.topics.points} has an image of {self.topics.image} {within}"
            )
        return np.array(pairs)

    @cached_property
    def _index(self) -> _Index:
        found: dict[str, list[tuple[int, int]]] = {self.topics.image: [], self.topics.frames: []}
        tree, lidar_frame = TransformTree(), self.options.lidar_frame
        transforms = [topic for topic, (kind, _) in bag_topics(self.path).items() if kind == TF_TYPE]
        for topic, kind, recorded, data in read_bag(self.path, [*found, *transforms]):
            if topic in found:
                stamp, frame = header_of(topic, kind, data)
                found[topic].append((stamp or recorded, recorded))
                if topic == self.topics.points:
                    lidar_frame = lidar_frame or frame
            else:
                add_transforms(tree, topic, data)
        for topic, messages in found.items():
            if not messages:
                raise BagError(f"{self.path}: no message on {topic}")
        images, clouds = (_Stamps(*np.array(found[t], np.int64).T) for t in (self.topics.image, self.topics.frames))
        return _Index(images, clouds, tree, lidar_frame)

    def _row(self, frame: str) -> int:
        if not (is_number(frame) and int(frame) < len(self._pairs)):
            raise BagError(f"{self.path}: no frame {frame!r}; expected 000000 to {len(self._pairs) - 1:06d}")
        return int(frame)


def _nearest(ascending: list[int], value: int) -> int:
    """Index of the number nearest to `value`."""
    after = bisect_left(ascending, value)
    return min((n for n in (after - 1, after) if 0 <= n < len(ascending)), key=lambda n: abs(ascending[n] - value))
