"""Drive -> rosbag2, with the topics and frames that users of kitti2bag know."""

import shutil
import tempfile
from collections.abc import Sequence as SequenceOf
from pathlib import Path

import numpy as np
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import StoragePlugin, Writer
from tqdm import tqdm

from occ_core.rig import Rig
from occ_core.transforms import nearest_rotation, quaternion_of

from ..drive import Drive
from .reader import BagError, jazzy
from .topics import GROUND_FRAME, IMAGE_TOPIC, INFO_TOPIC, POINTS_TOPIC

EPOCH_NS = 1_317_000_000_000_000_000
"""Stamp of zero in `times.txt`, ns: 26 September 2011, when KITTI was recorded; fixed for reproducible bags."""
CAMERA_FRAME, LIDAR_FRAME, WORLD_FRAME = "camera_color_left", "velo_link", "world"

_ZERO = QosTime(0, 0)
LATCHED = Qos(
    QosHistory.KEEP_LAST, 1, QosReliability.RELIABLE, QosDurability.TRANSIENT_LOCAL, _ZERO, _ZERO,
    QosLiveliness.AUTOMATIC, _ZERO, False,
)  # fmt: skip


def write_bag(
    drive: Drive,
    path: str | Path,
    frames: SequenceOf[str] | None = None,
    force: bool = False,
    progress: bool = False,
) -> int:
    """Write a rosbag2 folder (mcap).

    Topics: Image (rgb8), CameraInfo (K and P of camera 2), PointCloud2 (x y z intensity), /tf_static (the LiDAR's
    frame to the camera's, latched) and, where the drive has poses, /tf (world to LiDAR). The camera frame is where
    camera 2 really is, so that K @ T_cam_lidar equals KITTI's P2 @ Tr; P keeps KITTI's fourth column. A transform
    message holds a proper rotation: KITTI's printed Tr differs from one by 5e-8, which is lost. Where the LiDAR is not
    mounted as KITTI's, /tf_static also has `base_footprint`, on the ground, below the LiDAR's frame, whose parent is
    the world.

    Parameters
    ----------
    frames : ids to write, all by default
    force : replace a bag that exists

    Returns the number of frames. Raises BagError where `path` exists, DataError for unusable files.
    """
    path = Path(path)
    if path.exists() and not (force and (path / "metadata.yaml").is_file()):
        raise BagError(f"{path}: exists already; expected a new folder" + ("" if force else " (or a bag to replace)"))
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = drive.frames if frames is None else list(frames)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        unfinished = Path(folder) / path.name
        with Writer(unfinished, version=8, storage_plugin=StoragePlugin.MCAP) as writer:  # 8: Humble reads it too
            _write(writer, drive, frames, progress)
        if path.exists():
            shutil.rmtree(path)
        unfinished.rename(path)
    return len(frames)


def _write(writer: Writer, drive: Drive, frames: list[str], progress: bool) -> None:
    topics = {
        "/tf_static": "tf2_msgs/msg/TFMessage", "/tf": "tf2_msgs/msg/TFMessage",
        INFO_TOPIC: "sensor_msgs/msg/CameraInfo", IMAGE_TOPIC: "sensor_msgs/msg/Image",
        POINTS_TOPIC: "sensor_msgs/msg/PointCloud2",
    }  # fmt: skip
    has_poses = drive.has_poses
    if not has_poses:
        del topics["/tf"]
    connections = {
        topic: writer.add_connection(
            topic, msgtype, typestore=jazzy(), offered_qos_profiles=[LATCHED] if topic == "/tf_static" else []
        )
        for topic, msgtype in topics.items()
    }

    def write(topic: str, stamp: int, message) -> None:
        writer.write(connections[topic], stamp, jazzy().serialize_cdr(message, topics[topic]))

    calibration = drive.calibration
    K = calibration.P[:, :3]
    T_cam_lidar = calibration.T_cam_lidar.copy()
    T_cam_lidar[:3, 3] += np.linalg.solve(K, calibration.P[:, 3])  # from camera 0 to where camera 2 is
    if not (drive.times.min() * 1e9 >= -EPOCH_NS and EPOCH_NS / 1e9 + drive.times.max() < 2**31):
        latest = 2**31 - EPOCH_NS // 10**9
        raise BagError(f"{drive.path}: times up to {drive.times.max():g} s; a ROS stamp holds at most {latest:,} s")
    stamps = EPOCH_NS + np.rint(drive.times * 1e9).astype(np.int64)
    for n, frame in enumerate(tqdm(frames, desc=f"{drive.name} -> bag", unit="frame", disable=not progress)):
        stamp = int(stamps[int(frame)])
        if n == 0:
            fixed = {CAMERA_FRAME: T_cam_lidar}
            if not np.array_equal(calibration.T_grid_lidar, np.eye(4)):
                fixed[GROUND_FRAME] = Rig.from_grid(calibration.T_grid_lidar).T_ground_lidar
            write("/tf_static", stamp, _transforms(LIDAR_FRAME, {f: np.linalg.inv(T) for f, T in fixed.items()}, stamp))
        if has_poses:
            write("/tf", stamp, _transforms(WORLD_FRAME, {LIDAR_FRAME: drive.poses[int(frame)]}, stamp))
        write(INFO_TOPIC, stamp, _camera_info(calibration, stamp))
        write(IMAGE_TOPIC, stamp, _image(drive.image(frame), stamp))
        write(POINTS_TOPIC, stamp, _cloud(drive.scan(frame), stamp))


def _header(stamp: int, frame: str):
    types = jazzy().types
    time = types["builtin_interfaces/msg/Time"](stamp // 10**9, stamp % 10**9)
    return types["std_msgs/msg/Header"](time, frame)


def _transforms(parent: str, children: dict[str, np.ndarray], stamp: int):
    """children : T_parent_child (4, 4) by name"""
    stamped = [_transform(parent, child, T_parent_child, stamp) for child, T_parent_child in children.items()]
    return jazzy().types["tf2_msgs/msg/TFMessage"](stamped)


def _transform(parent: str, child: str, T_parent_child: np.ndarray, stamp: int):
    types = jazzy().types
    quaternion = quaternion_of(nearest_rotation(T_parent_child[:3, :3]))
    transform = types["geometry_msgs/msg/Transform"](
        types["geometry_msgs/msg/Vector3"](*map(float, T_parent_child[:3, 3])),
        types["geometry_msgs/msg/Quaternion"](*map(float, quaternion)),
    )
    return types["geometry_msgs/msg/TransformStamped"](_header(stamp, parent), child, transform)


def _camera_info(calibration, stamp: int):
    types = jazzy().types
    width, height = calibration.image_size
    return types["sensor_msgs/msg/CameraInfo"](
        _header(stamp, CAMERA_FRAME), height, width, "plumb_bob", np.zeros(5),
        np.ascontiguousarray(calibration.P[:, :3]).reshape(9), np.eye(3).reshape(9), calibration.P.reshape(12),
        0, 0, types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False),
    )  # fmt: skip


def _image(image: np.ndarray, stamp: int):
    height, width = image.shape[:2]
    return jazzy().types["sensor_msgs/msg/Image"](
        _header(stamp, CAMERA_FRAME), height, width, "rgb8", 0, 3 * width, np.ascontiguousarray(image).reshape(-1)
    )


def _cloud(scan: np.ndarray, stamp: int):
    types = jazzy().types
    field = types["sensor_msgs/msg/PointField"]
    fields = [field(name, 4 * n, field.FLOAT32, 1) for n, name in enumerate(("x", "y", "z", "intensity"))]
    return types["sensor_msgs/msg/PointCloud2"](
        _header(stamp, LIDAR_FRAME), 1, len(scan), fields, False, 16, 16 * len(scan),
        np.ascontiguousarray(scan, "<f4").reshape(-1).view(np.uint8), True,
    )  # fmt: skip
