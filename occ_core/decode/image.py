"""sensor_msgs/Image and CompressedImage -> (H, W, 3) uint8 RGB."""

import cv2
import numpy as np

from ..errors import quoted
from . import ImageError
from .compressed import MAX_PIXELS, decode_picture

_LAYOUTS = {
    "rgb": (3, None), "bgr": (3, cv2.COLOR_BGR2RGB), "rgba": (4, cv2.COLOR_RGBA2RGB), "bgra": (4, cv2.COLOR_BGRA2RGB),
    "mono": (1, cv2.COLOR_GRAY2RGB),
    "bayer_rggb": (1, cv2.COLOR_BayerRGGB2RGB), "bayer_bggr": (1, cv2.COLOR_BayerBGGR2RGB),
    "bayer_gbrg": (1, cv2.COLOR_BayerGBRG2RGB), "bayer_grbg": (1, cv2.COLOR_BayerGRBG2RGB),
}  # fmt: skip
# encoding -> (channels, bytes a channel, OpenCV conversion); the generic names are read as cv_bridge does.
ENCODINGS = {
    f"{name}{8 * size}": (channels, size, conversion)
    for name, (channels, conversion) in _LAYOUTS.items()
    for size in (1, 2)
} | {
    "8UC1": (1, 1, cv2.COLOR_GRAY2RGB), "8UC3": (3, 1, cv2.COLOR_BGR2RGB), "8UC4": (4, 1, cv2.COLOR_BGRA2RGB),
    "16UC1": (1, 2, cv2.COLOR_GRAY2RGB), "16UC3": (3, 2, cv2.COLOR_BGR2RGB), "16UC4": (4, 2, cv2.COLOR_BGRA2RGB),
}  # fmt: skip
"""All supported encodings. Of 16 bits the upper eight are used."""


def decode_image(message) -> np.ndarray:
    """sensor_msgs/Image -> (H, W, 3) uint8 RGB, contiguous. Raises ImageError."""
    if message.encoding not in ENCODINGS:
        known = "rgb, bgr, rgba, bgra, mono and bayer of 8 or 16 bits"
        raise ImageError(f"image: encoding {quoted(message.encoding)} is not supported; expected {known}")
    channels, size, conversion = ENCODINGS[message.encoding]
    height, width, step = message.height, message.width, message.step
    if not (height and width):
        raise ImageError(f"image: empty ({width}x{height})")
    row = width * channels * size
    if step < row:
        raise ImageError(f"image: step {step} is too small; {width} pixels of {message.encoding} take {row} bytes")
    needed = step * (height - 1) + row
    data = np.frombuffer(message.data, np.uint8)
    if len(data) < needed:
        raise ImageError(f"image: data holds {len(data)} bytes, {height} rows of step {step} need {needed}")
    # Of 16-bit samples only the high byte is used; the byte order says where it is.
    high = size - 1 if size == 2 and not message.is_bigendian else 0
    pixels = np.ndarray((height, width, channels), np.uint8, data, offset=high, strides=(step, channels * size, size))
    if conversion is None:
        return np.ascontiguousarray(pixels)
    return cv2.cvtColor(np.ascontiguousarray(pixels), conversion)


def decode_compressed_image(message, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """sensor_msgs/CompressedImage (JPEG, PNG) -> (H, W, 3) uint8 RGB, contiguous. Raises ImageError, also where its
    header says more than `max_pixels`.
    """
    if not len(message.data):
        raise ImageError("image: empty (compressed data of 0 bytes)")
    try:
        image = decode_picture(message.data, max_pixels=max_pixels)
    except ImageError as error:
        raise ImageError(f"image: {len(message.data)} bytes of format {quoted(message.format)}: {error}") from None
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
