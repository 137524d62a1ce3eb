"""One frame's decoded sensor data, and how augmentation changes the sensors themselves."""

from typing import NamedTuple

import numpy as np

from .augmentation import AugmentationConfig, kept_rings
from .zoom import Window, zoom_image, zoom_map


class Sensors(NamedTuple):
    """One frame's sensor data at the network's image size.

    point_classes : (N,) uint8, IGNORE where not known; label_map : (h, w) uint8, `config.label_shape`
    depth : (h, w) float32, of the points as `FramePreprocessor.depth_tensor` has it
    pixels : (H, W) uint8 pseudo labels at the image's own size, (0, 0) where they are not used
    given_depth : (1, h, w) float32, that tensor of a depth image, 0 where there is none
    """

    image: np.ndarray
    points: np.ndarray
    point_classes: np.ndarray
    label_map: np.ndarray
    depth: np.ndarray
    pixels: np.ndarray
    given_depth: np.ndarray


def thinned(
    sensors: Sensors, T_lidar_grid: np.ndarray, rng: np.random.Generator, config: AugmentationConfig
) -> Sensors:
    """The points, with their classes, that a LiDAR with fewer rings has (`kept_rings`)."""
    if not config.rings_p:
        return sensors
    kept = kept_rings(sensors.points, T_lidar_grid, rng, config)
    return sensors._replace(points=sensors.points[kept], point_classes=sensors.point_classes[kept])


def zoomed(sensors: Sensors, window: Window) -> Sensors:
    """A part of the image, and of everything that is given for its pixels, in place of the whole.

    A longer focal length makes canonical distances shorter (`Calibration.canonical`).
    """
    maps = {name: zoom_map(getattr(sensors, name), window) for name in ("label_map", "pixels")}
    distances = ("depth", "given_depth")
    maps |= {name: zoom_map(getattr(sensors, name), window) * np.float32(window.width) for name in distances}
    return sensors._replace(image=zoom_image(sensors.image, window), **maps)
