"""The measured ground against the declared one, over time."""

from collections import deque
from dataclasses import replace

import numpy as np

from occ_core.errors import quoted
from occ_core.ground import Ground, GroundFit
from occ_core.rig import Rig

HEIGHT_OFF, TILT_OFF = 0.25, 3.0
"""Metres and degrees between the measured and the declared ground from which they are said to differ."""
LASTING = 2.0
"""Seconds for which they must differ, or agree again."""
_WINDOW = 1.5
"""Seconds whose measurements are smoothed, by their median."""
_GAP = 5.0
"""Seconds between two clouds after which the measurements start anew."""
_STABLE = np.array((0.05, 1.0, 1.0))
"""Median deviation, m and degrees, of measurements that the estimated ground may start with."""
_RATE = np.array((0.05, 0.5, 0.5))
"""Metres and degrees a second by which the estimated ground changes at most."""
_STEP = np.array((0.02, 0.2, 0.2))
"""Metres and degrees: smaller changes of the estimated ground wait, since each one makes a new lifting table."""
_EPSILON = 1e-3
"""Seconds by which stamps are off."""


class GroundMonitor:
    """Fed with one fit a cloud by one thread; read by any.

    rig : to be used: the declared one or, where the ground is estimated, that with the measured height and tilt, from
        the first stable measurement on; x, y and yaw stay those of the declared one
    measured : the smoothed measurement; None before the first
    differs : whether the declared ground is wrong
    reason : why the newest cloud has no ground, or nothing
    """

    def __init__(self, declared: Rig, estimated: bool, by_rig: bool = False):
        """by_rig : the height is that of the rig's T_ground_lidar, not the parameter `height`"""
        self.rig = declared
        self.measured: Ground | None = None
        self.differs = False
        self.reason = "no cloud yet"
        self._declared, self._estimated, self._by_rig = declared, estimated, by_rig
        self._window: deque[tuple[float, Ground]] = deque()
        self._start = self._last = self._same_at = float("-inf")
        self._estimate: np.ndarray | None = None
        self._used: np.ndarray | None = None

    def add(self, seconds: float, fit: GroundFit) -> None:
        """seconds : stamp of the cloud; fit : in the declared ground frame"""
        passed = seconds - self._last
        if not 0 <= passed <= _GAP:  # the first one, a pause, or a clock that was set
            self._window.clear()
            self._start = self._same_at = seconds
            self.differs, passed = False, 0.0
        self._last, self.reason = seconds, fit.reason
        if fit.ground is None:
            return
        self._window.append((seconds, fit.ground))
        while self._window[0][0] < seconds - _WINDOW - _EPSILON:
            self._window.popleft()
        recent = np.array([ground for _, ground in self._window])
        middle = np.median(recent, 0)
        self.measured = Ground(*middle.tolist())
        self._judge(seconds, self.measured)
        if self._estimated:
            deviation = np.median(np.abs(recent - middle), 0)[:3]
            stable = seconds - self._start >= 1 - _EPSILON and len(recent) > 1 and (deviation < _STABLE).all()
            self._follow(middle[:3], passed, stable)

    def problem(self, frame: str) -> str:
        """What is wrong with the declared ground, and what to set, or nothing; frame : that the rig is of."""
        measured = self.measured
        if self._estimated or not self.differs or measured is None:
            return ""
        found, remedies = [], []
        if abs(measured.height - self._height) > HEIGHT_OFF:
            found.append(f"is {measured.height:.2f} m above the ground, declared {self._height:.2f} m")
            correct = "correct the height in the rig's T_ground_lidar"
            remedies.append(correct if self._by_rig else f"set height:={measured.height:.2f}")
        if measured.tilt > TILT_OFF:
            roll_pitch = f"roll {measured.roll:.1f}, pitch {measured.pitch:.1f}"
            found.append(f"is tilted by {measured.tilt:.1f} degrees ({roll_pitch}) against the declared ground")
            remedies.append("set frame:= to a level frame of tf, or correct its transform")
        if not found:  # it agrees again, but not for long enough
            return ""
        text = f"ground: the origin of frame {quoted(frame)} {' and '.join(found)}: {'; '.join(remedies)}"
        return f"{text} (or ground:=estimated)"

    def values(self) -> dict[str, str]:
        """For the diagnostics."""
        measured = self.measured
        used = "estimated" if self._used is not None else "declared"
        values = {"ground": used, "ground.declared_m": f"{self._height:.2f}", "ground.missing": self.reason}
        if measured is not None:
            values |= {"ground.height_m": f"{measured.height:.2f}", "ground.tilt_deg": f"{measured.tilt:.1f}"}
            values |= {"ground.support": f"{measured.support:.2f}"}
        return values

    @property
    def _height(self) -> float:
        return float(self._declared.mounting[2, 3])

    def _judge(self, seconds: float, measured: Ground) -> None:
        differs = abs(measured.height - self._height) > HEIGHT_OFF or measured.tilt > TILT_OFF
        if differs == self.differs:
            self._same_at = seconds
        elif seconds - self._same_at >= LASTING - _EPSILON:
            self.differs, self._same_at = differs, seconds

    def _follow(self, measured: np.ndarray, passed: float, stable: bool) -> None:
        """measured : height, roll, pitch"""
        if self._estimate is not None:
            self._estimate = self._estimate + np.clip(measured - self._estimate, -_RATE * passed, _RATE * passed)
        elif stable:
            self._estimate = measured
        else:
            return
        if self._used is None or (np.abs(self._estimate - self._used) > _STEP).any():
            self._used = self._estimate
            self.rig = levelled(self._declared, *self._estimate)


def levelled(declared: Rig, height: float, roll: float, pitch: float) -> Rig:
    """The declared rig, corrected by what was measured in its ground frame: metres and degrees, see `Ground`."""
    (cr, cp), (sr, sp) = np.cos(np.radians((roll, pitch))), np.sin(np.radians((roll, pitch)))
    correction = np.array([(cp, sp * sr, sp * cr), (0, cr, -sr), (-sp, cp * sr, cp * cr)])  # Ry(pitch) Rx(roll)
    T = declared.mounting.copy()
    T[:3, :3] = correction @ T[:3, :3]
    T[2, 3] = height
    return replace(declared, T_ground_lidar=T)
