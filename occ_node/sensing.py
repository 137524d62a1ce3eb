"""What the clouds and the extrinsics say about the rig: ground, scale of the intensities, view into the grid."""

import time

import numpy as np
from builtin_interfaces.msg import Time

from occ_core.decode.cloud import Cloud, decode_cloud
from occ_core.decode.intensity import Intensity
from occ_core.ground import fit_ground
from occ_core.rig import Rig

from .ground_monitor import GroundMonitor
from .log import Log
from .parameters import ESTIMATED, Settings


class Sensing:
    """Fed by the worker's thread with every frame; `problems` and `values` are asked for by the executor's."""

    def __init__(self, settings: Settings, log: Log):
        self._declared = Rig.at_height(settings.height)
        self._ground = GroundMonitor(self._declared, settings.ground == ESTIMATED)
        self._intensity = Intensity()
        self._log = log
        self._frame, self._view = settings.frame, ""
        self._scale_logged = self._start_logged = False
        self._logged: set[str] = set()

    @property
    def rig(self) -> Rig:
        """Of the parameter `frame`: declared, or corrected by what was measured."""
        return self._ground.rig

    def decode(self, message) -> Cloud:
        """A PointCloud2, with the LiDAR's scale of intensity; see `decode_cloud`."""
        cloud = decode_cloud(message, self._intensity)
        if self._intensity.decided and not self._scale_logged:
            self._scale_logged = True
            self._log.info(f"points: intensities are divided by {self._intensity.scale:g}")
        return cloud

    def check_ground(self, points: np.ndarray, sensor: np.ndarray, frame: str, stamp: Time) -> None:
        """points : (N, 4) in `frame`; sensor : (3,) position of the LiDAR there; stamp : of the cloud"""
        seconds = stamp.sec + 1e-9 * stamp.nanosec or time.monotonic()
        self._frame = frame
        self._ground.add(seconds, fit_ground(points, self._declared.T_ground_lidar, sensor))
        if self.rig is not self._declared and not self._start_logged:
            self._start_logged = True
            self._log.info(f"ground: estimated from now on, {self.rig.T_ground_lidar[2, 3]:.2f} m below the frame")

    def check_view(self, warnings: list[str]) -> None:
        """warnings : `Predictor.view_warnings` of the newest frame"""
        self._view = "; ".join(warnings)

    def problems(self) -> list[str]:
        """One line for each; each goes to the log when it begins."""
        found = {
            "ground": self._ground.problem(self._frame),
            "intensity": self._intensity.problem,
            "view": self._view,
        }
        for name, text in found.items():
            if text and name not in self._logged:
                self._log.warn(text)
        self._logged = {name for name, text in found.items() if text}
        return [text for text in found.values() if text]

    def values(self) -> dict[str, str]:
        """For the diagnostics."""
        scale = f"{self._intensity.scale:g}" if self._intensity.decided else f"auto ({self._intensity.scale:g} so far)"
        return self._ground.values() | {"intensity_scale": scale}
