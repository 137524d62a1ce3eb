"""Messages of a bag -> arrays, with the decoders of live messages; errors name the topic."""

from typing import Any

import numpy as np

from occ_core.decode import MessageError, TransformError
from occ_core.decode.camera_info import decode_camera_info
from occ_core.decode.cloud import decode_cloud
from occ_core.decode.image import decode_compressed_image, decode_image
from occ_core.decode.intensity import Intensity
from occ_core.decode.transforms import matrix_from_transform
from occ_core.transforms import TransformTree

from .reader import BagError, decode_cdr

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
INFO_TYPE = "sensor_msgs/msg/CameraInfo"
POINTS_TYPE = "sensor_msgs/msg/PointCloud2"
TF_TYPE = "tf2_msgs/msg/TFMessage"

_DECODERS = {
    IMAGE_TYPES[0]: decode_image, IMAGE_TYPES[1]: decode_compressed_image, INFO_TYPE: decode_camera_info,
}  # fmt: skip


def decode(topic: str, msgtype: str, data: bytes | memoryview) -> Any:
    """What `occ_core.decode` makes of a CDR message: an RGB image or Intrinsics. Raises BagError."""
    message = decode_cdr(topic, msgtype, data)
    try:
        return _DECODERS[msgtype](message)
    except MessageError as error:
        raise BagError(f"{topic}: {error}") from error


def decode_points(topic: str, data: bytes | memoryview, intensity: Intensity) -> np.ndarray:
    """The points of a PointCloud2 as CDR, see `decode_cloud`; intensity : of the drive. Raises BagError."""
    message = decode_cdr(topic, POINTS_TYPE, data)
    try:
        return decode_cloud(message, intensity).points
    except MessageError as error:
        raise BagError(f"{topic}: {error}") from error


def add_transforms(tree: TransformTree, topic: str, data: bytes | memoryview) -> None:
    """Add a TFMessage of /tf or /tf_static to the tree, without what is no rotation."""
    for item in decode_cdr(topic, TF_TYPE, data).transforms:
        try:
            T_parent_child = matrix_from_transform(item.transform)
        except TransformError:
            continue  # as the node does; where the link is needed, its absence is an error
        stamp = item.header.stamp.sec * 10**9 + item.header.stamp.nanosec
        fixed = topic.endswith("tf_static")
        tree.add(item.header.frame_id, item.child_frame_id, T_parent_child, None if fixed else stamp)
