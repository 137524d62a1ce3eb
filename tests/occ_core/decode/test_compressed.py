import struct
import zlib

import cv2
import numpy as np
import pytest

from occ_core.decode import ImageError
from occ_core.decode.compressed import decode_picture, picture_size

IMAGE = np.random.default_rng(1).integers(0, 256, (30, 40, 3), np.uint8)
JPEG, PNG = (cv2.imencode(extension, IMAGE)[1].tobytes() for extension in (".jpg", ".png"))


def jpeg(width: int, height: int) -> bytes:
    """A JPEG of 40x30 pixels whose header says another size."""
    place = JPEG.index(b"\xff\xc0") + 5
    return JPEG[:place] + struct.pack(">HH", height, width) + JPEG[place + 4 :]


def png(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">II", width, height) + PNG[24:29]
    return PNG[:12] + header + struct.pack(">I", zlib.crc32(header)) + PNG[33:]


@pytest.mark.parametrize(
    "options",
    [
        (".png",), (".jpg",), (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]), (".jpg", [cv2.IMWRITE_JPEG_RST_INTERVAL, 1]),
        (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 100]),
    ],
)  # fmt: skip
def test_the_size_is_in_the_header(options):
    data = cv2.imencode(options[0], IMAGE, *options[1:])[1].tobytes()
    assert picture_size(data) == (40, 30) and decode_picture(data).shape == (30, 40, 3)


def test_segments_and_stray_bytes_before_the_frame_are_passed():
    # A thumbnail's frame lies inside a segment, and must not be taken for the picture's.
    thumbnail = b"\xff\xe1" + struct.pack(">H", 2 + 11) + b"\xff\xc0\x00\x11\x08\x00\x10\x00\x10\x03\x01"
    data = jpeg(40, 30)
    for inserted in (thumbnail, b"\xff\xff\xff", b"\x00stray", b"\xff\x00"):
        changed = data[:2] + inserted + data[2:]
        assert picture_size(changed) == (40, 30)


@pytest.mark.parametrize("make", [jpeg, png])
def test_a_picture_that_claims_too_many_pixels_is_refused_before_it_is_decoded(make, monkeypatch):
    assert picture_size(make(20000, 20001)) == (20000, 20001)
    monkeypatch.setattr(cv2, "imdecode", None)
    with pytest.raises(ImageError, match="20000x20001 pixels; expected at most 64,000,000"):
        decode_picture(make(20000, 20001))
    with pytest.raises(ImageError, match="40x30 pixels; expected at most 1,199"):
        decode_picture(make(40, 30), max_pixels=1199)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8\xff\xc0\x00\x11\x08\x00", b"\xff\xd8\xff\xd9", PNG[:20],
        PNG[:60], b"GIF89a" + bytes(60), cv2.imencode(".bmp", IMAGE)[1].tobytes(),
        jpeg(0, 30), png(40, 0), jpeg(65535, 900)[:200],
    ],
)  # fmt: skip
def test_what_is_neither_jpeg_nor_png_is_refused(data):
    with pytest.raises(ImageError):
        decode_picture(data)


def test_a_header_alone_is_no_picture():
    with pytest.raises(ImageError, match="a damaged JPEG or PNG"):
        decode_picture(PNG[:100])
