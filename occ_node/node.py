"""The ROS 2 node: camera and LiDAR, or a camera alone, in; labelled voxels out.

The executor's thread keeps messages, one worker runs the network, one thread sends.
"""

import re
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import Header

from occ_core import Calibration, CalibrationError, image_warnings
from occ_core.calibration_file import read_calibration_file
from occ_core.decode import MessageError
from occ_core.decode.camera_info import decode_camera_info
from occ_core.decode.cloud import decode_cloud
from occ_core.decode.image import decode_compressed_image, decode_image
from occ_core.decode.transforms import matrix_from_transform
from occ_runtime import BackendError, Bundle, BundleError, Predictor, Profiler, find_bundle, load_backend

from .calibration_source import CalibrationSource, NoCalibration
from .counters import Counters
from .diagnostics import diagnostic_array
from .outputs import Frame, Outputs
from .parameters import ParameterError, declare_parameters, read_parameters
from .synchroniser import Pair, Synchroniser

try:  # on a host without ROS 2's own packages there is none
    from tf2_msgs.msg import TFMessage
except ImportError:
    TFMessage = None

_LATCHED = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_LOG_PERIOD = 5.0
_COMPARABLE_AGE = 60.0
"""Seconds: a stamp farther from the node's clock than this is of another clock (a bag without /clock)."""


class StartError(RuntimeError):
    """The node cannot be configured; one line that says why."""


class OccupancyNode(LifecycleNode):
    """Semantic occupancy from one camera and one LiDAR, or from a camera alone where the bundle needs no cloud."""

    def __init__(self):
        super().__init__("occ_node")
        declare_parameters(self)
        self.refused = ""
        self._logged: dict[str, float] = {}
        self._worker: threading.Thread | None = None
        self._predictor: Predictor | None = None

    # Life cycle

    @property
    def autostart(self) -> bool:
        """Whether the node is to start without a lifecycle manager."""
        return self.get_parameter("autostart").value

    def start(self) -> None:
        """Configure and activate. Raises StartError."""
        for transition in (self.trigger_configure, self.trigger_activate):
            if transition() != TransitionCallbackReturn.SUCCESS:
                raise StartError(self.refused or "the node could not be started")

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the bundle, the backend and the calibration file, prove the golden sample."""
        try:
            self._engine = ""
            self._settings = settings = read_parameters(self)
            file = settings.calibration_file
            rig = read_calibration_file(file, settings.camera) if file else None
            bundle = Bundle.load(find_bundle(settings.bundle))
            backend = load_backend(
                bundle, settings.backend, settings.threads or None, settings.precision, settings.engine_cache,
                say=self._on_engine, standby=True,
            )  # fmt: skip
            self._predictor = Predictor(bundle, backend)
            proof = self._predictor.self_test()
        except (ParameterError, CalibrationError, BundleError, BackendError) as error:
            self.refused = str(error)
            self.free()
            if not self.autostart:  # otherwise `main` says it
                self.get_logger().error(self.refused)
            return TransitionCallbackReturn.FAILURE
        self._calibration = CalibrationSource(rig, TFMessage is not None)
        self.get_logger().info(f"{settings}")
        self.get_logger().info(f"bundle {bundle.name}, backend {backend.description}; {proof}")
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Warm everything up, then subscribe."""
        start = time.perf_counter()
        self._outputs = Outputs(self, self._settings)
        self._warm_up()
        inputs = ("image", "points") if self._predictor.bundle.needs_cloud else ("image",)
        self._counters = Counters(inputs)
        self._predictor.profiler = self._profiler = Profiler()
        self._synchroniser = Synchroniser(self._settings.sync_tolerance, self._counters, inputs)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._reported, self._reported_at = self._counters.counts(), time.perf_counter()
        # On the steady clock, so that a bag's silent /clock does not silence the diagnostics.
        self._timer = self.create_timer(1.0, self._report, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._subscribe()
        self._publisher, self._sending = ThreadPoolExecutor(1, "occ_node publisher"), None
        self._worker = threading.Thread(target=self._work, name="occ_node worker", daemon=True)
        self._worker.start()
        self.get_logger().info(f"ready after a warm-up of {time.perf_counter() - start:.1f} s")
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Finish the frame in hand and leave all topics."""
        self.stop()
        for subscription in self._subscribed:
            self.destroy_subscription(subscription)
        self.destroy_timer(self._timer)
        self.destroy_publisher(self._diagnostics)
        self._outputs.destroy()
        return TransitionCallbackReturn.SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the network."""
        self.free()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """From any state."""
        self.stop()
        return TransitionCallbackReturn.SUCCESS

    def stop(self) -> None:
        """End the worker and the publisher after the frames in hand."""
        if self._worker is not None:
            self._synchroniser.close()
            self._worker.join(10)
            self._publisher.shutdown()
            self._worker = None

    def free(self) -> None:
        """Free the network and end a build that runs; the worker must have stopped."""
        if self._predictor is not None:
            self._predictor.backend.close()
            self._predictor = None

    def _warm_up(self) -> None:
        """One made-up frame through everything: compilation belongs before the first real frame."""
        T_cam_lidar = np.array([(0, -1, 0, 0), (0, 0, -1, 0), (1, 0, 0, 0), (0, 0, 0, 1)])
        calibration = Calibration([(60, 0, 48, 0), (0, 60, 16, 0), (0, 0, 1, 0)], T_cam_lidar, (96, 32))
        image = np.zeros((32, 96, 3), np.uint8)
        points = np.array([(10, 0, -1.7, 0.5), (11, 0, -1.7, 0.5)], np.float32)
        occupancy = self._predictor.predict(image, points, calibration)
        self._outputs.warm_up(Frame(Header(), "", image, calibration, occupancy))

    def _subscribe(self) -> None:
        sensor = qos_profile_sensor_data  # best effort: hears reliable publishers too
        kind = CompressedImage if self._settings.compressed else Image
        self._decode_image = decode_compressed_image if self._settings.compressed else decode_image
        self._subscribed = [
            self.create_subscription(kind, "image", lambda message: self._keep("image", message), sensor),
            self.create_subscription(CameraInfo, "camera_info", self._on_camera_info, sensor),
        ]
        if self._predictor.bundle.needs_cloud:
            self._subscribed.append(
                self.create_subscription(PointCloud2, "points", lambda message: self._keep("points", message), sensor)
            )
        if TFMessage is not None and not self._settings.calibration_file:
            self._subscribed += [
                self.create_subscription(TFMessage, "/tf_static", self._on_transforms, _LATCHED),
                self.create_subscription(TFMessage, "/tf", self._on_transforms, 100),
            ]

    # The executor's thread

    def _keep(self, source: str, message) -> None:
        self._counters.count(f"received.{source}")
        stamp = message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec
        if stamp == 0:
            # Nothing but the time of arrival is left to order and pair it by. The outputs keep the stamp of zero.
            stamp = self.get_clock().now().nanoseconds
            self._warn_once(f"{source}: stamp is zero; the time of arrival takes its place")
        self._synchroniser.add(source, message, stamp)

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._counters.count("received.camera_info")
        try:
            intrinsics = decode_camera_info(message)
        except MessageError as error:
            self._error("malformed.camera_info", str(error))
            return
        if intrinsics.distorted and intrinsics != self._calibration.intrinsics:
            self._warn_once("camera_info describes a distorted lens; `image` must be the rectified one")
        self._calibration.intrinsics = intrinsics

    def _on_transforms(self, message) -> None:
        for transform in message.transforms:
            try:
                T_parent_child = matrix_from_transform(transform.transform)
            except MessageError as error:
                self._error("malformed.tf", f"{error} ({transform.header.frame_id} to {transform.child_frame_id})")
                continue
            self._calibration.transforms.add(transform.header.frame_id, transform.child_frame_id, T_parent_child)

    def _report(self) -> None:
        bundle, counts, now = self._predictor.bundle, self._counters.counts(), time.perf_counter()
        facts = {
            "mode": "camera+lidar" if bundle.needs_cloud else "camera", "bundle": bundle.name,
            "model": f"{bundle.model} {bundle.size} {bundle.version}",
            "backend": self._predictor.backend.description, "engine": self._engine,
            "calibration": self._calibration.describe(),
        }  # fmt: skip
        stamp, latency = self.get_clock().now().to_msg(), self._profiler.summary()
        seconds = now - self._reported_at
        self._diagnostics.publish(
            diagnostic_array(stamp, self.get_fully_qualified_name(), facts, counts, self._reported, seconds, latency)
        )
        self._reported, self._reported_at = counts, now

    # The worker's thread

    def _work(self) -> None:
        while self.context.ok() and not self._synchroniser.closed:
            pair = self._synchroniser.take(timeout=0.5)
            if pair is None:
                continue
            try:
                self._process(pair)
            except MessageError as error:
                self._error(f"malformed.{str(error).partition(':')[0]}", str(error))
            except NoCalibration as error:
                self._error("no_calibration", str(error))
            except Exception as error:
                if not self.context.ok():  # the end came in the middle of a frame
                    return
                self._error("failed", f"frame failed: {type(error).__name__}: {error}")

    def _process(self, pair: Pair) -> None:
        if not self._outputs.wanted():
            self._counters.count("idle")
            return
        with self._profiler.stage("decode"):
            points, header = self._cloud_of(pair)
            image = self._decode_image(pair.image)
        camera_frame = pair.image.header.frame_id
        height, width = image.shape[:2]
        calibration = self._calibration.calibration(camera_frame, header.frame_id, (width, height))
        if (width, height) != calibration.image_size:
            expected = "{}x{}".format(*calibration.image_size)
            raise MessageError(f"image: {width}x{height}, but its camera_info speaks of {expected}")
        for doubt in image_warnings(image, self._predictor.bundle.preprocess):
            self._warn_once(f"image: {doubt}")
        occupancy = self._predictor.predict(image, points, calibration)
        # The next frame's network runs while this one is sent; at most one waits, so that nothing piles up.
        if self._sending is not None:
            self._sending.result()
        frame = Frame(header, camera_frame, image, calibration, occupancy)
        self._sending = self._publisher.submit(self._publish, frame, pair.arrival)

    def _cloud_of(self, pair: Pair) -> tuple[np.ndarray | None, Header]:
        """The points and their header; of a camera alone none, and the header that the voxels get in their stead."""
        if pair.points is None:
            return None, Header(stamp=pair.image.header.stamp, frame_id=self._settings.lidar_frame)
        cloud = decode_cloud(pair.points)
        self._counters.count("points_dropped", cloud.dropped)
        return cloud.points, pair.points.header

    # The publisher's thread

    def _publish(self, frame: Frame, arrival: float) -> None:
        try:
            with self._profiler.stage("publish"):
                self._outputs.publish(frame)
        except Exception as error:
            if self.context.ok():
                self._error("failed", f"publishing failed: {type(error).__name__}: {error}")
            return
        self._counters.count("published")
        self._profiler.record("total", time.perf_counter() - arrival)
        stamp = frame.header.stamp.sec + 1e-9 * frame.header.stamp.nanosec
        age = 1e-9 * self.get_clock().now().nanoseconds - stamp
        if abs(age) < _COMPARABLE_AGE:
            self._profiler.record("age", age)

    # All of them

    def _on_engine(self, text: str) -> None:
        """How a TensorRT build gets on, from its thread: to the log, and with the next diagnostics."""
        self._engine = text
        self.get_logger().info(text)

    def _error(self, reason: str, text: str) -> None:
        self._counters.error(reason, text)
        # Each text once a period; numbers in it do not make it another text.
        key, now = re.sub(r"\d+", "", text), time.monotonic()
        if now - self._logged.get(key, -np.inf) >= _LOG_PERIOD:
            self._logged[key] = now
            self.get_logger().error(text)

    def _warn_once(self, text: str) -> None:
        if text not in self._logged:
            self._logged[text] = time.monotonic()
            self.get_logger().warning(text)


def main(args: list[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM; 0 then, 1 where it refused to start (one line on stderr)."""
    try:
        rclpy.init(args=args)
    except RuntimeError as error:
        print(f"occ_node: {str(error).splitlines()[0]}", file=sys.stderr)
        return 1
    node = None
    try:
        node = OccupancyNode()
        if node.autostart:
            node.start()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        while rclpy.ok():
            # Not spin(): a signal wakes the executor before the context is shut down, and it may go back to sleep.
            executor.spin_once(timeout_sec=1.0)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except (StartError, ParameterError) as error:
        if rclpy.ok():
            print(f"occ_node: {error}", file=sys.stderr)
            return 1
    except Exception:
        if rclpy.ok():  # otherwise a signal took the context away under the hands of what failed
            raise
    finally:
        # `ros2 launch` and a terminal deliver SIGINT twice.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        if node is not None:
            node.stop()
            node.free()
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
