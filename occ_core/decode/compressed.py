"""JPEG and PNG: their size is read from the header before anything is decoded."""

import struct

import cv2
import numpy as np

from . import ImageError

MAX_PIXELS = 64_000_000
"""Of an image that is decoded. A few bytes can claim any size, and OpenCV allocates what they claim."""
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
# Start of frame: of the markers C0 to CF all but DHT, JPG and DAC. Without a length: TEM, RST0 to RST7, SOI.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xD9)))
_END, _SCAN = 0xD9, 0xDA


def decode_picture(data: bytes | memoryview, flags: int = cv2.IMREAD_COLOR, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """The content of a JPEG or PNG file as OpenCV gives it: BGR for `cv2.IMREAD_COLOR`.

    EXIF's orientation is ignored: calibrations describe the sensor's own rows and columns. Raises ImageError for other
    formats, damaged files and images of more than `max_pixels`.
    """
    size = picture_size(data)
    if size is None:
        raise ImageError("cannot be decoded; expected JPEG or PNG")
    width, height = size
    if width * height > max_pixels:
        raise ImageError(f"{width}x{height} pixels; expected at most {max_pixels:,}")
    if not width * height:
        raise ImageError(f"empty ({width}x{height})")
    if bytes(data[: len(_PNG)]) == _PNG and not _whole_chunks(memoryview(data)):
        raise ImageError("cannot be decoded; a damaged JPEG or PNG")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        image = None
    if image is None:
        raise ImageError("cannot be decoded; a damaged JPEG or PNG")
    return image


def picture_size(data: bytes | memoryview) -> tuple[int, int] | None:
    """(width, height) from the header of a JPEG or PNG file; None where there is no such header."""
    head = bytes(data[:24])
    if head.startswith(_PNG) and len(head) == 24 and head[12:16] == b"IHDR":
        return struct.unpack(">II", head[16:24])
    return _jpeg_size(bytes(data)) if head.startswith(_JPEG) else None


def _whole_chunks(png: memoryview) -> bool:
    """Whether the data hold every chunk up to the last one: decoders allocate what a chunk's length claims.

    A chunk is length, type, content and checksum.
    """
    at = len(_PNG)
    while at + 12 <= len(png):
        end = at + 12 + struct.unpack_from(">I", png, at)[0]
        if bytes(png[at + 4 : at + 8]) == b"IEND":
            return end <= len(png)
        at = end
    return False


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """As libjpeg finds it: from the first start of frame, past bytes that belong to no segment."""
    place = 2
    while (place := data.find(b"\xff", place)) >= 0:
        while data[place : place + 1] == b"\xff":
            place += 1
        marker = data[place : place + 1]
        place += 1
        if not marker or marker[0] in (_END, _SCAN):
            return None
        if marker[0] in _FRAMES:
            frame = data[place + 3 : place + 7]  # past length and bits a sample
            return struct.unpack(">HH", frame)[::-1] if len(frame) == 4 else None
        if marker[0] and marker[0] not in _WITHOUT_LENGTH:
            length = data[place : place + 2]
            if len(length) < 2:
                return None
            place += max(struct.unpack(">H", length)[0], 2)
    return None
