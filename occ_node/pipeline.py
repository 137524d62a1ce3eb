"""From a pair of messages to a processed frame: decode, calibrate, predict."""

from typing import NamedTuple

import numpy as np
from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from occ_core import Calibration, image_warnings, shows_nothing
from occ_core.decode import ImageError
from occ_core.decode.cloud import decode_cloud
from occ_core.decode.image import decode_compressed_image, decode_image
from occ_core.rig import Rig
from occ_core.transforms import move_points
from occ_runtime import Predictor

from .calibration_source import CalibrationSource, NoCalibration
from .counters import Counters
from .decoder_lines import DecoderLines
from .log import Log
from .modes import LIDAR, mode_of
from .outputs import Frame
from .parameters import Settings
from .synchroniser import Pair


class _Cloud(NamedTuple):
    """points : (N, 4) in `frame`, None without one; frame : then that of the last one; stamp : of the outputs"""

    points: np.ndarray | None
    frame: str
    stamp: Time


class Pipeline:
    """One frame after the other, on one thread. Durations go to the predictor's profiler."""

    def __init__(
        self,
        predictor: Predictor,
        calibration: CalibrationSource,
        settings: Settings,
        counters: Counters,
        log: Log,
        fallback: Predictor | None = None,
    ):
        """fallback : answers pairs without a cloud where `predictor` needs one"""
        self._predictor, self._calibration, self._fallback = predictor, calibration, fallback
        self._cloud_frame = ""
        """Of the last cloud."""
        self._settings, self._counters, self._log = settings, counters, log
        self._decode_image = DecoderLines(decode_compressed_image, log) if settings.compressed else decode_image

    def process(self, pair: Pair) -> Frame:
        """Raises MessageError for a message that cannot be used, NoCalibration."""
        with self._predictor.profiler.stage("decode"):
            cloud = self._cloud(pair)
            image = None if pair.image is None else self._decode_image(pair.image)
        frame = self._settings.frame or cloud.frame
        T_grid_frame = Rig.at_height(self._settings.height).T_grid_lidar
        T_frame_cloud = self._calibration.transform(frame, cloud.frame)
        points = None if cloud.points is None else move_points(cloud.points, T_frame_cloud)
        if image is None or (points is not None and shows_nothing(image)):
            image, camera_frame, predictor, mode = None, "", self._predictor, LIDAR
            calibration = Calibration.without_camera(T_grid_frame)
        else:
            camera_frame, mode = pair.image.header.frame_id, mode_of(pair)
            predictor = self._predictor if points is not None else self._fallback or self._predictor
            height, width = image.shape[:2]
            calibration = self._calibration.calibration(camera_frame, cloud.frame, (width, height), frame, T_grid_frame)
            _check_size((width, height), calibration)
            for warning in image_warnings(image, predictor.bundle.preprocess):
                self._log.warn_once(f"image: {warning}")
        occupancy = predictor.predict(image, points, calibration)
        sensors = (T_grid_frame @ T_frame_cloud)[None, :3, 3]
        header = Header(stamp=cloud.stamp, frame_id=frame)
        return Frame(header, camera_frame, image, calibration, occupancy, sensors=sensors, mode=mode)

    def warm_up(self) -> Frame:
        """A made-up frame, so that compilation happens before the first real one."""
        T_cam_lidar = np.array([(0, -1, 0, 0), (0, 0, -1, 0), (1, 0, 0, 0), (0, 0, 0, 1)])
        P = np.array([(60, 0, 48, 0), (0, 60, 16, 0), (0, 0, 1, 0)])
        calibration = Calibration(P, T_cam_lidar, (96, 32))
        image = np.zeros((32, 96, 3), np.uint8)
        points = np.array([(10, 0, -1.7, 0.5), (11, 0, -1.7, 0.5)], np.float32)
        shows_nothing(image)
        if self._fallback is not None:
            self._fallback.predict(image, None, calibration)
        if self._predictor.bundle.needs_cloud:
            self._predictor.predict(None, points, Calibration.without_camera(np.eye(4)))
        return Frame(Header(), "", image, calibration, self._predictor.predict(image, points, calibration))

    def _cloud(self, pair: Pair) -> "_Cloud":
        if pair.points is None:
            frame = self._cloud_frame or self._settings.frame
            if not frame:
                raise NoCalibration("no cloud came yet, and the parameter frame is empty: set it to the outputs' frame")
            return _Cloud(None, frame, pair.image.header.stamp)
        self._cloud_frame = pair.points.header.frame_id
        cloud = decode_cloud(pair.points)
        self._counters.count("points_dropped", cloud.dropped)
        return _Cloud(cloud.points, pair.points.header.frame_id, pair.points.header.stamp)


def _check_size(size: tuple[int, int], calibration: Calibration) -> None:
    if size != calibration.image_size:
        expected = "{}x{}".format(*calibration.image_size)
        raise ImageError(f"image: {size[0]}x{size[1]}, but its camera_info is for {expected}")
