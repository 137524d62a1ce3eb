"""The rolling map of a running node: each answered frame at the robot's pose from tf."""

from dataclasses import replace

from std_msgs.msg import Header

from occ_core.decode import nanoseconds
from occ_core.errors import quoted
from occ_core.rolling_map import RollingMap

from .calibration_source import CalibrationSource
from .log import Log
from .outputs import Frame, MapView
from .parameters import Settings


class MapSource:
    """Adds frames to the map, on the publisher's thread: by then tf has had the time of the network to arrive."""

    def __init__(self, settings: Settings, calibration: CalibrationSource, log: Log):
        self.settings = settings
        """May be replaced at any time; a new `map_decay` applies from the next frame on."""
        self._calibration, self._log = calibration, log
        self._map: RollingMap | None = None
        self._problem, self._restarts = "", 0

    def problems(self) -> list[str]:
        """Why there is no map though one is wanted, for the diagnostics."""
        return [self._problem] if self._problem else []

    def describe(self) -> str:
        """One line for the diagnostics."""
        settings = self.settings
        if not settings.map_frame:
            return "none"
        return f"{settings.map_size:g} m in {settings.map_frame}, started anew {self._restarts} times"

    def add(self, frame: Frame) -> Frame:
        """The frame with the map; without one where no `map_frame` is set, or the pose is not known."""
        map_frame, source = self.settings.map_frame, frame.header.frame_id
        if not map_frame:
            return frame
        if source == map_frame:
            self._problem = "map: map_frame is the frame of the outputs; expected one that stays, such as odom"
            return frame
        stamp = frame.header.stamp
        pose = self._calibration.pose(map_frame, source, nanoseconds(stamp) or None)
        if pose.T is None:
            self._problem = f"map: no transform from {quoted(source)} to {quoted(map_frame)}: {pose.why}"
            return frame
        self._problem = ""
        if self._map is None:
            self._map = RollingMap(frame.occupancy.grid, self.settings.map_size, self.settings.map_decay)
        self._map.decay = self.settings.map_decay
        seconds = stamp.sec + 1e-9 * stamp.nanosec
        if reason := self._map.update(frame.occupancy, pose.T @ frame.T_frame_grid, frame.sensors, seconds):
            self._restarts += 1
            self._log.warn(f"map: starts anew: {reason}")
        return replace(frame, map=MapView(Header(stamp=stamp, frame_id=map_frame), self._map))

    def warm_up(self, frame: Frame) -> Frame:
        """A made-up frame with a map that is not kept, so that everything is compiled."""
        if not self.settings.map_frame:
            return frame
        rolling_map = RollingMap(frame.occupancy.grid, self.settings.map_size, self.settings.map_decay)
        rolling_map.update(frame.occupancy, frame.T_frame_grid, frame.sensors, 0.0)
        return replace(frame, map=MapView(frame.header, rolling_map))
