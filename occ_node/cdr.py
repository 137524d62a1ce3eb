"""Bytes for ROS 2 messages: CDR, their serialisation, as far as writing large messages by hand needs it."""

import struct
from array import array

import numpy as np

CDR_HEADER = b"\x00\x01\x00\x00"  # plain CDR, little endian
_SIZES = {kind: struct.calcsize(kind) for kind in "?BiIfd"}


class CdrWriter:
    """Append values in the order of a message's fields; the writer aligns them.

    A value of n bytes starts at a multiple of n, counted from the end of the four header bytes. Structs have no
    alignment of their own: write their fields. length : bytes written so far, without the header
    """

    def __init__(self):
        self._parts: list[bytes | memoryview] = [CDR_HEADER]
        self.length = 0

    def align(self, size: int) -> None:
        """Pad with zeros up to a multiple of `size`."""
        if padding := -self.length % size:
            self._append(bytes(padding))

    def pack(self, kind: str, *values) -> None:
        """Numbers of one type, given as a code of `struct`."""
        self.align(_SIZES[kind])
        self._append(struct.pack(f"<{len(values)}{kind}", *values))

    def header(self, header) -> None:
        """A std_msgs/Header."""
        self.pack("i", header.stamp.sec)
        self.pack("I", header.stamp.nanosec)
        self.string(header.frame_id)

    def string(self, text: str) -> None:
        """The length including the closing NUL, the bytes, NUL."""
        encoded = text.encode()
        self.align(4)
        self._append(struct.pack("<I", len(encoded) + 1) + encoded + b"\x00")

    def sequence(self, array: np.ndarray) -> None:
        """A sequence of numbers, or of structs of equal numbers: (M,) or (M, fields) elements of the array's type."""
        self.pack("I", len(array))
        if len(array):
            self.align(array.dtype.itemsize)
            little = array.astype(array.dtype.newbyteorder("<"), copy=False)
            self._append(np.ascontiguousarray(little).data.cast("B"))

    def raw(self, fields: bytes) -> None:
        """Fields that are already serialised, with the alignment of this position."""
        self._append(fields)

    def getvalue(self) -> bytes:
        """The serialised message, as `Publisher.publish` takes it."""
        return b"".join(self._parts)

    def _append(self, part: bytes | memoryview) -> None:
        self._parts.append(part)
        self.length += len(part)


def byte_array(values: np.ndarray) -> array:
    """The bytes of an array, for a message's uint8 field: rclpy takes this type without checking every element."""
    data = array("B")
    data.frombytes(np.ascontiguousarray(values).data.cast("B"))
    return data
