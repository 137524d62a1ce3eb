"""The calibration that a bag holds."""

from pathlib import Path

import numpy as np

from occ_core.calibration import Calibration
from occ_core.calibration_file import RigCalibration
from occ_core.transforms import TransformTree

from .decode import TF_TYPE, add_transforms, decode
from .reader import BagError, bag_topics, decode_cdr, header_of, read_bag
from .topics import Topics


def bag_calibration(
    path: str | Path, topics: Topics, lidar_frame: str | None = None, rig: RigCalibration | None = None
) -> Calibration:
    """From the first CameraInfo and the transforms up to it.

    P keeps the fourth column of CameraInfo's P, as KITTI's P2 does, and T_cam_lidar leads to the camera from which
    that column counts: their product is the projection from the LiDAR's frame.

    Parameters
    ----------
    lidar_frame : of bags without clouds; None takes the frame of the first cloud
    rig : extrinsics from a calibration file, used instead of the bag's transforms

    Raises BagError where no chain of transforms joins the two frames.
    """
    tree, camera, intrinsics, stamp = TransformTree(), None, None, 0
    wanted = {topics.camera_info}
    if rig is None:
        wanted |= {topic for topic, (kind, _) in bag_topics(path).items() if kind == TF_TYPE}
        wanted |= {topics.points} if lidar_frame is None else set()
    for topic, kind, recorded, data in read_bag(path, wanted):
        if topic == topics.camera_info and camera is None:
            intrinsics, camera, stamp = decode(topic, kind, data), decode_cdr(topic, kind, data), recorded
            if rig is not None:
                return intrinsics.calibration(rig.T_cam_lidar)
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
