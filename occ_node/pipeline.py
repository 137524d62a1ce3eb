"""From a pair of messages to a processed frame: decode, calibrate, predict."""

import numpy as np
from std_msgs.msg import Header

from occ_core import Calibration, image_warnings
from occ_core.decode import ImageError
from occ_core.decode.cloud import decode_cloud
from occ_core.decode.image import decode_compressed_image, decode_image
from occ_runtime import Predictor

from .calibration_source import CalibrationSource
from .counters import Counters
from .decoder_lines import DecoderLines
from .log import Log
from .outputs import Frame
from .parameters import Settings
from .synchroniser import Pair


class Pipeline:
    """One frame after the other, on one thread. Durations go to the predictor's profiler."""

    def __init__(
        self, predictor: Predictor, calibration: CalibrationSource, settings: Settings, counters: Counters, log: Log
    ):
        self._predictor, self._calibration = predictor, calibration
        self._settings, self._counters, self._log = settings, counters, log
        self._decode_image = DecoderLines(decode_compressed_image, log) if settings.compressed else decode_image

    def process(self, pair: Pair) -> Frame:
        """Raises MessageError for a message that cannot be used, NoCalibration."""
        with self._predictor.profiler.stage("decode"):
            points, header = self._cloud(pair)
            image = self._decode_image(pair.image)
        camera_frame = pair.image.header.frame_id
        height, width = image.shape[:2]
        calibration = self._calibration.calibration(camera_frame, header.frame_id, (width, height))
        if (width, height) != calibration.image_size:
            expected = "{}x{}".format(*calibration.image_size)
            raise ImageError(f"image: {width}x{height}, but its camera_info is for {expected}")
        for warning in image_warnings(image, self._predictor.bundle.preprocess):
            self._log.warn_once(f"image: {warning}")
        occupancy = self._predictor.predict(image, points, calibration)
        return Frame(header, camera_frame, image, calibration, occupancy)

    def warm_up(self) -> Frame:
        """A made-up frame, so that compilation happens before the first real one."""
        T_cam_lidar = np.array([(0, -1, 0, 0), (0, 0, -1, 0), (1, 0, 0, 0), (0, 0, 0, 1)])
        P = np.array([(60, 0, 48, 0), (0, 60, 16, 0), (0, 0, 1, 0)])
        calibration = Calibration(P, T_cam_lidar, (96, 32))
        image = np.zeros((32, 96, 3), np.uint8)
        points = np.array([(10, 0, -1.7, 0.5), (11, 0, -1.7, 0.5)], np.float32)
        return Frame(Header(), "", image, calibration, self._predictor.predict(image, points, calibration))

    def _cloud(self, pair: Pair) -> tuple[np.ndarray | None, Header]:
        """The points, None where the bundle is camera-only, and the header of the outputs."""
        if pair.points is None:
            return None, Header(stamp=pair.image.header.stamp, frame_id=self._settings.lidar_frame)
        cloud = decode_cloud(pair.points)
        self._counters.count("points_dropped", cloud.dropped)
        return cloud.points, pair.points.header
