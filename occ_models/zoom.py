"""A part of a camera's picture in place of the whole: another focal length, another place of the optical axis."""

from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np

from occ_core import Calibration

from .augmentation import AugmentationConfig


class Window(NamedTuple):
    """The part of an image that is kept, in shares of the image's width and height."""

    left: float
    top: float
    width: float
    height: float


WHOLE = Window(0.0, 0.0, 1.0, 1.0)


def draw_window(rng: np.random.Generator, config: AugmentationConfig) -> Window:
    """The part of a frame's images that is kept: width and height by themselves, as cameras have many shapes."""
    if rng.random() >= config.zoom_p:
        return WHOLE
    width, height = 1 - rng.uniform(0, config.zoom, 2)
    return Window(rng.uniform(0, 1 - width), rng.uniform(0, 1 - height), width, height)


def zoom_calibration(calibration: Calibration, window: Window) -> Calibration:
    """The calibration of the part, enlarged to the size of the whole; pixel centres lie at whole numbers."""
    width, height = calibration.image_size
    sx, sy = 1 / window.width, 1 / window.height
    x, y = window.left * width - 0.5, window.top * height - 0.5  # the corner
    scale = np.array([[sx, 0, -sx * x - 0.5], [0, sy, -sy * y - 0.5], [0, 0, 1]])
    return replace(calibration, P=scale @ calibration.P)


def zoom_image(image: np.ndarray, window: Window) -> np.ndarray:
    """The part of an image (H, W, 3) uint8, enlarged to the size of the whole."""
    if window == WHOLE:
        return image
    height, width = image.shape[:2]
    scale = np.array([[window.width, 0.0, 0.0], [0.0, window.height, 0.0]])
    scale[:, 2] = (
        (window.left * width + window.width / 2 - 0.5),
        (window.top * height + window.height / 2 - 0.5),
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, scale, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def zoom_map(values: np.ndarray, window: Window) -> np.ndarray:
    """The part of a map (..., h, w) of an image, of classes or distances, at the shape of the whole: nearest cells."""
    if window == WHOLE:
        return values
    height, width = values.shape[-2:]
    row = ((window.top + (np.arange(height) + 0.5) / max(height, 1) * window.height) * height).astype(int)
    column = ((window.left + (np.arange(width) + 0.5) / max(width, 1) * window.width) * width).astype(int)
    return values[..., row[:, None], column]
