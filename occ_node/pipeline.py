"""From a pair of messages to a processed frame: decode, calibrate, predict."""

import numpy as np
from std_msgs.msg import Header

from occ_core import Calibration, image_warnings
from occ_core.decode import ImageError, nanoseconds
from occ_core.decode.image import decode_compressed_image, decode_image
from occ_core.rig import Rig
from occ_core.transforms import move_points
from occ_runtime import Predictor

from .calibration_source import CalibrationSource
from .clouds import Clouds
from .counters import Counters
from .decoder_lines import DecoderLines
from .log import Log
from .outputs import Frame
from .parameters import Settings
from .sweeps import Sweep, Sweeps
from .synchroniser import Pair


class Pipeline:
    """One frame after the other, on one thread. Durations go to the predictor's profiler."""

    def __init__(
        self,
        predictor: Predictor,
        calibration: CalibrationSource,
        settings: Settings,
        rig: Rig,
        counters: Counters,
        log: Log,
        clouds: Clouds,
    ):
        """rig : says where the points' frame, the parameter `frame`, is above the ground"""
        self._predictor, self._calibration, self._rig = predictor, calibration, rig
        self._settings, self._log = settings, log
        self._sweeps = Sweeps(clouds, calibration, settings, counters, log)
        self._decode_image = DecoderLines(decode_compressed_image, log) if settings.compressed else decode_image

    def process(self, pair: Pair) -> Frame:
        """Raises MessageError for a message that cannot be used, NoCalibration."""
        with self._predictor.profiler.stage("decode"):
            sweep = self._sweep(pair)
            image = self._decode_image(pair.image)
        camera_frame = pair.image.header.frame_id
        height, width = image.shape[:2]
        T_grid_frame = self._rig.T_grid_lidar
        stamp = nanoseconds(pair.image.header.stamp) or None  # tf's newest transforms for a stamp of zero
        calibration = self._calibration.calibration(
            camera_frame, sweep.lidar_frame, (width, height), sweep.frame, T_grid_frame, stamp
        )
        if (width, height) != calibration.image_size:
            expected = "{}x{}".format(*calibration.image_size)
            raise ImageError(f"image: {width}x{height}, but its camera_info is for {expected}")
        for warning in image_warnings(image, self._predictor.bundle.preprocess):
            self._log.warn_once(f"image: {warning}")
        occupancy = self._predictor.predict(image, sweep.points, calibration)
        header = Header(stamp=sweep.stamp, frame_id=sweep.frame)
        sensors = move_points(sweep.sensors, T_grid_frame)
        return Frame(header, camera_frame, image, calibration, occupancy, sensors=sensors)

    def warm_up(self) -> Frame:
        """A made-up frame, so that compilation happens before the first real one."""
        T_cam_lidar = np.array([(0, -1, 0, 0), (0, 0, -1, 0), (1, 0, 0, 0), (0, 0, 0, 1)])
        P = np.array([(60, 0, 48, 0), (0, 60, 16, 0), (0, 0, 1, 0)])
        calibration = Calibration(P, T_cam_lidar, (96, 32))
        image = np.zeros((32, 96, 3), np.uint8)
        points = np.array([(10, 0, -1.7, 0.5), (11, 0, -1.7, 0.5)], np.float32)
        return Frame(Header(), "", image, calibration, self._predictor.predict(image, points, calibration))

    def _sweep(self, pair: Pair) -> Sweep:
        if pair.points is not None:
            return self._sweeps.merge(pair.points)
        frame = self._settings.frame
        return Sweep(None, frame, frame, pair.image.header.stamp, np.zeros((1, 3)))
