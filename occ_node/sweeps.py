"""From the leading cloud, and those that join it, to the points of one sweep in the robot's frame."""

from typing import NamedTuple

import numpy as np
from builtin_interfaces.msg import Time

from occ_core.decode import CloudError, nanoseconds
from occ_core.decode.cloud import decode_cloud
from occ_core.deskew import deskew
from occ_core.transforms import move_points

from .calibration_source import CalibrationSource, NoCalibration
from .clouds import CloudMessage, Clouds
from .counters import MOTION_EXTRAPOLATED, MOTION_MISSING, Counters, Drop, clouds_missing
from .log import Log
from .parameters import Settings
from .sensing import Sensing


class Sweep(NamedTuple):
    """points : (N, 4) float32 x, y, z, intensity in `frame`; None with a camera-only bundle
    frame : of the robot; lidar_frame : of the first topic's clouds, from which the extrinsics of a file lead
    stamp : of the leading cloud; sensors : (S, 3) where the LiDARs are, in `frame`, the leading one first
    """

    points: np.ndarray | None
    frame: str
    lidar_frame: str
    stamp: Time
    sensors: np.ndarray


class Sweeps:
    """Decodes, deskews and merges clouds, each moved to the robot's frame at the leading cloud's stamp.

    With the parameter `odom_frame` the motion between a point's own time and that stamp comes from tf; without it, and
    where tf does not know it, points stay as they were measured. On one thread.
    """

    def __init__(
        self,
        clouds: Clouds,
        calibration: CalibrationSource,
        sensing: Sensing,
        settings: Settings,
        counters: Counters,
        log: Log,
    ):
        self._clouds, self._calibration, self._sensing = clouds, calibration, sensing
        self._settings = settings
        self._counters, self._log = counters, log

    def merge(self, leading: CloudMessage) -> Sweep:
        """Raises CloudError and NoCalibration for the leading cloud; others that cannot be used are left out."""
        first_frame = self._clouds.first_frame() or leading.message.header.frame_id
        frame = self._settings.frame or first_frame
        joining, missing = self._clouds.joining(leading)
        parts = [self._part(leading, leading, frame)]
        for cloud in joining:
            try:
                parts.append(self._part(cloud, leading, frame))
            except CloudError as error:
                self._counters.error(Drop.MALFORMED_POINTS, f"{cloud.topic}: {error}")
                missing.append(cloud.topic)
            except NoCalibration as error:
                self._counters.error(Drop.NO_CALIBRATION, f"{cloud.topic}: {error}")
                missing.append(cloud.topic)
        for topic in missing:
            self._counters.count(clouds_missing(topic))
        points = np.concatenate([points for points, _ in parts]) if len(parts) > 1 else parts[0][0]
        sensors = np.stack([position for _, position in parts])
        return Sweep(points, frame, first_frame, leading.message.header.stamp, sensors)

    def _part(self, cloud: CloudMessage, leading: CloudMessage, frame: str) -> tuple[np.ndarray, np.ndarray]:
        """The points (N, 4) and the LiDAR (3,) in `frame` at the leading stamp."""
        header, odom = cloud.message.header, self._settings.odom_frame
        stamp, target = (nanoseconds(c.message.header.stamp) or None for c in (cloud, leading))
        decoded = decode_cloud(cloud.message, self._sensing.intensity(cloud.topic), times=bool(odom))
        self._counters.count("points_dropped", decoded.dropped)
        points, T = decoded.points, self._calibration.transform(frame, header.frame_id, stamp)
        if odom and stamp and target:
            if decoded.times is None:
                self._log.warn_once(f"{cloud.topic}: its clouds have no per-point time; they are not deskewed")
            else:
                points = self._deskewed(points, decoded.times, header.frame_id, stamp)
            if stamp != target:
                T = self._moved(frame, stamp, target) @ T
        return move_points(points, T), T[:3, 3]

    def _deskewed(self, points: np.ndarray, times: np.ndarray, frame: str, stamp: int) -> np.ndarray:
        beyond = [0.0]

        def pose_at(time: float) -> np.ndarray | None:
            found = self._calibration.pose(self._settings.odom_frame, frame, stamp + round(time * 1e9))
            beyond.append(found.beyond)
            return found.T

        moved = deskew(points, times, pose_at)
        self._count(moved is not None, max(beyond))
        return points if moved is None else moved

    def _moved(self, frame: str, stamp: int, target: int) -> np.ndarray:
        """(4, 4) from the robot's frame at one time to that at another; the identity where it is not known."""
        then, now = (self._calibration.pose(self._settings.odom_frame, frame, at) for at in (stamp, target))
        self._count(then.T is not None and now.T is not None, max(then.beyond, now.beyond))
        return np.eye(4) if then.T is None or now.T is None else np.linalg.inv(now.T) @ then.T

    def _count(self, known: bool, beyond: float) -> None:
        if not known:
            self._counters.count(MOTION_MISSING)
            self._log.warn_once("odom_frame: tf does not have it at the clouds' stamps; they are used as measured")
        elif beyond > 0:
            self._counters.count(MOTION_EXTRAPOLATED)
