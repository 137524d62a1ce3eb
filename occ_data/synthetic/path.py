"""The street's centre line: a smooth curve that everything is laid out along."""

import numpy as np

_STEP = 0.5


class Path:
    """Centre line by arc length s (metres, may be negative) with offset d to its left.

    Heading and elevation are sums of slow sines, so the radius of curvature stays above the width of the world.
    """

    def __init__(self, rng: np.random.Generator, start: float, end: float, bend: float, hill: float):
        self.s = np.arange(start, end + _STEP, _STEP)
        lengths, phases = rng.uniform((160, 90), (320, 160)), rng.uniform(0, 2 * np.pi, 4)
        bends = np.array((bend, bend * 0.3)) * rng.uniform(0.3, 1, 2)
        heading = sum(a * np.sin(2 * np.pi * self.s / n + p) for a, n, p in zip(bends, lengths, phases, strict=False))
        self.heading = heading - heading[0]
        step = np.stack([np.cos(self.heading), np.sin(self.heading)], 1) * _STEP
        self.xy = np.concatenate([np.zeros((1, 2)), np.cumsum(step[:-1], 0)])
        self.z = hill * np.sin(2 * np.pi * self.s / rng.uniform(150, 300) + phases[2])

    def at(self, s, d=0.0, up=0.0) -> np.ndarray:
        """World position (..., 3) of arc length s, offset d to the left and height `up` above the centre line."""
        heading = self.yaw(s)
        x = np.interp(s, self.s, self.xy[:, 0]) - d * np.sin(heading)
        y = np.interp(s, self.s, self.xy[:, 1]) + d * np.cos(heading)
        z = np.interp(s, self.s, self.z) + up
        return np.stack(np.broadcast_arrays(x, y, z), -1)

    def yaw(self, s):
        """Heading at s, radians to the left of world x."""
        return np.interp(s, self.s, self.heading)

    def pitch(self, s):
        """Slope at s, radians nose up."""
        return np.arctan2(np.interp(s + 1, self.s, self.z) - np.interp(s - 1, self.s, self.z), 2.0)
