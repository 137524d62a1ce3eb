"""Which sensors the frames are made of: for `~/mode`, the log and the diagnostics."""

import threading

from std_msgs.msg import String

from . import topics
from .log import Log
from .outputs import LATCHED
from .synchroniser import Pair

BOTH, CAMERA, LIDAR = "camera+lidar", "camera", "lidar"
MODES = (BOTH, CAMERA, LIDAR)
_WHY = {
    BOTH: "camera and LiDAR are back",
    CAMERA: "points is silent: frames are made by the fallback bundle, of the camera only",
    LIDAR: "image is silent or shows nothing: frames are made without the camera",
}


def mode_of(pair: Pair) -> str:
    """What the pair holds."""
    return LIDAR if pair.image is None else CAMERA if pair.points is None else BOTH


class Modes:
    """The mode of the newest frame, how often it changed, and frames per mode. Safe between threads."""

    def __init__(self, node, usual: str, log: Log):
        """usual : the mode that all sensors of the bundle make; any other is a degraded one"""
        self._node, self._usual, self._log = node, usual, log
        self._lock = threading.Lock()
        self._mode, self._switches = usual, 0
        self._frames = dict.fromkeys(MODES if usual == BOTH else (usual,), 0)
        self._publisher = node.create_publisher(String, f"~/{topics.MODE.name}", LATCHED)
        self._publisher.publish(String(data=usual))

    def enter(self, mode: str) -> None:
        """The mode of the frame that comes next; one that changes is published and logged."""
        with self._lock:
            if mode == self._mode:
                return
            self._mode, self._switches = mode, self._switches + 1
        self._publisher.publish(String(data=mode))
        self._log.change(f"mode {mode}: {_WHY[mode]}", bad=mode != self._usual)

    def answered(self, mode: str) -> None:
        """A frame of a mode was published."""
        with self._lock:
            self._frames[mode] += 1

    def degraded(self) -> str:
        """One line while a sensor is missing, else nothing."""
        with self._lock:
            return "" if self._mode == self._usual else _WHY[self._mode]

    def values(self) -> dict[str, str]:
        """For the diagnostics: mode, mode_switches and frames.<mode>."""
        with self._lock:
            frames = {f"frames.{mode}": str(number) for mode, number in self._frames.items()}
            return {"mode": self._mode, "mode_switches": str(self._switches)} | frames

    def destroy(self) -> None:
        """Destroy the publisher."""
        self._node.destroy_publisher(self._publisher)
