"""ROS messages -> arrays, as far as recorded camera and LiDAR drives need it."""

import cv2
import numpy as np

from .reader import BagError

_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}
_TO_RGB = {
    "rgb8": None, "bgr8": cv2.COLOR_BGR2RGB, "rgba8": cv2.COLOR_RGBA2RGB, "bgra8": cv2.COLOR_BGRA2RGB,
    "mono8": cv2.COLOR_GRAY2RGB, "8UC3": cv2.COLOR_BGR2RGB, "8UC1": cv2.COLOR_GRAY2RGB,
}  # fmt: skip
_CHANNELS = {"rgba8": 4, "bgra8": 4, "mono8": 1, "8UC1": 1}


def stamp_of(header) -> int:
    """Header stamp in ns."""
    return header.stamp.sec * 10**9 + header.stamp.nanosec


def image_of(message) -> np.ndarray:
    """sensor_msgs Image or CompressedImage -> (H, W, 3) uint8 RGB."""
    if not hasattr(message, "encoding"):
        image = cv2.imdecode(np.asarray(message.data, np.uint8), cv2.IMREAD_COLOR) if len(message.data) else None
        if image is None:
            raise BagError(f"compressed image of {len(message.data)} bytes, format {message.format!r}: undecodable")
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    if message.encoding not in _TO_RGB:
        raise BagError(f"image encoding {message.encoding!r}: expected one of {', '.join(_TO_RGB)}")
    channels = _CHANNELS.get(message.encoding, 3)
    height, width, row = message.height, message.width, message.width * channels
    if height * width == 0 or message.step < row or len(message.data) < height * message.step:
        raise BagError(
            f"image of {width}x{height} {message.encoding}, step {message.step}: {len(message.data)} bytes do not fit"
        )
    pixels = np.asarray(message.data, np.uint8)[: height * message.step].reshape(height, message.step)[:, :row]
    pixels = np.ascontiguousarray(pixels).reshape(height, width, channels)
    conversion = _TO_RGB[message.encoding]
    return pixels if conversion is None else cv2.cvtColor(pixels, conversion)


def scan_of(message) -> np.ndarray:
    """sensor_msgs PointCloud2 -> (N, 4) float32: x, y, z, intensity (0 where there is none); NaN points left out."""
    order = ">" if message.is_bigendian else "<"
    fields = {field.name: field for field in message.fields}
    if missing := [name for name in "xyz" if name not in fields]:
        raise BagError(f"point cloud without field {', '.join(missing)}; it has {', '.join(fields) or 'none'}")
    intensity = next((name for name in ("intensity", "i", "reflectivity") if name in fields), None)
    names = ["x", "y", "z"] + ([intensity] if intensity else [])
    if unknown := [fields[name].datatype for name in names if fields[name].datatype not in _TYPES]:
        raise BagError(f"point cloud field type {unknown[0]}: expected 1 to 8")
    layout = {
        "names": names,
        "formats": [order + _TYPES[fields[name].datatype] for name in names],
        "offsets": [fields[name].offset for name in names],
        "itemsize": message.point_step,
    }
    height, width = message.height, message.width
    row_step = message.row_step if height > 1 else width * message.point_step
    data = np.asarray(message.data, np.uint8)
    try:
        dtype = np.dtype(layout)
        rows = data[: height * row_step].reshape(height, row_step)[:, : width * message.point_step]
        points = np.ascontiguousarray(rows).reshape(-1).view(dtype)
    except ValueError:
        raise BagError(
            f"point cloud of {width}x{height} points, point_step {message.point_step}, row_step {message.row_step}: "
            f"{len(data)} bytes do not fit"
        ) from None
    scan = np.zeros((len(points), 4), np.float32)
    for column, name in enumerate(names):
        scan[:, column] = points[name]
    return scan[np.isfinite(scan).all(1)]
