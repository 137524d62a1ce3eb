"""Bag -> sequence: any drive with a camera and a LiDAR becomes SemanticKITTI files."""

import os
import tempfile
from bisect import bisect_left
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from occ_core.calibration import Calibration
from occ_core.transforms import TransformTree, matrix_of

from ..kitti import SequenceWriter
from .decode import image_of, scan_of, stamp_of
from .reader import BagError, bag_topics, decode_cdr, read_bag
from .to_bag import IMAGE_TOPIC, INFO_TOPIC, POINTS_TOPIC

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
INFO_TYPES = ("sensor_msgs/msg/CameraInfo",)
POINTS_TYPES = ("sensor_msgs/msg/PointCloud2",)
TF_TYPE = "tf2_msgs/msg/TFMessage"


class Conversion(NamedTuple):
    """What came of a bag: frames written, clouds without an image near enough, whether the bag told how it moved."""

    path: Path
    frames: int
    unpaired: int
    has_poses: bool


class _Contents(NamedTuple):
    """What is known of a bag after the first reading; messages are named by their position in their topic."""

    images: list[tuple[int, int]]  # (stamp, position), ascending
    clouds: list[tuple[int, int]]
    calibration: Calibration
    K_offset: np.ndarray  # (3,) fourth column of P
    poses: list[np.ndarray]  # T_world_lidar of each cloud
    has_poses: bool


def bag_to_sequence(
    path: str | Path,
    root: str | Path,
    name: str,
    image_topic: str | None = None,
    info_topic: str | None = None,
    points_topic: str | None = None,
    tolerance: float = 0.05,
    progress: bool = False,
) -> Conversion:
    """Write `ROOT/sequences/NAME` with image_2, velodyne, calib.txt, poses.txt and times.txt.

    Each cloud is paired with the image nearest in time. Topics that are not given are kitti2bag's where the bag has
    them, else the only ones of their type. The extrinsics come from /tf_static and /tf, through any chain of frames;
    the poses from whatever moves above the LiDAR's frame, relative to the first frame (identity where nothing does).

    Parameters
    ----------
    tolerance : largest difference, s, between the stamps of a cloud and its image

    Raises BagError for an unreadable bag, ambiguous or missing topics, missing transforms and malformed messages, and
    where the sequence exists already.
    """
    path, target = Path(path), Path(root) / "sequences" / name
    if target.exists():
        raise BagError(f"{target}: exists already; expected a new sequence")
    topics = choose_topics(path, image_topic, info_topic, points_topic)
    contents = _survey(path, *topics)
    pairs = _pair(contents.clouds, contents.images, int(tolerance * 1e9))
    if not pairs:
        raise BagError(
            f"{path}: no cloud of {topics[2]} has an image of {topics[0]} within {tolerance:g} s; check the stamps"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=target.parent) as folder:
        writer = SequenceWriter(folder, name)
        _write_tables(writer, contents, [cloud for cloud, _ in pairs])
        _write_frames(writer, path, topics, contents, pairs, progress)
        os.replace(writer.path, target)
    return Conversion(target, len(pairs), len(contents.clouds) - len(pairs), contents.has_poses)


def choose_topics(
    path: Path, image: str | None, info: str | None, points: str | None, needs_cloud: bool = True
) -> tuple[str, str, str | None]:
    """Topics of image, camera_info and points: the ones asked for, or those that the bag's types leave.

    Of points None where no cloud is needed.
    """
    topics = {topic: msgtype for topic, (msgtype, _) in bag_topics(path).items()}
    image = _choose(path, topics, "image", image, IMAGE_TYPES, (IMAGE_TOPIC,))
    beside = image.removesuffix("/compressed").rpartition("/")[0] + "/camera_info"
    info = _choose(path, topics, "camera info", info, INFO_TYPES, (beside, INFO_TOPIC))
    if not needs_cloud:
        return image, info, None
    return image, info, _choose(path, topics, "points", points, POINTS_TYPES, (POINTS_TOPIC, "/kitti/velo/points"))


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


def _survey(path: Path, image: str, info: str, points: str) -> _Contents:
    """The first reading: stamps, calibration, transforms."""
    tree, images, clouds = TransformTree(), [], []
    camera, lidar_frame = None, None
    for topic, msgtype, recorded, data in read_bag(path):
        if msgtype == TF_TYPE:
            for item in decode_cdr(topic, msgtype, data).transforms:
                fixed = topic.endswith("tf_static")
                tree.add(
                    item.header.frame_id, item.child_frame_id, _matrix(item), None if fixed else stamp_of(item.header)
                )
        elif topic in (image, points):
            header = decode_cdr(topic, msgtype, data).header
            stamps = images if topic == image else clouds
            stamps.append((stamp_of(header) or recorded, len(stamps)))
            if topic == points:
                lidar_frame = lidar_frame or header.frame_id
        elif topic == info and camera is None:
            camera = decode_cdr(topic, msgtype, data)
    for what, found in ((image, images), (points, clouds), (info, camera)):
        if not found:
            raise BagError(f"{path}: no message on {what}")
    images, clouds = sorted(images), sorted(clouds)
    T_cam_lidar = tree.between(camera.header.frame_id, lidar_frame, clouds[0][0])
    if T_cam_lidar is None:
        raise BagError(
            f"{path}: no transform between {lidar_frame!r} and {camera.header.frame_id!r} in /tf_static or /tf; "
            f"frames there: {', '.join(tree.frames) or 'none'}"
        )
    calibration = Calibration.from_camera_info(camera.width, camera.height, camera.k, camera.p, T_cam_lidar)
    chains = [tree.chain(lidar_frame, stamp) for stamp, _ in clouds]
    poses = [list(chain.values())[-1] for chain, _ in chains]
    offset = np.asarray(camera.p, np.float64).reshape(3, 4)[:, 3]
    return _Contents(images, clouds, calibration, offset, poses, chains[0][1])


def _matrix(item) -> np.ndarray:
    t, q = item.transform.translation, item.transform.rotation
    return matrix_of((t.x, t.y, t.z), (q.x, q.y, q.z, q.w))


def _pair(clouds: list[tuple[int, int]], images: list[tuple[int, int]], tolerance: int) -> list[tuple[int, int]]:
    """Indices (cloud, image) into the two sorted lists."""
    stamps = [stamp for stamp, _ in images]
    pairs = []
    for n, (stamp, _) in enumerate(clouds):
        after = bisect_left(stamps, stamp)
        near = min((m for m in (after - 1, after) if 0 <= m < len(stamps)), key=lambda m: abs(stamps[m] - stamp))
        if abs(stamps[near] - stamp) <= tolerance:
            pairs.append((n, near))
    return pairs


def _write_tables(writer: SequenceWriter, contents: _Contents, clouds: list[int]) -> None:
    """calib.txt, times.txt and poses.txt.

    KITTI's Tr leads to camera 0 and P2's fourth column from there to camera 2: Tr is made so that P2 @ Tr stays what
    the bag says. The bag has one camera, so P0 and P1 are its K without an offset and P3 repeats P2.
    """
    K = contents.calibration.P[:, :3]
    P0 = np.hstack([K, np.zeros((3, 1))])
    P2 = np.hstack([K, contents.K_offset[:, None]])
    Tr = contents.calibration.T_cam_lidar.copy()
    Tr[:3, 3] -= np.linalg.solve(K, contents.K_offset)
    writer.write_calibration({"P0": P0, "P1": P0, "P2": P2, "P3": P2}, Tr)
    stamps = np.array([contents.clouds[n][0] for n in clouds], np.int64)
    writer.write_times((stamps - stamps[0]) / 1e9)
    poses = np.stack([contents.poses[n] for n in clouds])
    writer.write_poses(Tr @ np.linalg.inv(poses[0]) @ poses @ np.linalg.inv(Tr))


def _write_frames(writer: SequenceWriter, path: Path, topics, contents: _Contents, pairs, progress: bool) -> None:
    """The second reading: pixels and points."""
    image_topic, _, points_topic = topics
    frames_of_cloud = {contents.clouds[cloud][1]: [n] for n, (cloud, _) in enumerate(pairs)}
    frames_of_image: dict[int, list[int]] = {}
    for n, (_, image) in enumerate(pairs):
        frames_of_image.setdefault(contents.images[image][1], []).append(n)
    positions = dict.fromkeys((image_topic, points_topic), -1)
    with tqdm(total=2 * len(pairs), desc=f"bag -> {writer.path.name}", unit="file", disable=not progress) as bar:
        for topic, msgtype, _, data in read_bag(path, (image_topic, points_topic)):
            positions[topic] += 1
            frames = (frames_of_image if topic == image_topic else frames_of_cloud).get(positions[topic], [])
            if not frames:
                continue
            message = decode_cdr(topic, msgtype, data)
            content = {"image": image_of(message)} if topic == image_topic else {"scan": scan_of(message)}
            for n in frames:
                writer.write_frame(f"{n:06d}", **content)
                bar.update()
