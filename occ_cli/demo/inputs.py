"""Which topics of a bag feed the node, and the calibration that the bag holds."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from occ_core import Calibration
from occ_core.transforms import TransformTree, matrix_of
from occ_data.bags import TF_TYPE, BagError, bag_topics, choose_topics, read_bag
from occ_data.bags.reader import decode_cdr


@dataclass(frozen=True)
class BagInputs:
    """Topics of one camera and one LiDAR; points: None where no cloud is needed.

    lidar_frame: of the voxels, None where the clouds tell; frames: number of clouds, of images where none is needed.
    """

    image: str
    camera_info: str
    points: str | None
    lidar_frame: str | None
    compressed: bool
    frames: int

    @property
    def topics(self) -> dict[str, str]:
        """Those that the node subscribes to, by their names there."""
        named = {"image": self.image, "camera_info": self.camera_info, "points": self.points}
        return {name: topic for name, topic in named.items() if topic is not None}

    @property
    def frame_topic(self) -> str:
        """The topic whose messages are the frames, and whose stamps the outputs carry."""
        return self.points or self.image


def bag_inputs(
    path: Path,
    image: str | None = None,
    camera_info: str | None = None,
    points: str | None = None,
    lidar_frame: str | None = None,
) -> BagInputs:
    """Topics given, or else kitti2bag's, or else the only ones of their type. With a lidar_frame no cloud is needed.

    Raises BagError naming the candidates.
    """
    image, camera_info, points = choose_topics(path, image, camera_info, points, needs_cloud=lidar_frame is None)
    topics = bag_topics(path)
    compressed = "Compressed" in topics[image][0]
    return BagInputs(image, camera_info, points, lidar_frame, compressed, topics[points or image][1])


def bag_calibration(path: Path, inputs: BagInputs) -> Calibration:
    """From the first CameraInfo and the transforms up to it. Raises BagError where no chain of frames joins the two."""
    tree, camera, lidar_frame, stamp = TransformTree(), None, inputs.lidar_frame, 0
    wanted = {t for t, (kind, _) in bag_topics(path).items() if kind == TF_TYPE}
    wanted |= set(inputs.topics.values()) - {inputs.image}
    for topic, kind, recorded, data in read_bag(path, wanted):
        if topic == inputs.camera_info:
            camera, stamp = camera or decode_cdr(topic, kind, data), recorded
        elif topic == inputs.points:
            lidar_frame, stamp = lidar_frame or decode_cdr(topic, kind, data).header.frame_id, recorded
        else:
            _add_transforms(tree, topic, data)
        if camera and lidar_frame:
            T_cam_lidar = tree.between(camera.header.frame_id, lidar_frame, stamp)
            if T_cam_lidar is not None:
                return Calibration.from_camera_info(camera.width, camera.height, camera.k, camera.p, T_cam_lidar)
    if not (camera and lidar_frame):
        raise BagError(f"{path}: no message on {inputs.points if camera else inputs.camera_info}")
    other_frame = ", or another LiDAR's name with --lidar-frame" if inputs.lidar_frame else ""
    raise BagError(
        f"{path}: no transform between {lidar_frame!r} and {camera.header.frame_id!r} in /tf_static or /tf; "
        f"give the extrinsics with --calibration FILE{other_frame}"
    )


def _add_transforms(tree: TransformTree, topic: str, data) -> None:
    for item in decode_cdr(topic, TF_TYPE, data).transforms:
        t, q = item.transform.translation, item.transform.rotation
        moment = item.header.stamp.sec * 10**9 + item.header.stamp.nanosec
        tree.add(
            item.header.frame_id, item.child_frame_id, matrix_of((t.x, t.y, t.z), (q.x, q.y, q.z, q.w)),
            None if topic.endswith("tf_static") else moment,
        )  # fmt: skip


def write_kitti_calibration(path: Path, calibration: Calibration) -> Path:
    """The calibration as a KITTI `calib.txt` with P2 and Tr, as the node's parameter calibration_file takes it."""

    rows = {"P2": calibration.P, "Tr": calibration.T_cam_lidar[:3]}
    lines = [f"{name}: " + " ".join(f"{v:.16e}" for v in np.ravel(row)) for name, row in rows.items()]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path
