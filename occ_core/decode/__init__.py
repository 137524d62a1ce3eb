"""ROS messages -> arrays, for live messages and bags alike: any object with the message's fields will do."""

from ..errors import InputError


class MessageError(InputError):
    """A message that cannot be used; the text names the field, what it held and what was expected.

    source : which of the node's inputs the message came in on
    """

    source: str


class ImageError(MessageError):
    """An Image or CompressedImage that cannot be used."""

    source = "image"


class CloudError(MessageError):
    """A PointCloud2 that cannot be used."""

    source = "points"


class CameraInfoError(MessageError):
    """A CameraInfo that cannot be used."""

    source = "camera_info"


class TransformError(MessageError):
    """A Transform that cannot be used."""

    source = "tf"


def nanoseconds(time) -> int:
    """builtin_interfaces/Time, as in a header -> ns."""
    return time.sec * 1_000_000_000 + time.nanosec
