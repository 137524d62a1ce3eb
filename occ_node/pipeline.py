"""From a pair of messages to a processed frame: decode, calibrate, predict."""

from functools import partial

import numpy as np
from std_msgs.msg import Header

from occ_core import Calibration, image_warnings, shows_nothing
from occ_core.decode import ImageError, nanoseconds
from occ_core.decode.image import decode_compressed_image, decode_image
from occ_core.ground import fit_ground
from occ_core.rig import KITTI_RIG, Rig
from occ_core.transforms import move_points
from occ_runtime import Predictor

from .calibration_source import CalibrationSource, NoCalibration
from .clouds import Clouds
from .counters import Counters
from .decoder_lines import DecoderLines
from .log import Log
from .modes import LIDAR, mode_of
from .outputs import Frame
from .parameters import Settings
from .sensing import Sensing
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
        fallback: Predictor | None = None,
    ):
        """rig : declared, of the parameter `frame`
        fallback : answers pairs without a cloud where `predictor` needs one
        """
        self._predictor, self._calibration, self._fallback = predictor, calibration, fallback
        self._settings, self._log = settings, log
        self.sensing = Sensing(rig, settings, log)
        self._sweeps = Sweeps(clouds, calibration, self.sensing, settings, counters, log)
        self._last_frames = (settings.frame, settings.frame)
        """Of the newest sweep: that of the robot, and that of the LiDAR."""
        decompress = partial(decode_compressed_image, max_pixels=settings.max_image_pixels)
        self._decode_image = DecoderLines(decompress, log) if settings.compressed else decode_image

    def process(self, pair: Pair) -> Frame:
        """Raises MessageError for a message that cannot be used, NoCalibration."""
        with self._predictor.profiler.stage("decode"):
            sweep = self._sweep(pair)
            image = None if pair.image is None else self._decode_image(pair.image)
        if sweep.points is not None:
            self.sensing.check_ground(sweep.points, sweep.sensors[0], sweep.frame, sweep.stamp)
        T_grid_frame = self.sensing.rig.T_grid_lidar
        if image is None or (sweep.points is not None and shows_nothing(image)):
            image, camera_frame, predictor, mode = None, "", self._predictor, LIDAR
            calibration = Calibration.without_camera(T_grid_frame)
        else:
            camera_frame, mode = pair.image.header.frame_id, mode_of(pair)
            predictor = self._predictor if sweep.points is not None else self._fallback or self._predictor
            calibration = self._camera(pair.image.header, image, sweep)
            for warning in image_warnings(image, predictor.bundle.preprocess):
                self._log.warn_once(f"image: {warning}")
            self.sensing.check_view(predictor.view_warnings(calibration))
        occupancy = predictor.predict(image, sweep.points, calibration)
        header = Header(stamp=sweep.stamp, frame_id=sweep.frame)
        sensors = move_points(sweep.sensors, T_grid_frame)
        return Frame(header, camera_frame, image, calibration, occupancy, sensors=sensors, mode=mode)

    def warm_up(self) -> Frame:
        """A made-up frame, so that compilation happens before the first real one."""
        T_cam_lidar = np.array([(0, -1, 0, 0), (0, 0, -1, 0), (1, 0, 0, 0), (0, 0, 0, 1)])
        P = np.array([(60, 0, 48, 0), (0, 60, 16, 0), (0, 0, 1, 0)])
        calibration = Calibration(P, T_cam_lidar, (96, 32))
        image = np.zeros((32, 96, 3), np.uint8)
        points = np.array([(10, 0, -1.7, 0.5), (11, 0, -1.7, 0.5)], np.float32)
        shows_nothing(image)
        fit_ground(points, KITTI_RIG.mounting, np.zeros(3))
        if self._fallback is not None:
            self._fallback.predict(image, None, calibration)
        if self._predictor.bundle.needs_cloud:
            self._predictor.predict(None, points, Calibration.without_camera(np.eye(4)))
        return Frame(Header(), "", image, calibration, self._predictor.predict(image, points, calibration))

    def _sweep(self, pair: Pair) -> Sweep:
        """The merged clouds; without a cloud, an empty sweep in the frames of the last one."""
        if pair.points is not None:
            sweep = self._sweeps.merge(pair.points)
            self._last_frames = (sweep.frame, sweep.lidar_frame)
            return sweep
        frame, lidar_frame = self._last_frames
        if not frame:
            raise NoCalibration("no cloud came yet, and the parameter frame is empty: set it to the outputs' frame")
        return Sweep(None, frame, lidar_frame, pair.image.header.stamp, np.zeros((1, 3)))

    def _camera(self, header: Header, image: np.ndarray, sweep: Sweep) -> Calibration:
        """header : of the image. Raises ImageError where its size is not that of the camera_info, NoCalibration."""
        size = (image.shape[1], image.shape[0])
        stamp = nanoseconds(header.stamp) or None  # tf's newest transforms for a stamp of zero
        calibration = self._calibration.calibration(
            header.frame_id, sweep.lidar_frame, size, sweep.frame, self.sensing.rig.T_grid_lidar, stamp
        )
        if size != calibration.image_size:
            expected = "{}x{}".format(*calibration.image_size)
            raise ImageError(f"image: {size[0]}x{size[1]}, but its camera_info is for {expected}")
        return calibration
