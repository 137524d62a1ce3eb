"""Augmentation of one frame: the scene turned and mirrored, the sensors' data as other sensors would give it."""

from dataclasses import dataclass, fields, replace
from enum import Enum

import cv2
import numpy as np

from occ_core import IGNORE, Grid
from occ_core.compiled import compiled

from .weather import REFERENCE_WIDTH, change_weather, line_kernel


@dataclass(frozen=True)
class AugmentationConfig:
    """Magnitudes; probabilities where a name ends in _p. A plain magnitude m is drawn from -m..m; none set: no change.

    Scene and labels: mirror_p, turn_p, turn_degrees, shift_z (metres, together with a turn).
    Cloud: rings_p (only some of the LiDAR's rings, see `kept_rings`), dropout (largest share of points lost), jitter
    (metres, standard deviation), intensity_gain and intensity_gamma (logarithms of a factor and of an exponent),
    intensity_offset, no_intensity_p (the same intensity everywhere: in half of these frames 0), voxel_points (smallest
    share of the voxelizer's `max_points` that a voxel keeps).
    Camera: zoom (largest share of the image's width, and of its height, that is cut off; calibration and labels of the
    image follow).
    Image only: brightness, contrast, saturation and value (shares), hue (degrees), gamma (logarithm of an exponent),
    channel_gain (logarithm of a factor for each channel), grey_p, blur (smallest and largest length of the motion in
    pixels of an image 1242 wide), cutout (smallest and largest share of the image's area), cutout_boxes (most boxes
    that share it), noise (largest standard deviation, of 255), jpeg (lowest and highest quality, of 100).
    A sensor that failed, never both: no_image_p (a black image), no_scan_p (a scan without points; labels stay).

    Raises ValueError for a probability outside 0..1 and for ranges that cannot be drawn from.
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
    rings_p: float = 0.0
    no_intensity_p: float = 0.0
    intensity_offset: float = 0.0
    intensity_gamma: float = 0.0
    no_scan_p: float = 0.0
    zoom_p: float = 0.0
    zoom: float = 0.0
    gamma: float = 0.0
    channel_gain: float = 0.0
    grey_p: float = 0.0
    noise_p: float = 0.0
    noise: float = 0.0
    jpeg_p: float = 0.0
    jpeg: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self):
        for name in (field.name for field in fields(self) if field.name.endswith("_p")):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: expected a probability, 0 to 1, got {getattr(self, name)}")
        if self.no_image_p + self.no_scan_p > 1:
            raise ValueError(
                f"no_image_p and no_scan_p: expected at most 1 together, got {self.no_image_p} and {self.no_scan_p}"
            )
        if not 0 <= self.zoom < 1:
            raise ValueError(f"zoom: expected a share from 0 to less than 1, got {self.zoom}")
        for name in ("blur", "cutout", "jpeg"):
            limits = getattr(self, name)
            if len(limits) != 2 or not 0 <= limits[0] <= limits[1]:
                raise ValueError(f"{name}: expected a smallest and a largest value, got {list(limits)}")


NONE = AugmentationConfig()
SCENE = AugmentationConfig(mirror_p=0.5, turn_p=0.5, turn_degrees=15.0, shift_z=0.15)
"""Changes of the scene, labels included: small data sets need them."""
APPEARANCE = AugmentationConfig(brightness=0.3, contrast=0.3, saturation=0.4)
"""Changes of the image only: features of the scene that were computed before stay valid."""
CAMERA = replace(SCENE, brightness=0.3, contrast=0.3, saturation=0.4)
"""Both, for camera-only networks."""


def with_still_scene(config: AugmentationConfig) -> AugmentationConfig:
    """The same without changes of the scene."""
    return replace(config, **{name: getattr(NONE, name) for name in ("mirror_p", "turn_p", "turn_degrees", "shift_z")})


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


class Failure(Enum):
    """The sensor that gives nothing in a frame."""

    CAMERA = "camera"
    LIDAR = "lidar"


def draw_failure(rng: np.random.Generator, config: AugmentationConfig) -> Failure | None:
    """Which sensor fails in a frame, if any; never both."""
    drawn = rng.random()
    if drawn < config.no_image_p:
        return Failure.CAMERA
    return Failure.LIDAR if drawn < config.no_image_p + config.no_scan_p else None


def kept_rings(
    points: np.ndarray, T_lidar_grid: np.ndarray, rng: np.random.Generator, config: AugmentationConfig
) -> np.ndarray:
    """Where in the cloud, (N, >=3) in the grid frame, the points are that a LiDAR with fewer rings has: (M,) int64.

    A half or a quarter of the bins of elevation: every second or fourth one, or a random choice. A bin is as wide as
    the rings of 64 over 27 degrees are apart, or up to twice that; scans need not say which ring a point is of.

    T_lidar_grid : (4, 4) grid frame -> LiDAR frame, in which elevations are measured
    """
    if rng.random() >= config.rings_p:
        return np.arange(len(points))
    width = np.radians(rng.uniform(1, 2) * 27 / 64)
    every, numbers = rng.choice((2, 4)), np.arange(round(np.pi / width) + 2)
    regular = (numbers + rng.integers(every)) % every == 0
    kept = regular if rng.random() < 0.5 else rng.random(len(numbers)) < 1 / every
    return np.flatnonzero(kept[_elevation_bins(points, T_lidar_grid, width)])


@compiled
def _elevation_bins(points, T, width):
    bins = np.empty(len(points), np.int64)
    for n in range(len(points)):
        a, b, c = points[n, 0], points[n, 1], points[n, 2]
        x = T[0, 0] * a + T[0, 1] * b + T[0, 2] * c + T[0, 3]
        y = T[1, 0] * a + T[1, 1] * b + T[1, 2] * c + T[1, 3]
        z = T[2, 0] * a + T[2, 1] * b + T[2, 2] * c + T[2, 3]
        bins[n] = int((np.arctan2(z, np.sqrt(x * x + y * y)) + np.pi / 2) / width)
    return bins


def thin_cloud(
    points: np.ndarray, rng: np.random.Generator, config: AugmentationConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Drop a random share of the points, jitter the rest, change their intensities.

    (N, 4) -> (M, 4) in random order, which is how the voxelizer draws the points that it keeps, and (M,) int64: where
    in the input each of them was.
    """
    share = rng.uniform(0, config.dropout) if rng.random() < config.dropout_p else 0.0
    kept = rng.permutation(len(points))[int(share * len(points)) :]
    thinned = points[kept]
    if config.jitter:
        thinned[:, :3] += config.jitter * rng.standard_normal((len(kept), 3), np.float32)
    thinned[:, 3] *= np.exp(rng.uniform(-config.intensity_gain, config.intensity_gain))
    change_intensity(thinned[:, 3], rng, config)
    return thinned, kept


def change_intensity(intensity: np.ndarray, rng: np.random.Generator, config: AugmentationConfig) -> None:
    """Another response of the LiDAR, in place on (N,) float32 of 0..1: gamma and offset, or one value everywhere."""
    if config.intensity_gamma or config.intensity_offset:
        np.clip(intensity, 0, 1, out=intensity)
        intensity **= np.float32(np.exp(rng.uniform(-config.intensity_gamma, config.intensity_gamma)))
        intensity += np.float32(rng.uniform(-config.intensity_offset, config.intensity_offset))
        np.clip(intensity, 0, 1, out=intensity)
    if config.no_intensity_p and rng.random() < config.no_intensity_p:
        intensity[:] = rng.choice((0.0, rng.random()))


def points_per_voxel(rng: np.random.Generator, config: AugmentationConfig, most: int) -> int:
    """How many points a voxel of this frame keeps, 1..most: the voxelizer's `max_points` for it."""
    return int(rng.integers(max(1, round(config.voxel_points * most)), most + 1))


def change_appearance(image: np.ndarray, rng: np.random.Generator, config: AugmentationConfig) -> np.ndarray:
    """An RGB image (H, W, 3) uint8 in other colours, blurred, in bad weather, with holes, noise and artefacts."""
    image = change_tones(change_colours(image, rng, config), rng, config)
    if rng.random() < config.blur_p:
        length = rng.uniform(*config.blur) * image.shape[1] / REFERENCE_WIDTH
        kernel = line_kernel(length, rng.uniform(0, 180))
        image = cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)
    if rng.random() < config.weather_p:
        image = change_weather(image, rng)
    if rng.random() < config.cutout_p:
        image = cut_out(image, rng.uniform(*config.cutout), rng.integers(1, config.cutout_boxes + 1), rng)
    if config.noise_p and rng.random() < config.noise_p:
        noise = rng.uniform(0, config.noise) * rng.standard_normal(image.shape, np.float32)
        image = cv2.add(image, noise, dtype=cv2.CV_8U)
    if config.jpeg_p and rng.random() < config.jpeg_p:
        _, coded = cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, round(rng.uniform(*config.jpeg))))
        image = cv2.imdecode(coded, cv2.IMREAD_COLOR)  # channels stay in the order in which they went in
    return image


def change_tones(image: np.ndarray, rng: np.random.Generator, config: AugmentationConfig) -> np.ndarray:
    """Gamma, a gain for each channel, and grey, on RGB (H, W, 3) uint8."""
    if config.grey_p and rng.random() < config.grey_p:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if config.gamma or config.channel_gain:
        exponent = np.exp(rng.uniform(-config.gamma, config.gamma))
        gain = np.exp(rng.uniform(-config.channel_gain, config.channel_gain, 3))
        tones = 255 * np.linspace(0, 1, 256)[:, None] ** exponent * gain
        image = cv2.LUT(image, np.clip(np.rint(tones), 0, 255).astype(np.uint8)[None])
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
