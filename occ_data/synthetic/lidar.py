"""A LiDAR's scan of the street: what its rays hit, what comes back, and how strong."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .lidar_model import Lidar
from .scene import Scene, rotated
from .shapes import Material

# Mean intensity, its spread, and how much of its pulses a material loses at grazing incidence.
_RESPONSE = {
    Material.ASPHALT: (0.26, 0.1, 0.05), Material.PAVING: (0.31, 0.09, 0.03), Material.COBBLES: (0.31, 0.09, 0.03),
    Material.GRASS: (0.36, 0.09, 0.03), Material.GRAVEL: (0.36, 0.09, 0.03), Material.PLASTER: (0.41, 0.14, 0.03),
    Material.BRICK: (0.37, 0.12, 0.03), Material.ROOF: (0.35, 0.1, 0.05), Material.LEAVES: (0.34, 0.13, 0.03),
    Material.BARK: (0.36, 0.14, 0.02), Material.METAL: (0.28, 0.18, 0.1), Material.PAINT: (0.17, 0.2, 0.25),
    Material.GLASS: (0.05, 0.05, 0.75), Material.RUBBER: (0.12, 0.08, 0.15), Material.WOOD: (0.33, 0.14, 0.03),
    Material.CLOTH: (0.45, 0.15, 0.03), Material.SIGN: (0.75, 0.25, 0.02), Material.CONCRETE: (0.33, 0.1, 0.03),
}  # fmt: skip
_TABLE = np.array([_RESPONSE[m] for m in Material], np.float32)


class Scan(NamedTuple):
    """One sweep, in the LiDAR frame at the middle of the sweep.

    points : (N, 4) float32, x, y, z in metres and intensity 0..1
    labels : (N,) uint32 raw, with instances; 0 for stray points
    times : (N,) float32 seconds from the middle of the sweep at which each point was taken
    """

    points: np.ndarray
    labels: np.ndarray
    times: np.ndarray


def scan(
    scene: Scene,
    T_world_lidar: np.ndarray,
    lidar: Lidar,
    rng: np.random.Generator,
    velocity: ArrayLike = (0, 0, 0),
    rain: float = 0.0,
) -> Scan:
    """One sweep of a LiDAR that moves with `velocity` (3,), m/s in its own frame, in a street at one moment.

    Noise: range, intensity, dropped returns (dark, glassy, grazing, far), and a few stray points labelled 0; with
    `rain` (0..1) more of them, and drops close to the sensor.
    """
    rays, times = lidar.sweep(rng)
    offsets = times[:, None] * np.asarray(velocity, np.float32)
    directions = rotated(rays, T_world_lidar)
    origins = T_world_lidar[:3, 3] + rotated(offsets, T_world_lidar)
    found = scene.cast(origins, directions)
    cosine = np.abs((found.normal * directions).sum(1))
    windows = window_mask(found)
    mean, spread, absorption = _response(found, windows, rain, rng)
    grazing = (1 - cosine) ** 3
    far = (found.distance / lidar.far).clip(0, 1)
    lost = lidar.dropout + absorption * (0.25 + 0.75 * grazing) * (0.5 + far) + 0.35 * far**3 * grazing
    lost += rain * 0.4 * far
    kept = (
        found.hit
        & ~lidar.hidden(rays)
        & (found.distance > lidar.near)
        & (found.distance < lidar.far)
        & (rng.random(len(rays)) > lost)
    )

    distance = found.distance + rng.normal(0, lidar.noise, len(rays)).astype(np.float32)
    # Through a window the beam returns from inside the room.
    distance = np.where(windows & (rng.random(len(rays)) < 0.4), distance + rng.exponential(0.6, len(rays)), distance)
    stray = kept & (rng.random(len(rays)) < 0.002)
    distance = np.where(stray, np.maximum(distance * rng.uniform(0.3, 0.98, len(rays)), lidar.near), distance)
    share = mean * (0.93 + 0.1 * cosine) + spread * rng.normal(0, 0.9, len(rays))
    if rain > 0:
        drops = kept & (rng.random(len(rays)) < 0.02 * rain)
        distance = np.where(drops, np.minimum(lidar.near + rng.exponential(3.0, len(rays)), distance), distance)
        share, stray = np.where(drops, 0.03, share * (1 - 0.4 * rain)), stray | drops
    intensity = np.zeros(len(rays)) if lidar.intensity is None else lidar.intensity.of(share, distance)
    labels = np.where(stray, 0, found.label.astype(np.uint32) | (found.instance.astype(np.uint32) << 16))
    places = rays * distance[:, None] + offsets
    points = np.concatenate([places, intensity[:, None]], 1).astype(np.float32)
    return Scan(points[kept], labels[kept].astype(np.uint32), times[kept])


def _response(found, windows, rain, rng):
    """Mean intensity, its spread and the share of the pulses that is absorbed, of each hit, (N,) each."""
    mean, spread, absorption = _TABLE[found.material].T
    absorption, mean = np.where(windows, 0.45, absorption), np.where(windows, 0.15, mean)
    # Car paint reflects the pulse away unless it faces the sensor; dark paint absorbs it.
    paint = found.material == Material.PAINT
    brightness = found.color.mean(1)
    mean = np.where(paint, (0.06 + 0.35 * brightness) * rng.exponential(1.0, len(mean)), mean)
    spread = np.where(paint, 0.02, spread)
    mean = np.where(found.material == Material.SIGN, 0.3 + 0.6 * brightness.clip(0, 1), mean)
    absorption = np.where(paint, 0.1 + 0.3 * (brightness < 0.1), absorption)
    # A wet road reflects the pulse away.
    return mean, spread, np.where(found.material == Material.ASPHALT, absorption + 0.5 * rain, absorption)


def window_mask(found) -> np.ndarray:
    """(N,) whether a hit lies in the window of a facade; the camera draws the same windows."""
    facade = (found.material == Material.PLASTER) | (found.material == Material.BRICK)
    upright = np.abs(found.normal[:, 2]) < 0.1
    along, up = found.uv[:, 0] % 3.0, found.uv[:, 1] % 2.9
    return facade & upright & (found.uv[:, 1] > 0) & (along > 0.9) & (along < 2.1) & (up > 0.95) & (up < 2.25)
