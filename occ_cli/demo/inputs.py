"""Which topics of a bag feed the node."""

from dataclasses import dataclass
from pathlib import Path

from occ_data.bags import BagOptions, Topics, bag_topics, choose_topics


@dataclass(frozen=True)
class BagInputs:
    """Topics of one camera and one LiDAR.

    lidar_frame: of the voxels where no cloud is needed, else None; compressed: whether the images are; frames: number
    of clouds, or of images where no cloud is needed.
    """

    chosen: Topics
    lidar_frame: str | None
    compressed: bool
    frames: int

    @property
    def image(self) -> str:
        """The camera's topic."""
        return self.chosen.image

    @property
    def topics(self) -> dict[str, str]:
        """Those that the node subscribes to, by their names there."""
        return {name: topic for name, topic in self.chosen._asdict().items() if topic is not None}

    @property
    def frame_topic(self) -> str:
        """The topic whose messages are the frames, and whose stamps the outputs carry."""
        return self.chosen.frames


def bag_inputs(path: Path, options: BagOptions | None = None) -> BagInputs:
    """Topics given, or else kitti2bag's, or else the only ones of their type. With a lidar_frame no cloud is needed.

    Raises BagError naming the candidates.
    """
    options = options or BagOptions()
    lidar_frame = options.lidar_frame
    chosen = choose_topics(path, options.image, options.camera_info, options.points, needs_cloud=lidar_frame is None)
    topics = bag_topics(path)
    return BagInputs(chosen, lidar_frame, "Compressed" in topics[chosen.image][0], topics[chosen.frames][1])
