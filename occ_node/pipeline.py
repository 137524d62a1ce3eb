"""From a pair of messages to a processed frame: decode, calibrate, predict."""

from typing import NamedTuple

import numpy as np
from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from occ_core import Calibration, image_warnings
from occ_core.decode import ImageError
from occ_core.decode.cloud import decode_cloud
from occ_core.decode.image import decode_compressed_image, decode_image
from occ_core.ground import fit_ground
from occ_core.rig import KITTI_RIG, Rig
from occ_core.transforms import move_points
from occ_runtime import Predictor

from .calibration_source import CalibrationSource
from .counters import Counters
from .decoder_lines import DecoderLines
from .log import Log
from .outputs import Frame
from .parameters import Settings
from .sensing import Sensing
from .synchroniser import Pair
from .topics import POINTS


class _Cloud(NamedTuple):
    """points : (N, 4) in `frame`, None where the bundle is camera-only; stamp : of the outputs"""

    points: np.ndarray | None
    frame: str
    stamp: Time


class Pipeline:
    """One frame after the other, on one thread. Durations go to the predictor's profiler."""

    def __init__(
        self, predictor: Predictor, calibration: CalibrationSource, settings: Settings, counters: Counters, log: Log
    ):
        self._predictor, self._calibration = predictor, calibration
        self._settings, self._counters, self._log = settings, counters, log
        self.sensing = Sensing(Rig.at_height(settings.height), settings, log)
        self._decode_image = DecoderLines(decode_compressed_image, log) if settings.compressed else decode_image

    def process(self, pair: Pair) -> Frame:
        """Raises MessageError for a message that cannot be used, NoCalibration."""
        with self._predictor.profiler.stage("decode"):
            cloud = self._cloud(pair)
            image = self._decode_image(pair.image)
        camera_frame = pair.image.header.frame_id
        height, width = image.shape[:2]
        frame = self._settings.frame or cloud.frame
        T_frame_cloud = self._calibration.transform(frame, cloud.frame)
        points = None if cloud.points is None else move_points(cloud.points, T_frame_cloud)
        if points is not None:
            self.sensing.check_ground(points, T_frame_cloud[:3, 3], frame, cloud.stamp)
        T_grid_frame = self.sensing.rig.T_grid_lidar
        calibration = self._calibration.calibration(camera_frame, cloud.frame, (width, height), frame, T_grid_frame)
        if (width, height) != calibration.image_size:
            expected = "{}x{}".format(*calibration.image_size)
            raise ImageError(f"image: {width}x{height}, but its camera_info is for {expected}")
        for warning in image_warnings(image, self._predictor.bundle.preprocess):
            self._log.warn_once(f"image: {warning}")
        self.sensing.check_view(self._predictor.view_warnings(calibration))
        occupancy = self._predictor.predict(image, points, calibration)
        sensors = (T_grid_frame @ T_frame_cloud)[None, :3, 3]
        header = Header(stamp=cloud.stamp, frame_id=frame)
        return Frame(header, camera_frame, image, calibration, occupancy, sensors=sensors)

    def warm_up(self) -> Frame:
        """A made-up frame, so that compilation happens before the first real one."""
        T_cam_lidar = np.array([(0, -1, 0, 0), (0, 0, -1, 0), (1, 0, 0, 0), (0, 0, 0, 1)])
        P = np.array([(60, 0, 48, 0), (0, 60, 16, 0), (0, 0, 1, 0)])
        calibration = Calibration(P, T_cam_lidar, (96, 32))
        image = np.zeros((32, 96, 3), np.uint8)
        points = np.array([(10, 0, -1.7, 0.5), (11, 0, -1.7, 0.5)], np.float32)
        fit_ground(points, KITTI_RIG.T_ground_lidar, np.zeros(3))
        return Frame(Header(), "", image, calibration, self._predictor.predict(image, points, calibration))

    def _cloud(self, pair: Pair) -> "_Cloud":
        if pair.points is None:
            return _Cloud(None, self._settings.frame, pair.image.header.stamp)
        cloud = decode_cloud(pair.points, self.sensing.intensity(POINTS))
        self._counters.count("points_dropped", cloud.dropped)
        return _Cloud(cloud.points, pair.points.header.frame_id, pair.points.header.stamp)
