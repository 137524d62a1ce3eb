"""From light to an image: exposure, lens, sensor and picture processing."""

from typing import NamedTuple

import cv2
import numpy as np


class Imaging(NamedTuple):
    """How a camera takes its images.

    exposure : factor; balance : of red, green and blue; blur : standard deviation in pixels
    smear : pixels that the image moves sideways during an exposure; noise : standard deviation, of a brightness of 0..1
    rain : 0..1, drops in the air and on the lens
    """

    exposure: float = 1.0
    balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    blur: float = 0.55
    smear: int = 0
    noise: float = 0.012
    rain: float = 0.0


KITTI_IMAGING = Imaging()


def develop(light: np.ndarray, exposure: float, imaging: Imaging, rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) uint8 of linear light (H, W, 3) float32, which is overwritten; exposure : the drive's factor"""
    light *= exposure
    light *= rng.uniform(0.96, 1.04)
    light *= np.float32(imaging.exposure) * np.array(imaging.balance, np.float32)
    size = 3 if imaging.blur < 0.6 else 2 * round(2.5 * imaging.blur) + 1
    light = cv2.GaussianBlur(light, (size, size), imaging.blur)
    if imaging.smear > 1:
        light = cv2.blur(light, (imaging.smear, 1))
    image = _tone(np.maximum(light, 0, out=light))
    if imaging.rain > 0:
        image = _rained(image, imaging.rain, rng)
    image += rng.normal(0, imaging.noise, image.shape).astype(np.float32)
    np.clip(image, 0, 1, out=image)
    image *= 255
    return image.astype(np.uint8)


def _tone(linear):
    """Display gamma with the strong contrast of KITTI's cameras."""
    image = linear**0.4545
    return image - 0.08 * np.sin(2 * np.pi * np.clip(image, 0, 1))


def _rained(image, rain, rng):
    """Streaks, and out-of-focus drops on the lens."""
    height, width = image.shape[:2]
    streaks = (rng.random((height, width)) < 0.002 * rain).astype(np.float32)
    streaks = cv2.blur(streaks, (1, max(height // 25, 3))) * min(height // 25, 8)
    image = image + 0.35 * np.minimum(streaks, 1)[..., None] * (0.3 + image.mean())
    drops = np.zeros((height, width), np.float32)
    for _ in range(rng.poisson(12 * rain)):
        center = int(rng.uniform(0, width)), int(rng.uniform(0, height))
        cv2.circle(drops, center, int(height * rng.uniform(0.01, 0.05)), 1.0, -1)
    drops = cv2.GaussianBlur(drops, (0, 0), height / 150)[..., None]
    return image * (1 - drops) + drops * cv2.GaussianBlur(image, (0, 0), height / 25)
