"""sensor_msgs/PointCloud2 -> (N, 4) points."""

from typing import NamedTuple

import numpy as np

from . import CloudError

INTENSITY_NAMES = ("intensity", "i", "reflectivity", "remission")
# sensor_msgs/PointField datatypes
_DATATYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}


class Cloud(NamedTuple):
    """points : (N, 4) float32 x, y, z in metres (the message's frame), intensity 0..1, all finite
    dropped : points left out because x, y or z was NaN or infinite
    """

    points: np.ndarray
    dropped: int


def decode_cloud(message) -> Cloud:
    """Any layout with x, y and z of float32 or float64; organised or not, padded, either byte order.

    Intensity is 0 where no field is called one of INTENSITY_NAMES. Raises CloudError.
    """
    fields = {field.name: field for field in reversed(message.fields)}
    for axis in "xyz":
        if axis not in fields:
            found = ", ".join(field.name for field in message.fields) or "none"
            raise CloudError(f"points: no field {axis!r}; expected x, y and z, found {found}")
        if fields[axis].datatype not in (7, 8):
            kind = _DATATYPES.get(fields[axis].datatype, fields[axis].datatype)
            raise CloudError(f"points: field {axis!r} is of type {kind}; expected float32 or float64")
    if not message.width * message.height:
        raise CloudError(f"points: cloud holds no points ({message.width}x{message.height})")
    intensity = next((fields[name] for name in INTENSITY_NAMES if name in fields), None)
    if intensity is not None and intensity.datatype not in _DATATYPES:
        raise CloudError(f"points: field {intensity.name!r} is of unknown type {intensity.datatype}")
    used = [fields[axis] for axis in "xyz"] + ([intensity] if intensity is not None else [])
    _check_layout(message, used)

    points = np.zeros((message.height * message.width, 4), np.float32)
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite and is dropped below
        for column, field in enumerate(used):
            points[:, column] = _column(message, field).reshape(-1)
    if intensity is not None:
        points[:, 3] = _unit_intensity(points[:, 3], _DATATYPES[intensity.datatype])
    kept = points if np.isfinite(points).all() else points[np.isfinite(points[:, :3]).all(1)]
    if not len(kept):
        raise CloudError(f"points: cloud holds no finite point ({len(points)} are NaN or infinite)")
    return Cloud(kept, len(points) - len(kept))


def _check_layout(message, used) -> None:
    """Refuse what would be read from beyond the point, the row or the data."""
    for field in used:
        end = field.offset + np.dtype(_DATATYPES[field.datatype]).itemsize
        if end > message.point_step:
            ends = f"field {field.name!r} ends at byte {end}"
            raise CloudError(f"points: point_step {message.point_step} is too small; {ends}")
    row = message.width * message.point_step
    if message.height > 1 and message.row_step < row:
        raise CloudError(
            f"points: row_step {message.row_step} is too small; "
            f"{message.width} points of {message.point_step} bytes take {row}"
        )
    needed = (message.height - 1) * message.row_step + row
    if len(message.data) < needed:
        raise CloudError(
            f"points: data holds {len(message.data)} bytes; "
            f"{message.height}x{message.width} points of {message.point_step} bytes need {needed}"
        )


def _column(message, field) -> np.ndarray:
    """A view of one field over the whole cloud, (height, width)."""
    dtype = np.dtype((">" if message.is_bigendian else "<") + _DATATYPES[field.datatype])
    strides = (message.row_step if message.height > 1 else 0, message.point_step)
    data = np.frombuffer(message.data, np.uint8)
    return np.ndarray((message.height, message.width), dtype, data, offset=field.offset, strides=strides)


def _unit_intensity(values: np.ndarray, datatype: str) -> np.ndarray:
    """To 0..1 as KITTI has it: uint8 of 255; others of 1, 255 or 65535, the least that holds the cloud's maximum."""
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    largest = values.max(initial=0.0)
    if datatype == "u1":
        scale = 255
    elif largest <= 1 and datatype.startswith("f"):
        scale = 1
    else:
        scale = 255 if largest <= 255 else 65535
    return np.clip(values / np.float32(scale), 0, 1)
