"""The calibration that a bag holds."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from occ_core.calibration import Calibration
from occ_core.calibration_file import FileCalibration
from occ_core.rig import KITTI_RIG, Rig
from occ_core.transforms import TransformTree

from .decode import TF_TYPE, add_transforms, decode
from .reader import BagError, bag_topics, decode_cdr, header_of, read_bag
from .topics import GROUND_FRAME, Topics


def bag_calibration(
    path: str | Path,
    topics: Topics,
    lidar_frame: str | None = None,
    extrinsics: FileCalibration | None = None,
    rig: Rig | None = None,
) -> Calibration:
    """From the first CameraInfo and the transforms up to it; where the LiDAR is above the ground from `bag_rig`.

    P keeps the fourth column of CameraInfo's P, as KITTI's P2 does, and T_cam_lidar leads to the camera from which
    that column counts: their product is the projection from the LiDAR's frame.

    Parameters
    ----------
    lidar_frame : of bags without clouds; None takes the frame of the first cloud
    extrinsics : from a calibration file, used instead of the bag's transforms
    rig : where it says where the LiDAR is, used instead of `bag_rig`

    Raises BagError where no chain of transforms joins the two frames.
    """
    calibration = _camera(path, topics, lidar_frame, extrinsics)
    if rig is None or rig.T_ground_lidar is None:
        rig = bag_rig(path, topics, lidar_frame)
    return replace(calibration, T_grid_lidar=rig.T_grid_lidar)


def bag_rig(path: str | Path, topics: Topics, lidar_frame: str | None = None) -> Rig:
    """Where the LiDAR is above `base_footprint`, which is on the ground, in /tf_static; KITTI's rig in a bag without.

    lidar_frame : as above
    """
    tree, there = TransformTree(), bag_topics(path)
    static = [topic for topic, (kind, _) in there.items() if kind == TF_TYPE and topic.endswith("tf_static")]
    for topic, _, _, data in read_bag(path, static):
        add_transforms(tree, topic, data)
    if GROUND_FRAME not in tree.frames:
        return KITTI_RIG
    if lidar_frame is None:
        topic, kind, _, data = next(read_bag(path, [topics.frames]))
        lidar_frame = header_of(topic, kind, data)[1]
    T_ground_lidar = tree.between(GROUND_FRAME, lidar_frame)
    return KITTI_RIG if T_ground_lidar is None else Rig(T_ground_lidar)


def _camera(
    path: str | Path, topics: Topics, lidar_frame: str | None, extrinsics: FileCalibration | None
) -> Calibration:
    """See `bag_calibration`; its T_grid_lidar is the identity."""
    tree, camera, intrinsics, stamp = TransformTree(), None, None, 0
    wanted = {topics.camera_info}
    if extrinsics is None:
        wanted |= {topic for topic, (kind, _) in bag_topics(path).items() if kind == TF_TYPE}
        wanted |= {topics.points} if lidar_frame is None else set()
    for topic, kind, recorded, data in read_bag(path, wanted):
        if topic == topics.camera_info and camera is None:
            intrinsics, camera, stamp = decode(topic, kind, data), decode_cdr(topic, kind, data), recorded
            if extrinsics is not None:
                return intrinsics.calibration(extrinsics.T_cam_lidar)
        elif topic == topics.points and lidar_frame is None:
            lidar_frame, stamp = header_of(topic, kind, data)[1], recorded
        elif kind == TF_TYPE:
            add_transforms(tree, topic, data)
        if camera and lidar_frame:
            T_cam_lidar = tree.between(camera.header.frame_id, lidar_frame, stamp)
            if T_cam_lidar is not None:
                return _with_offset(intrinsics.calibration(T_cam_lidar), intrinsics.offset)
    if not (camera and lidar_frame):
        raise BagError(f"{path}: no message on {topics.points if camera else topics.camera_info}")
    raise BagError(
        f"{path}: no transform between {lidar_frame!r} and {camera.header.frame_id!r} in /tf_static or /tf; frames "
        f"there: {', '.join(tree.frames) or 'none'}; give the extrinsics with --calibration FILE, or the LiDAR's frame "
        "of a bag without clouds with --lidar-frame"
    )


def _with_offset(calibration: Calibration, column: tuple[float, ...]) -> Calibration:
    K, offset = calibration.P[:, :3], np.array(column)
    T = calibration.T_cam_lidar.copy()
    T[:3, 3] -= np.linalg.solve(K, offset)
    return Calibration(np.hstack([K, offset[:, None]]), T, calibration.image_size)
