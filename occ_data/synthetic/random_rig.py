"""Random rigs: LiDAR, where it is, camera and weather drawn from a seed."""

import numpy as np

from occ_core.rig import GRID_HEIGHT, rig_presets, translation

from .camera_set import CameraSet
from .imaging import Imaging
from .lidar_model import Intensity, Lidar
from .light import Weather
from .sensor_set import SensorSet, preset_lidar
from .turn import turn

_MOST_POINTS = 140_000
_FORWARD_BEAMS = (24, 40, 64)
_IMAGE_SIZES = ((640, 480), (848, 480), (960, 540), (640, 360), (720, 540), (1024, 512), (1226, 370), (800, 600))
_T_CAM_AHEAD = np.array([(0.0, -1, 0, 0), (0, 0, -1, 0), (1, 0, 0, 0), (0, 0, 0, 1)])
"""x ahead, y left, z up -> x right, y down, z ahead."""


def random_sensors(seed: int) -> SensorSet:
    """The rig of a seed; heights 0.4 to 2.5 m."""
    rng = np.random.default_rng([seed, 6])
    lidar, height = _lidar(rng), rng.uniform(0.4, 2.5)
    nose_up = rng.uniform(-10, 10) if rng.random() < 0.25 else rng.normal(0, 1.5)
    angles = rng.normal(0, 2), nose_up, rng.normal(0, 1.2)
    T_ground_lidar = translation(rng.uniform(-0.5, 0.8), rng.normal(0, 0.1), height) @ _turned(*angles)
    T_grid_lidar = translation(0, 0, -GRID_HEIGHT) @ T_ground_lidar
    weather = _weather(rng)
    cameras = _cameras(rng, T_ground_lidar, height)
    return SensorSet(lidar, T_grid_lidar, cameras, _imaging(rng, weather), weather)


def _lidar(rng) -> Lidar:
    details = {
        "near": rng.uniform(0.2, 1.5), "noise": rng.uniform(0.005, 0.03), "dropout": rng.choice((0.01, 0.05, 0.15)),
        "intensity": _intensity(rng),
    }  # fmt: skip
    if rng.random() < 0.2:  # the robot's own body, behind the LiDAR
        half = int(rng.uniform(20, 70))
        details["body"] = ((180 - half, 180 + half, 90.0),)
    kind = rng.choice(4, p=(0.45, 0.35, 0.1, 0.1))
    if kind == 0:
        names = rig_presets()
        preset = preset_lidar(names[rng.integers(len(names))])
        return Lidar(preset.elevations, preset.columns, far=preset.far, repeats=preset.repeats, **details)
    if kind == 1:
        beams = int(rng.choice((16, 32, 40, 64, 80, 128)))
        columns = min(int(rng.choice((512, 900, 1024, 1800, 2048))), _MOST_POINTS // beams)
        return Lidar(_elevations(rng, beams), columns, far=rng.uniform(40, 120), **details)
    half = rng.uniform(30, 60)
    field = (0.0, 360.0) if kind == 2 else (-half, half)
    low, high = (rng.uniform(-10, -5), rng.uniform(30, 55)) if kind == 2 else np.array((-1, 1)) * rng.uniform(12, 35)
    beams = int(rng.choice(_FORWARD_BEAMS))
    elevations = tuple(np.linspace(high, low, beams).tolist())
    columns = int(rng.uniform(20_000, 48_000)) // beams
    return Lidar(elevations, columns, far=rng.uniform(40, 120), field=field, repeats=False, **details)


def _elevations(rng, beams) -> tuple[float, ...]:
    """Degrees, highest first; evenly spaced or densest near the horizon."""
    low, high = rng.uniform(-45, -14), rng.uniform(2, 45 if beams > 32 else 16)
    share = np.linspace(-1, 1, beams)
    if rng.random() < 0.3:
        share = np.sign(share) * np.abs(share) ** rng.uniform(1.3, 2.2)
    angles = np.where(share < 0, -share * low, share * high)
    return tuple((np.sort(angles)[::-1] - np.arange(beams) * 1e-6).tolist())


def _intensity(rng) -> Intensity | None:
    if rng.random() < 0.2:
        return None
    falloff = rng.uniform(15, 60) if rng.random() < 0.3 else np.inf
    return Intensity(rng.uniform(0.3, 1.6), rng.uniform(0.6, 1.7), rng.uniform(0, 0.1), falloff)


def _weather(rng) -> Weather:
    kind = rng.choice(5, p=(0.55, 0.15, 0.12, 0.14, 0.04))
    rain = rng.uniform(0.2, 1) if kind in (2, 4) else 0.0
    return Weather(rain, night=kind in (3, 4), low_sun=kind == 1)


def _imaging(rng, weather: Weather) -> Imaging:
    exposure = rng.uniform(0.5, 1.7) * (rng.uniform(1.5, 4) if weather.night else 1.0)
    balance = rng.uniform((0.85, 0.95, 0.8), (1.2, 1.05, 1.25))
    blur = rng.uniform(0.8, 2.5) if rng.random() < 0.25 else 0.55
    smear = int(rng.integers(2, 14)) if rng.random() < 0.2 else 0
    noise = rng.uniform(0.004, 0.02) * (2.5 if weather.night else 1.0)
    return Imaging(exposure, tuple(balance.tolist()), blur, smear, noise, weather.rain)


def _cameras(rng, T_ground_lidar, height) -> CameraSet:
    """One pinhole camera near the LiDAR, looking ahead and mostly somewhat down."""
    width, tall = _IMAGE_SIZES[rng.integers(len(_IMAGE_SIZES))]
    focal = width / 2 / np.tan(np.deg2rad(rng.uniform(55, 105)) / 2)
    center = width / 2 + rng.normal(0, 0.01) * width, tall / 2 + rng.normal(0, 0.02) * tall
    place = rng.uniform(-0.3, 0.9), rng.normal(0, 0.2), np.clip(height + rng.uniform(-0.6, 0.3), 0.3, 2.5)
    T_ground_ahead = translation(*place) @ _turned(rng.normal(0, 2), rng.uniform(-14, 3), rng.normal(0, 1))
    Tr = _T_CAM_AHEAD @ np.linalg.inv(T_ground_ahead) @ T_ground_lidar
    none = (0.0, 0.0, 0.0)
    return CameraSet(focal, center, none, none, (width, tall), tuple(Tr[:3].ravel().tolist()))


def _turned(left, nose_up, lean) -> np.ndarray:
    """(4, 4) rotation by three angles in degrees."""
    T = np.eye(4)
    T[:3, :3] = turn(*np.deg2rad((left, nose_up, lean)))
    return T
