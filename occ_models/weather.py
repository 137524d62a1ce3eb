"""Rain, fog and snow drawn over an image: the weather simulation of OccLE's Table 1. Sizes scale with the width."""

import cv2
import numpy as np

REFERENCE_WIDTH = 1242
"""Image width in pixels (KITTI) at which all sizes in pixels are given."""


def change_weather(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One of rain, fog and snow over an RGB image (H, W, 3) uint8."""
    return (rain, fog, snow)[rng.integers(3)](image, rng)


def rain(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Bright streaks, all tilted the same way, over a slightly dimmed scene."""
    length = rng.uniform(20, 50) * image.shape[1] / REFERENCE_WIDTH
    tilt = 90 + rng.uniform(-25, 25)
    streaks = _scatter(image.shape[:2], rng.uniform(2000, 6000), line_kernel(length, tilt), rng)
    dim = rng.uniform(0.7, 0.9)
    return _blend(cv2.convertScaleAbs(image, alpha=dim), rng.uniform(0.3, 0.6) * streaks, 220)


def fog(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Grey-white that grows denser towards the horizon: without depth, the image row is taken as the distance.

    The horizon is at half the height, as for a level camera; everything above it is taken as far.
    """
    height, width = image.shape[:2]
    below_horizon = np.clip(np.linspace(-1, 1, height, dtype=np.float32), 0, 1)
    share = rng.uniform(0.35, 0.75) * np.exp(-rng.uniform(1, 3) * below_horizon)
    return _blend(image, np.broadcast_to(share[:, None], (height, width)), rng.uniform(180, 230))


def snow(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Soft bright flakes, many small and few large ones, over a slightly whitened scene."""
    density = rng.uniform(0.5, 1.5)
    share = np.full(image.shape[:2], rng.uniform(0.05, 0.2), np.float32)
    for radius, count in ((2, 4000), (4, 800), (7, 150)):
        flake = _disc_kernel(radius * image.shape[1] / REFERENCE_WIDTH)
        share = np.maximum(share, 0.9 * _scatter(image.shape[:2], density * count, flake, rng))
    return _blend(image, share, 245)


def line_kernel(length: float, degrees: float) -> np.ndarray:
    """Weights (k, k) float32, 1 in the middle, of a line `length` px long and one wide; for motion blur and streaks."""
    along, across = _offsets(length / 2, np.radians(degrees))
    return np.clip(1 - np.abs(across), 0, 1) * np.clip((length + 1) / 2 - np.abs(along), 0, 1)


def _disc_kernel(radius: float) -> np.ndarray:
    along, across = _offsets(2 * radius, 0.0)
    return np.exp(-(along**2 + across**2) / radius**2)


def _offsets(reach: float, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each pixel of a square patch from its middle, along and across a direction."""
    side = np.arange(-np.ceil(reach), np.ceil(reach) + 1, dtype=np.float32)
    x, y = np.meshgrid(side, side)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return cos * x + sin * y, cos * y - sin * x


def _scatter(shape: tuple[int, int], density: float, kernel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Opacity (H, W) in 0..1 of the kernel's shape at random places; `density` is their number on a square image."""
    height, width = shape
    count = int(density * height / width)
    drops = np.zeros(shape, np.float32)
    drops[rng.integers(height, size=count), rng.integers(width, size=count)] = rng.uniform(0.3, 1, count)
    return np.minimum(cv2.filter2D(drops, -1, kernel), 1)


def _blend(image: np.ndarray, share: np.ndarray, brightness: float) -> np.ndarray:
    """Image (H, W, 3) with a `share` (H, W) of grey of that brightness over it."""
    x = image.astype(np.float32)
    return (x + (brightness - x) * share[..., None]).astype(np.uint8)
