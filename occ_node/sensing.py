"""What the clouds and the extrinsics say about the rig: ground, scale of the intensities, view into the grid."""

import time

import numpy as np
from builtin_interfaces.msg import Time

from occ_core.decode.intensity import Intensity
from occ_core.errors import quoted
from occ_core.ground import fit_ground
from occ_core.rig import Rig, read_rig

from .ground_monitor import GroundMonitor
from .log import Log
from .parameters import ESTIMATED, Settings
from .topics import POINTS


class Sensing:
    """Fed by the worker's thread with every frame; `problems` and `values` are asked for by the executor's."""

    def __init__(self, declared: Rig, settings: Settings, log: Log):
        """declared : of the parameter `frame`"""
        by_rig = bool(settings.rig) and read_rig(settings.rig).T_ground_lidar is not None
        self._declared, self._log = declared, log
        self._ground = GroundMonitor(declared, settings.ground == ESTIMATED, by_rig)
        self._intensities: dict[str, Intensity] = {}
        self._frame, self._view = settings.frame, ""
        self._started = False
        self._scales_logged: set[str] = set()
        self._logged: set[str] = set()

    @property
    def rig(self) -> Rig:
        """Of the parameter `frame`: declared, or corrected by what was measured."""
        return self._ground.rig

    def intensity(self, topic: str) -> Intensity:
        """Of the clouds of one topic, for `decode_cloud`; asked for with each cloud."""
        intensity = self._intensities.setdefault(topic, Intensity(self._declared.intensity_scale))
        if intensity.decided and topic not in self._scales_logged:
            self._scales_logged.add(topic)
            self._log.info(f"{topic}: intensities are divided by {intensity.scale:g}")
        return intensity

    def check_ground(self, points: np.ndarray, sensor: np.ndarray, frame: str, stamp: Time) -> None:
        """points : (N, 4) in `frame`; sensor : (3,) position of the LiDAR there; stamp : of the cloud"""
        seconds = stamp.sec + 1e-9 * stamp.nanosec or time.monotonic()
        self._frame = frame
        self._ground.add(seconds, fit_ground(points, self._declared.mounting, sensor))
        if self.rig is not self._declared and not self._started:
            self._started = True
            height = f"{self.rig.mounting[2, 3]:.2f} m"
            self._log.info(f"ground: estimated from now on; the origin of frame {quoted(frame)} is {height} above it")

    def check_view(self, warnings: list[str]) -> None:
        """warnings : `Predictor.view_warnings` of the newest frame"""
        self._view = "; ".join(warnings)

    def problems(self) -> list[str]:
        """One line for each; each goes to the log when it begins."""
        found = {"ground": self._ground.problem(self._frame), "view": self._view}
        found |= {topic: intensity.problem for topic, intensity in list(self._intensities.items())}
        for name, text in found.items():
            if text and name not in self._logged:
                self._log.warn(text)
        self._logged = {name for name, text in found.items() if text}
        return [text for text in found.values() if text]

    def values(self) -> dict[str, str]:
        """For the diagnostics."""
        values = self._ground.values()
        for topic, intensity in list(self._intensities.items()):
            key = "intensity_scale" if topic == POINTS else f"intensity_scale.{topic}"
            values[key] = f"{intensity.scale:g}" + ("" if intensity.decided else " so far")
        return values
