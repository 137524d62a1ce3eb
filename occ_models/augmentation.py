"""Augmentation of one frame: the scene turned and mirrored, the cloud thinned, the image's appearance changed."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from occ_core import IGNORE, Grid
from occ_core.compiled import compiled

from .weather import REFERENCE_WIDTH, change_weather, line_kernel


@dataclass(frozen=True)
class AugmentationConfig:
    """Magnitudes; probabilities where a name ends in _p. A plain magnitude m is drawn from -m..m; none set: no change.

    Scene and labels: mirror_p, turn_p, turn_degrees, shift_z (metres, together with a turn).
    Cloud: dropout (largest share of points lost), jitter (metres, standard deviation), intensity_gain (logarithm of a
    factor), voxel_points (smallest share of the voxelizer's `max_points` that a voxel keeps).
    Image only: brightness, contrast, saturation and value (shares), hue (degrees), blur (smallest and largest
    length of the motion in pixels of an image 1242 wide), cutout (smallest and largest share of the image's area),
    cutout_boxes (most boxes that share it), no_image_p (all black, as if the camera had failed).
    """

    mirror_p: float = 0.0
    turn_p: float = 0.0
    turn_degrees: float = 0.0
    shift_z: float = 0.0
    dropout_p: float = 0.0
    dropout: float = 0.0
    jitter: float = 0.0
    intensity_gain: float = 0.0
    voxel_points: float = 1.0
    brightness: float = 0.0
    contrast: float = 0.0
    hue: float = 0.0
    saturation: float = 0.0
    value: float = 0.0
    blur_p: float = 0.0
    blur: tuple[float, float] = (0.0, 0.0)
    weather_p: float = 0.0
    cutout_p: float = 0.0
    cutout: tuple[float, float] = (0.0, 0.0)
    cutout_boxes: int = 1
    no_image_p: float = 0.0


NONE = AugmentationConfig()
SCENE = AugmentationConfig(mirror_p=0.5, turn_p=0.5, turn_degrees=15.0, shift_z=0.15)
"""Changes of the scene, labels included: small data sets need them."""
APPEARANCE = AugmentationConfig(brightness=0.3, contrast=0.3, saturation=0.4)
"""Changes of the image only: features of the scene that were computed before stay valid."""
CAMERA = replace(SCENE, brightness=0.3, contrast=0.3, saturation=0.4)
"""Both, for camera-only networks."""


def rigid(rng: np.random.Generator, config: AugmentationConfig) -> np.ndarray | None:
    """T_new_old (4, 4): a turn about the vertical and a shift in height, or None where the scene stays as it is."""
    if rng.random() >= config.turn_p:
        return None
    angle = np.radians(rng.uniform(-config.turn_degrees, config.turn_degrees))
    T = np.eye(4)
    T[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    T[2, 3] = rng.uniform(-config.shift_z, config.shift_z)
    return T


def transform_labels(labels: np.ndarray, grid: Grid, T_new_old: np.ndarray) -> np.ndarray:
    """Labels seen from the moved frame by nearest voxel; IGNORE where the old grid does not reach."""
    T_old_new = np.linalg.inv(T_new_old)
    return _resample(labels, T_old_new, np.array(grid.origin), grid.voxel_size)


@compiled
def _resample(labels, T, origin, size):
    nx, ny, nz = labels.shape
    moved = np.full(labels.shape, IGNORE, np.uint8)
    for i in range(nx):
        x = origin[0] + size * (i + 0.5)
        for j in range(ny):
            y = origin[1] + size * (j + 0.5)
            for k in range(nz):
                z = origin[2] + size * (k + 0.5)
                a = np.floor((T[0, 0] * x + T[0, 1] * y + T[0, 2] * z + T[0, 3] - origin[0]) / size)
                b = np.floor((T[1, 0] * x + T[1, 1] * y + T[1, 2] * z + T[1, 3] - origin[1]) / size)
                c = np.floor((T[2, 0] * x + T[2, 1] * y + T[2, 2] * z + T[2, 3] - origin[2]) / size)
                if 0 <= a < nx and 0 <= b < ny and 0 <= c < nz:
                    moved[i, j, k] = labels[int(a), int(b), int(c)]
    return moved


def move_points(points: np.ndarray, T_new_old: np.ndarray, mirror_y: float | None) -> np.ndarray:
    """Points (N, 4) after the rigid move and, unless `mirror_y` is None, mirrored left to right at that y; a copy."""
    return _move(points, T_new_old, *((1.0, 0.0) if mirror_y is None else (-1.0, 2 * mirror_y)))


@compiled
def _move(points, T, side, offset):
    moved = np.empty_like(points)
    for n in range(len(points)):
        x, y, z = points[n, 0], points[n, 1], points[n, 2]
        moved[n, 0] = T[0, 0] * x + T[0, 1] * y + T[0, 2] * z + T[0, 3]
        moved[n, 1] = side * (T[1, 0] * x + T[1, 1] * y + T[1, 2] * z + T[1, 3]) + offset
        moved[n, 2] = T[2, 0] * x + T[2, 1] * y + T[2, 2] * z + T[2, 3]
        moved[n, 3] = points[n, 3]
    return moved


def thin_cloud(
    points: np.ndarray, rng: np.random.Generator, config: AugmentationConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Drop a random share of the points, jitter the rest, change the intensity's gain.

    (N, 4) -> (M, 4) in random order, which is how the voxelizer draws the points that it keeps, and (M,) int64: where
    in the input each of them was.
    """
    share = rng.uniform(0, config.dropout) if rng.random() < config.dropout_p else 0.0
    kept = rng.permutation(len(points))[int(share * len(points)) :]
    thinned = points[kept]
    if config.jitter:
        thinned[:, :3] += config.jitter * rng.standard_normal((len(kept), 3), np.float32)
    thinned[:, 3] *= np.exp(rng.uniform(-config.intensity_gain, config.intensity_gain))
    return thinned, kept


def points_per_voxel(rng: np.random.Generator, config: AugmentationConfig, most: int) -> int:
    """How many points a voxel of this frame keeps, 1..most: the voxelizer's `max_points` for it."""
    return int(rng.integers(max(1, round(config.voxel_points * most)), most + 1))


def change_appearance(image: np.ndarray, rng: np.random.Generator, config: AugmentationConfig) -> np.ndarray:
    """An RGB image (H, W, 3) uint8 in other colours, blurred, in bad weather, with holes, or black."""
    if rng.random() < config.no_image_p:
        return np.zeros_like(image)
    image = change_colours(image, rng, config)
    if rng.random() < config.blur_p:
        length = rng.uniform(*config.blur) * image.shape[1] / REFERENCE_WIDTH
        kernel = line_kernel(length, rng.uniform(0, 180))
        image = cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)
    if rng.random() < config.weather_p:
        image = change_weather(image, rng)
    if rng.random() < config.cutout_p:
        image = cut_out(image, rng.uniform(*config.cutout), rng.integers(1, config.cutout_boxes + 1), rng)
    return image


def change_colours(image: np.ndarray, rng: np.random.Generator, config: AugmentationConfig) -> np.ndarray:
    """Brightness, contrast, hue, saturation and value in one matrix on RGB (H, W, 3) uint8.

    Hue is a turn about the axis of greys and saturation a stretch away from it, so grey stays grey.
    """
    brightness, contrast, saturation, value = (
        1 + rng.uniform(-m, m) for m in (config.brightness, config.contrast, config.saturation, config.value)
    )
    angle = np.radians(rng.uniform(-config.hue, config.hue))
    grey = np.full((3, 3), 1 / 3)
    across = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)  # cross product with the axis of greys
    turn = np.cos(angle) * (np.eye(3) - grey) + np.sin(angle) * across
    offset = np.full((3, 1), 128 * (brightness - contrast))
    return cv2.transform(image, value * np.hstack([contrast * (grey + saturation * turn), offset]))


def cut_out(image: np.ndarray, share: float, boxes: int, rng: np.random.Generator) -> np.ndarray:
    """Fill `boxes` boxes that cover `share` of the area in all with the image's mean colour.

    Each is in a strip of its own, so that they do not overlap.
    """
    height, width = image.shape[:2]
    image, colour = image.copy(), cv2.mean(image)[:3]
    for strip in np.array_split(np.arange(width), boxes):
        tall = rng.uniform(0.25, 0.75)
        h, w = round(share**tall * height), round(share ** (1 - tall) * len(strip))
        top, left = rng.integers(height - h + 1), strip[0] + rng.integers(len(strip) - w + 1)
        image[top : top + h, left : left + w] = colour
    return image
