"""Augmentation of one frame: the scene turned and mirrored, the cloud thinned, the image's appearance changed."""

from dataclasses import dataclass

import numba
import numpy as np

from occ_node.perception import IGNORE, Grid


@dataclass(frozen=True)
class AugmentationConfig:
    """Magnitudes; probabilities where a name ends in _p."""

    mirror_p: float = 0.5
    turn_p: float = 0.5
    turn_degrees: float = 15.0
    shift_z: float = 0.15
    dropout: float = 0.3
    jitter: float = 0.01
    intensity_gain: float = 0.3
    brightness: float = 0.3
    saturation: float = 0.4
    no_image_p: float = 0.1


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


@numba.njit(cache=True, nogil=True)
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


def thin_cloud(points: np.ndarray, rng: np.random.Generator, config: AugmentationConfig) -> np.ndarray:
    """Drop a random share of the points, jitter the rest, change the intensity's gain. (N, 4) -> (M, 4)."""
    kept = points[rng.random(len(points)) >= rng.uniform(0, config.dropout)].copy()
    kept[:, :3] += rng.normal(0, config.jitter, (len(kept), 3)).astype(np.float32)
    kept[:, 3] *= np.exp(rng.uniform(-config.intensity_gain, config.intensity_gain))
    return kept


def change_appearance(image: np.ndarray, rng: np.random.Generator, config: AugmentationConfig) -> np.ndarray:
    """Brightness, contrast and saturation of an RGB image (H, W, 3) uint8; now and then no image at all."""
    if rng.random() < config.no_image_p:
        return np.zeros_like(image)
    x = image.astype(np.float32)
    grey = x.mean(2, keepdims=True)
    x = grey + (x - grey) * (1 + rng.uniform(-config.saturation, config.saturation))
    contrast = 1 + rng.uniform(-config.brightness, config.brightness)
    x = (x - 128) * contrast + 128 * (1 + rng.uniform(-config.brightness, config.brightness))
    return np.clip(x, 0, 255).astype(np.uint8)
