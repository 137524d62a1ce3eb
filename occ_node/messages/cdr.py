"""CDR, the serialisation of ROS 2 messages, as far as writing one by hand needs it."""

import struct

import numpy as np

CDR_HEADER = b"\x00\x01\x00\x00"  # plain CDR, little endian
_SIZES = {kind: struct.calcsize(kind) for kind in "?BiIfd"}


class CdrWriter:
    """Append values in the order of a message's fields; alignment is kept by the writer.

    A value of n bytes starts at a multiple of n, counted from behind the four header bytes. Structs have no
    alignment of their own: write their fields.
    """

    def __init__(self):
        self._parts = [CDR_HEADER]
        self._length = 0

    def align(self, size: int) -> None:
        """Pad with zeros up to a multiple of `size`."""
        if padding := -self._length % size:
            self._append(bytes(padding))

    def pack(self, kind: str, *values) -> None:
        """Numbers of one struct code."""
        self.align(_SIZES[kind])
        self._append(struct.pack(f"<{len(values)}{kind}", *values))

    def string(self, text: str) -> None:
        """Length with the closing NUL, bytes, NUL."""
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
        """Fields that are serialised already, for this alignment."""
        self._append(fields)

    def getvalue(self) -> bytes:
        """The serialised message, as `Publisher.publish` takes it."""
        return b"".join(self._parts)

    def _append(self, part) -> None:
        self._parts.append(part)
        self._length += len(part)
