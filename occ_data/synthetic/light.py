"""Sun, sky and lamps of a drive, by its seed and its weather."""

from typing import NamedTuple

import cv2
import numpy as np

TILE = 1024
"""Cells of the noise tile each way."""


class Weather(NamedTuple):
    """rain : 0 (none) to 1 (heavy); night : whether lamps light the street; low_sun : dazzling, with long shadows"""

    rain: float = 0.0
    night: bool = False
    low_sun: bool = False


DRY_DAY = Weather()


class Lamps(NamedTuple):
    """Light at night, as shares of an overcast day's: of the sky, of street lamps, and near the robot's headlights."""

    sky: float
    street: float
    head: float

    def on(self, rays: np.ndarray, distance: np.ndarray) -> np.ndarray:
        """Share of full light (N,) on what unit rays (N, 3) from the robot (x ahead, z up) hit at `distance` (N,)."""
        beside, above = rays[:, 1] / rays[:, 0].clip(0.1), rays[:, 2] / rays[:, 0].clip(0.1)
        beam = np.exp(-((beside / 0.5) ** 2) - ((above + 0.1) / np.where(above > -0.1, 0.1, 0.3)) ** 2)
        lit = self.street / (1 + distance / 60) + self.head * beam / (1 + (distance / 9) ** 2)
        return np.where(np.isinf(distance), self.sky, lit).astype(np.float32)


class Light(NamedTuple):
    """Sun, sky and road markings of a drive.

    sun : unit vector towards it; colours linear, 0..1; haze : 1/metres; noise : tile of `_noise_tile`
    half : half width of the road in metres; marking : which lines are painted on it; lamps : None by day
    """

    sun: np.ndarray
    sun_color: np.ndarray
    ambient: np.ndarray
    sky: np.ndarray
    horizon: np.ndarray
    haze: float
    exposure: float
    noise: np.ndarray
    half: float
    marking: int
    lamps: Lamps | None = None


def make_light(seed: int, half: float, weather: Weather) -> Light:
    """The light of a seed: by day mostly sunny with deep shadows, as in KITTI, sometimes overcast."""
    rng = np.random.default_rng([seed, 2])
    overcast = rng.random() < 0.25
    azimuth, elevation = rng.uniform(0, 2 * np.pi), np.deg2rad(rng.uniform(25, 62))
    sun = np.array([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)])
    strength = 0.25 if overcast else rng.uniform(0.85, 1.15)
    ambient = np.array((0.55, 0.57, 0.6)) if overcast else np.array((0.12, 0.15, 0.2)) * rng.uniform(0.75, 1.3)
    sky = np.array((0.62, 0.65, 0.7)) if overcast else np.array((0.1, 0.28, 0.72)) * rng.uniform(0.8, 1.3)
    horizon = np.array((0.72, 0.74, 0.77)) if overcast else np.array((0.55, 0.72, 0.93))
    light = Light(
        sun, strength * np.array((1.3, 1.2, 1.02)), ambient, sky, horizon, rng.uniform(0.0004, 0.0014),
        rng.uniform(0.9, 1.3), _noise_tile(rng), half, int(rng.integers(4)),
    )  # fmt: skip
    return _in_weather(light, weather, np.random.default_rng([seed, 7]))


def _in_weather(light: Light, weather: Weather, rng: np.random.Generator) -> Light:
    """The light of a dry day, changed to low sun, rain or night."""
    if weather.low_sun:
        azimuth, elevation = np.arctan2(light.sun[1], light.sun[0]), np.deg2rad(rng.uniform(4, 18))
        sun = np.array([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)])
        light = light._replace(sun=sun, sun_color=rng.uniform(0.9, 1.5) * np.array((1.4, 1.1, 0.75)))
    if weather.rain > 0:
        grey = np.array((0.5, 0.52, 0.55)) * rng.uniform(0.7, 1.1)
        light = light._replace(
            sun_color=light.sun_color * 0.05, ambient=grey, sky=grey * 1.1, horizon=grey * 1.15,
            haze=0.0015 + 0.012 * weather.rain * rng.uniform(0.5, 1),
        )  # fmt: skip
    if weather.night:
        warm, grey = np.array((1.1, 1.0, 0.8)), np.array((0.5, 0.52, 0.6))
        lamps = Lamps(10 ** rng.uniform(-2.7, -1.5), 10 ** rng.uniform(-2.2, -0.7), rng.uniform(0, 1.2))
        light = light._replace(sun_color=np.zeros(3), ambient=warm, sky=grey, horizon=grey, lamps=lamps)
    return light


def _noise_tile(rng) -> np.ndarray:
    """Tileable noise of several octaves, (1024, 1024) float32 of mean 0 and standard deviation 1."""
    tile = np.zeros((TILE, TILE), np.float32)
    for octave in range(2, 10):
        n = 2**octave
        coarse = np.pad(rng.normal(size=(n, n)).astype(np.float32), 2, mode="wrap")
        step = TILE // n
        fine = cv2.resize(coarse, None, fx=step, fy=step, interpolation=cv2.INTER_CUBIC)
        tile += fine[2 * step : 2 * step + TILE, 2 * step : 2 * step + TILE] * 0.75**octave
    return (tile - tile.mean()) / tile.std()
