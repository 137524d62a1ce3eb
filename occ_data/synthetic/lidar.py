"""A 64-beam spinning LiDAR (Velodyne HDL-64E) in the street."""

import numpy as np

from .scene import Scene, rotated
from .shapes import Material

AZIMUTHS = 2165
MIN_RANGE, MAX_RANGE = 1.5, 80.0
RANGE_NOISE = 0.015
# Upper block a third of a degree apart, lower block half a degree; angles measured in KITTI's scans.
ELEVATIONS = np.deg2rad(np.concatenate([np.linspace(2.2, -8.1, 32), np.linspace(-8.6, -23.7, 32)]))

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


# The recording car occludes the ground close by: from, to in degrees of azimuth, and the lowest elevation in view.
_OWN_CAR = (
    (0, 10, -20.5), (10, 18, -21.7), (130, 140, -19.5), (140, 158, -21.5), (158, 182, -17.2), (182, 200, -19.0),
    (200, 210, -20.0), (230, 238, -20.7), (282, 298, -17.0), (318, 350, -22.5), (350, 360, -20.5),
)  # fmt: skip


def beams(azimuths: int = AZIMUTHS, phase: float = 0.0) -> np.ndarray:
    """Unit directions (64 * azimuths, 3) in the LiDAR frame, as KITTI orders them: top ring first, azimuth rising."""
    azimuth = (np.arange(azimuths) + phase) * (2 * np.pi / azimuths)
    cos = np.cos(ELEVATIONS)[:, None]
    rays = [cos * np.cos(azimuth), cos * np.sin(azimuth), np.sin(ELEVATIONS)[:, None] + 0 * azimuth]
    return np.stack(rays, -1).reshape(-1, 3).astype(np.float32)


def hidden_by_own_car(rays: np.ndarray) -> np.ndarray:
    """(N,) which of the rays (N, 3), LiDAR frame, hit the roof, the bonnet or the aerial of the car itself."""
    azimuth = np.degrees(np.arctan2(rays[:, 1], rays[:, 0])) % 360
    elevation = np.degrees(np.arcsin(rays[:, 2]))
    lowest = np.full(360, -90.0)
    for begin, end, free in _OWN_CAR:
        lowest[begin:end] = free
    return elevation < lowest[azimuth.astype(int) % 360]


def scan(scene: Scene, T_world_lidar: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One scan: points (N, 4) float32 in the LiDAR frame, intensity 0..1; raw labels (N,) uint32 with instances.

    Noise: range, intensity, dropped returns (dark, glassy, grazing, far), and a few stray points labelled 0.
    """
    rays = beams(phase=rng.random())
    directions = rotated(rays, T_world_lidar)
    found = scene.cast(T_world_lidar[:3, 3], directions)
    cosine = np.abs((found.normal * directions).sum(1))
    mean, spread, absorption = _TABLE[found.material].T
    windows = window_mask(found)
    absorption, mean = np.where(windows, 0.45, absorption), np.where(windows, 0.15, mean)
    # Car paint reflects the pulse away unless it faces the sensor; dark paint absorbs it.
    paint = found.material == Material.PAINT
    brightness = found.color.mean(1)
    mean = np.where(paint, (0.06 + 0.35 * brightness) * rng.exponential(1.0, len(rays)), mean)
    spread = np.where(paint, 0.02, spread)
    mean = np.where(found.material == Material.SIGN, 0.3 + 0.6 * brightness.clip(0, 1), mean)
    absorption = np.where(paint, 0.1 + 0.3 * (brightness < 0.1), absorption)
    grazing = (1 - cosine) ** 3
    far = (found.distance / MAX_RANGE).clip(0, 1)
    lost = 0.012 + absorption * (0.25 + 0.75 * grazing) * (0.5 + far) + 0.35 * far**3 * grazing
    kept = (
        found.hit
        & ~hidden_by_own_car(rays)
        & (found.distance > MIN_RANGE)
        & (found.distance < MAX_RANGE)
        & (rng.random(len(rays)) > lost)
    )

    distance = found.distance + rng.normal(0, RANGE_NOISE, len(rays)).astype(np.float32)
    # Through a window the beam returns from inside the room.
    distance = np.where(windows & (rng.random(len(rays)) < 0.4), distance + rng.exponential(0.6, len(rays)), distance)
    stray = kept & (rng.random(len(rays)) < 0.002)
    distance = np.where(stray, np.maximum(distance * rng.uniform(0.3, 0.98, len(rays)), MIN_RANGE), distance)
    intensity = mean * (0.93 + 0.1 * cosine) + spread * rng.normal(0, 0.9, len(rays))
    intensity = np.round(intensity.clip(0, 0.99), 2)
    labels = np.where(stray, 0, found.label.astype(np.uint32) | (found.instance.astype(np.uint32) << 16))
    points = np.concatenate([rays * distance[:, None], intensity[:, None]], 1).astype(np.float32)
    return points[kept], labels[kept].astype(np.uint32)


def window_mask(found) -> np.ndarray:
    """(N,) whether a hit lies in the window of a facade; the camera draws the same windows."""
    facade = (found.material == Material.PLASTER) | (found.material == Material.BRICK)
    upright = np.abs(found.normal[:, 2]) < 0.1
    along, up = found.uv[:, 0] % 3.0, found.uv[:, 1] % 2.9
    return facade & upright & (found.uv[:, 1] > 0) & (along > 0.9) & (along < 2.1) & (up > 0.95) & (up < 2.25)
