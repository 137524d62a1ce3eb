"""`~/overlay`: the occupied voxels drawn on the camera image, as a sensor_msgs/Image."""

import numpy as np
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from occ_core.overlay import draw_overlay

from .. import topics
from ..cdr import byte_array
from ..parameters import Settings
from .output import NEWEST, Frame, Output


def rgb_image(header: Header, image: np.ndarray) -> Image:
    """(H, W, 3) uint8 RGB as a message."""
    height, width, _ = image.shape
    return Image(
        header=header, height=height, width=width, encoding="rgb8", is_bigendian=0, step=3 * width,
        data=byte_array(image),
    )  # fmt: skip


def make_overlay(frame: Frame, settings: Settings) -> Image | None:
    """In the camera's frame, with the stamp of the other outputs; None without an image."""
    if frame.image is None:
        return None
    picture = draw_overlay(frame.image, frame.occupancy, frame.calibration, settings.overlay_opacity)
    return rgb_image(Header(stamp=frame.header.stamp, frame_id=frame.camera_frame), picture)


OUTPUT = Output(topics.OVERLAY.name, Image, NEWEST, make_overlay)
