"""sensor_msgs/PointCloud2 -> (N, 4) points."""

from typing import NamedTuple

import numpy as np

from ..errors import quoted
from . import CloudError, nanoseconds
from .intensity import Intensity
from .point_times import TIME_NAMES, relative_times

INTENSITY_NAMES = ("intensity", "i", "reflectivity", "remission")
"""Names of the intensity field; of several in one cloud the first in this order is used."""
# sensor_msgs/PointField datatypes
_DATATYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}
_NAMED = 12
"""Fields that an error lists at most."""


class Cloud(NamedTuple):
    """points : (N, 4) float32 x, y, z in metres (the message's frame), intensity 0..1, all finite
    dropped : points left out because x, y or z was NaN or infinite
    times : (N,) float32, seconds from the header's stamp to the point's; None where not asked for or not known
    """

    points: np.ndarray
    dropped: int
    times: np.ndarray | None = None


def decode_cloud(message, intensity: Intensity | None = None, times: bool = False) -> Cloud:
    """Any layout with x, y and z of float32 or float64; organised or not, padded, either byte order.

    Intensity becomes 0..1, as KITTI has it; 0 where no field is called one of INTENSITY_NAMES:

    - A scale that `intensity` states is used for every type.
    - Integers are divided by the largest value of their type (255, 127, 65535, ...); negative ones become 0. One
      exception: `reflectivity` of uint16, as Ouster publishes it, holds a calibrated 0..255 and is divided by 255.
    - Floats are divided by 1, 255 (Velodyne's calibrated reflectivity is a float of 0..255) or 65535 (counts of a
      16-bit detector), as `intensity` decides. NaN, infinite and negative ones become 0.

    intensity : of this LiDAR, the same for all its clouds; None where this cloud is the only one
    times : also read when each point was measured, from a field that is called one of TIME_NAMES; see `relative_times`

    Raises CloudError.
    """
    fields = _used_fields(message)
    time = _time_field(message.fields) if times else None
    _check_layout(message, fields if time is None else [*fields, time])
    points = np.zeros((message.height * message.width, 4), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # what becomes infinite or NaN is dropped below
        for column, field in enumerate(fields):
            points[:, column] = _column(message, field).reshape(-1)
    if len(fields) == 4:
        (intensity or Intensity()).normalise(points[:, 3], _full_scale(fields[3]))
    kept, rows = points, None
    if not np.isfinite(points).all():
        rows = np.flatnonzero(np.isfinite(points[:, 0]) & np.isfinite(points[:, 1]) & np.isfinite(points[:, 2]))
        kept = points[rows]
    if not len(kept):
        raise CloudError(f"points: cloud holds no finite point ({len(points)} are NaN or infinite)")
    if time is None:
        return Cloud(kept, len(points) - len(kept))
    values = _column(message, time).reshape(-1)
    moments = relative_times(time.name, values if rows is None else values[rows], nanoseconds(message.header.stamp))
    return Cloud(kept, len(points) - len(kept), moments)


def _used_fields(message) -> list:
    """The fields x, y and z and, where there is one, the intensity."""
    fields = {field.name: field for field in reversed(message.fields)}
    for axis in "xyz":
        if axis not in fields:
            found = _names(message.fields) or "none"
            raise CloudError(f"points: no field {axis!r}; expected x, y and z, found {found}")
        if fields[axis].datatype not in (7, 8):
            kind = _DATATYPES.get(fields[axis].datatype, fields[axis].datatype)
            raise CloudError(f"points: field {axis!r} is of type {kind}; expected float32 or float64")
    intensity = next((fields[name] for name in INTENSITY_NAMES if name in fields), None)
    if intensity is None:
        return [fields[axis] for axis in "xyz"]
    if intensity.datatype not in _DATATYPES:
        raise CloudError(f"points: field {intensity.name!r} is of unknown type {intensity.datatype}")
    return [*(fields[axis] for axis in "xyz"), intensity]


def _time_field(fields):
    """That of the per-point time, or None."""
    found = {field.name: field for field in reversed(fields) if field.datatype in (5, 6, 7, 8)}
    return next((found[name] for name in TIME_NAMES if name in found), None)


def _names(fields) -> str:
    names = [quoted(field.name) for field in fields[:_NAMED]]
    return ", ".join([*names, f"and {len(fields) - _NAMED} more"] if len(fields) > _NAMED else names)


def _check_layout(message, fields: list) -> None:
    """Refuse what would be read from beyond the point, the row or the data."""
    if not message.width * message.height:
        raise CloudError(f"points: cloud holds no points ({message.width}x{message.height})")
    for field in fields:
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


def _full_scale(field) -> int | None:
    """Of an integer type; see `decode_cloud`."""
    datatype = _DATATYPES[field.datatype]
    if datatype.startswith("f"):
        return None
    return 255 if (field.name, datatype) == ("reflectivity", "u2") else np.iinfo(datatype).max
