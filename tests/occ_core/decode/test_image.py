from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.damage import declared_size
from occ_core.decode import ImageError
from occ_core.decode.image import ENCODINGS, decode_compressed_image, decode_image

# Smooth, so that an interpolated Bayer picture comes out close to it.
_U, _V = np.meshgrid(np.linspace(0, 250, 40), np.linspace(20, 220, 30))
COLOR = np.dstack([_U, _V, np.full((30, 40), 90)]).astype(np.uint8)


def message(pixels, encoding, padding=0, big_endian=False):
    """pixels : (H, W) or (H, W, C), as the encoding orders them."""
    height, width = pixels.shape[:2]
    rows = pixels.astype(pixels.dtype.newbyteorder(">" if big_endian else "<")).reshape(height, -1).view(np.uint8)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    return SimpleNamespace(
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=int(big_endian),
        step=rows.shape[1],
        data=rows.tobytes(),
    )


def pixels_of(encoding):
    """COLOR as the encoding's samples of 8 bits, and what must come back."""
    grey = cv2.cvtColor(COLOR, cv2.COLOR_RGB2GRAY)
    opaque = np.full((30, 40, 1), 255, np.uint8)
    name = encoding.rstrip("1680")
    return {
        "rgb": (COLOR, COLOR), "bgr": (COLOR[..., ::-1], COLOR), "rgba": (np.dstack([COLOR, opaque]), COLOR),
        "bgra": (np.dstack([COLOR[..., ::-1], opaque]), COLOR), "mono": (grey, np.dstack([grey] * 3)),
    }[name]  # fmt: skip


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "rgba8", "bgra8", "mono8"])
@pytest.mark.parametrize("padding", [0, 5])
def test_eight_bits(encoding, padding):
    samples, expected = pixels_of(encoding)
    image = decode_image(message(samples, encoding, padding))
    np.testing.assert_array_equal(image, expected)
    assert image.dtype == np.uint8 and image.flags.c_contiguous


@pytest.mark.parametrize("encoding", ["rgb16", "bgr16", "rgba16", "bgra16", "mono16"])
@pytest.mark.parametrize("big_endian", [False, True])
def test_of_sixteen_bits_the_upper_eight(encoding, big_endian):
    samples, expected = pixels_of(encoding)
    samples = samples.astype(np.uint16) * 256 + 99
    np.testing.assert_array_equal(decode_image(message(samples, encoding, 6, big_endian)), expected)


@pytest.mark.parametrize("encoding", ["8UC1", "8UC3", "16UC1"])
def test_generic_names_mean_what_cv_bridge_takes_them_for(encoding):
    samples, expected = pixels_of("bgr8" if encoding.endswith("3") else "mono8")
    samples = samples.astype(np.uint16) << 8 if encoding.startswith("16") else samples
    np.testing.assert_array_equal(decode_image(message(samples, encoding)), expected)


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize("bits", [8, 16])
def test_bayer(pattern, bits):
    channel = np.array(["rgb".index(letter) for letter in pattern]).reshape(2, 2)
    v, u = np.indices(COLOR.shape[:2])
    samples = COLOR[v, u, channel[v % 2, u % 2]].astype(f"u{bits // 8}") << (bits - 8)
    inner = (slice(2, -2),) * 2
    decoded = decode_image(message(samples, f"bayer_{pattern}{bits}"))
    assert np.abs(decoded[inner].astype(int) - COLOR[inner]).max() <= 16


@pytest.mark.parametrize("extension", [".png", ".jpg"])
def test_compressed(extension):
    data = cv2.imencode(extension, COLOR[..., ::-1])[1].tobytes()
    image = decode_compressed_image(SimpleNamespace(format="rgb8; compressed", data=data))
    assert np.abs(image.astype(int) - COLOR).max() <= (0 if extension == ".png" else 12)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"encoding": "yuv422"}, "image: encoding 'yuv422' is not supported; expected rgb, bgr"),
        ({"height": 0}, r"image: empty \(40x0\)"),
        ({"step": 100}, "image: step 100 is too small; 40 pixels of rgb8 take 120 bytes"),
        ({"data": b"\x00" * 10}, "image: data holds 10 bytes, 30 rows of step 120 need 3600"),
        ({"data": b""}, "image: data holds 0 bytes"),
    ],
)
def test_refusals(changes, text):
    with pytest.raises(ImageError, match=text):
        decode_image(SimpleNamespace(**vars(message(COLOR, "rgb8")) | changes))


@pytest.mark.parametrize("data", [b"", b"no picture at all"])
def test_compressed_refusals(data):
    with pytest.raises(ImageError, match=r"^image: "):
        decode_compressed_image(SimpleNamespace(format="jpeg", data=data))


def test_progressive_jpeg():
    data = cv2.imencode(".jpg", COLOR[..., ::-1], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    assert decode_compressed_image(SimpleNamespace(format="jpeg", data=data)).shape == COLOR.shape


@pytest.mark.parametrize("extension", [".png", ".jpg"])
def test_a_small_file_that_declares_a_huge_image_is_refused_before_memory_is_taken(extension):
    data = declared_size(extension, cv2.imencode(extension, COLOR)[1], 60_000, 50_000)
    with pytest.raises(ImageError, match="60000x50000 pixels; expected at most 64,000,000"):
        decode_compressed_image(SimpleNamespace(format=extension[1:], data=data))


def test_a_png_chunk_that_declares_more_than_the_file_holds_is_refused():
    data = bytearray(cv2.imencode(".png", COLOR)[1].tobytes())
    data[33:37] = b"\xe1\x00\x00\x00"
    with pytest.raises(ImageError, match="cannot be decoded; a damaged JPEG or PNG"):
        decode_compressed_image(SimpleNamespace(format="png", data=bytes(data)))


@pytest.mark.parametrize("extension", [".bmp", ".tiff", ".webp"])
def test_other_formats_that_opencv_reads_are_refused(extension):
    data = cv2.imencode(extension, COLOR)[1].tobytes()
    with pytest.raises(ImageError, match="cannot be decoded; expected JPEG or PNG"):
        decode_compressed_image(SimpleNamespace(format=extension[1:], data=data))


@settings(max_examples=200, deadline=None)
@given(
    encoding=st.sampled_from(sorted(ENCODINGS)),
    height=st.integers(0, 6), width=st.integers(0, 6), step=st.integers(0, 60), length=st.integers(0, 300),
    is_bigendian=st.booleans(),
)  # fmt: skip
def test_any_header_is_decoded_or_refused(encoding, height, width, step, length, is_bigendian):
    built = SimpleNamespace(
        encoding=encoding, height=height, width=width, step=step, is_bigendian=is_bigendian, data=bytes(length)
    )
    try:
        image = decode_image(built)
    except ImageError:
        return
    assert image.shape == (height, width, 3) and not image.any()


def test_a_compressed_image_has_no_more_pixels_than_allowed():
    data = cv2.imencode(".png", COLOR)[1].tobytes()
    height, width, _ = COLOR.shape
    message = SimpleNamespace(format="png", data=data)
    assert decode_compressed_image(message, max_pixels=height * width).shape == COLOR.shape
    with pytest.raises(ImageError, match=f"{width}x{height} pixels; expected at most {height * width - 1:,}"):
        decode_compressed_image(message, max_pixels=height * width - 1)
