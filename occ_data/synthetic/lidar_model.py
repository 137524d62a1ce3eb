"""What a LiDAR is: its rays and when it fires each, its noise and its intensities."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from occ_core.rig import Sensor

_REACH = 120.0
"""Metres; the street does not extend further to the sides."""
_GOLDEN = (np.sqrt(5) - 1) / 2


class Intensity(NamedTuple):
    """From the share of light that comes back, 0..1, to the sensor's number: offset + gain * share ** gamma.

    falloff : metres at which the number is halved, for a sensor that does not correct for distance
    """

    gain: float = 1.0
    gamma: float = 1.0
    offset: float = 0.0
    falloff: float = np.inf

    def of(self, share: np.ndarray, distance: np.ndarray) -> np.ndarray:
        """(N,) numbers 0..0.99 for shares (N,) from distances (N,) in metres."""
        number = (self.gain * share.clip(0, 0.99) ** self.gamma + self.offset) / (1 + (distance / self.falloff) ** 2)
        return np.round(number.clip(0, 0.99), 2)


CALIBRATED = Intensity()
"""Of a sensor that gives the share of light itself."""


@dataclass(frozen=True)
class Lidar:
    """A LiDAR. Angles in degrees, lengths in metres, seconds.

    elevations : of each beam, in the order of the points
    columns : points of a beam in one sweep
    near, far : least and largest range
    noise : standard deviation of the range
    dropout : share of the pulses that are lost at random
    intensity : None for a sensor without intensities, whose points have 0
    period : of one sweep; 0 where all points count as taken at once, as in KITTI's corrected scans
    field : azimuths from, to that it sees
    repeats : whether each sweep takes the same rays; if not, the beams only say how many points there are, and between
        which elevations
    body : what the robot's own body hides: azimuths from, to, and the lowest elevation in view between them
    """

    elevations: tuple[float, ...]
    columns: int
    near: float = 0.5
    far: float = 100.0
    noise: float = 0.02
    dropout: float = 0.012
    intensity: Intensity | None = CALIBRATED
    period: float = 0.1
    field: tuple[float, float] = (0.0, 360.0)
    repeats: bool = True
    body: tuple[tuple[int, int, float], ...] = ()

    @classmethod
    def of_sensor(cls, sensor: Sensor, **details) -> "Lidar":
        """A spinning LiDAR by its data sheet; `details` are further fields."""
        columns = max(round(360 / sensor.horizontal_resolution), 1)
        return cls(sensor.elevations[::-1], columns, far=min(sensor.range, _REACH), **details)

    @property
    def sensor(self) -> Sensor:
        """Its data sheet."""
        begin, end = self.field
        return Sensor(tuple(sorted(map(float, self.elevations))), (end - begin) / self.columns, float(self.far))

    def sweep(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Unit rays (N, 3) in the LiDAR frame; when each is fired (N,), seconds from the middle of the sweep."""
        return self._turn(rng.random()) if self.repeats else self._rosette(rng)

    def rays(self, phase: float = 0.0) -> np.ndarray:
        """Unit rays (N, 3) of the beams, the first beam's first, its azimuth rising; phase : in steps of azimuth."""
        begin, end = np.deg2rad(self.field)
        azimuth = begin + (np.arange(self.columns) + phase) * ((end - begin) / self.columns)
        elevation = np.deg2rad(self.elevations)
        return _directions(azimuth, elevation[:, None])

    def _turn(self, phase):
        rays = self.rays(phase)
        # Clockwise, as seen from above, ahead in the middle of the sweep.
        times = -np.arctan2(rays[:, 1], rays[:, 0]) / (2 * np.pi) * self.period
        return rays, times.astype(np.float32)

    def _rosette(self, rng):
        """A line that goes up and down fast, around or from side to side slowly, and starts anywhere."""
        number = len(self.elevations) * self.columns
        share = np.arange(number) / number
        begin, end = np.deg2rad(self.field)
        low, high = np.deg2rad((min(self.elevations), max(self.elevations)))
        around, up = rng.random(2)
        if end - begin > 6.28:
            azimuth = begin + (end - begin) * (share * (4 + _GOLDEN) + around)
        else:
            azimuth = begin + (end - begin) * _triangle(share * (9 + _GOLDEN) + around)
        elevation = low + (high - low) * _triangle(share * (190 + _GOLDEN**2) + up)
        return _directions(azimuth, elevation), ((share - 0.5) * self.period).astype(np.float32)

    def hidden(self, rays: np.ndarray) -> np.ndarray:
        """(N,) which of the rays (N, 3), LiDAR frame, hit the robot itself."""
        azimuth = np.degrees(np.arctan2(rays[:, 1], rays[:, 0])) % 360
        elevation = np.degrees(np.arcsin(rays[:, 2]))
        lowest = np.full(360, -90.0)
        for begin, end, free in self.body:
            lowest[begin:end] = free
        return elevation < lowest[azimuth.astype(int) % 360]


# The bonnet, the roof and the aerial of KITTI's car.
_OWN_CAR = (
    (0, 10, -20.5), (10, 18, -21.7), (130, 140, -19.5), (140, 158, -21.5), (158, 182, -17.2), (182, 200, -19.0),
    (200, 210, -20.0), (230, 238, -20.7), (282, 298, -17.0), (318, 350, -22.5), (350, 360, -20.5),
)  # fmt: skip

# Upper block a third of a degree apart, lower block half a degree; angles measured in KITTI's scans.
HDL64 = Lidar(
    (*np.linspace(2.2, -8.1, 32).tolist(), *np.linspace(-8.6, -23.7, 32).tolist()),
    2165, near=1.5, far=80.0, noise=0.015, period=0.0, body=_OWN_CAR,
)  # fmt: skip
"""KITTI's Velodyne HDL-64E."""


def _directions(azimuth, elevation):
    cos = np.cos(elevation)
    rays = np.broadcast_arrays(cos * np.cos(azimuth), cos * np.sin(azimuth), np.sin(elevation))
    return np.stack(rays, -1).reshape(-1, 3).astype(np.float32)


def _triangle(x):
    """Between 0 and 1, up and down with period 1."""
    return np.abs(2 * (x % 1) - 1)
