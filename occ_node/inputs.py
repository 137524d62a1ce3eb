"""The node's subscriptions."""

from functools import partial

from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from occ_core.decode import CameraInfoError, TransformError, nanoseconds
from occ_core.decode.camera_info import decode_camera_info

from .calibration_source import CalibrationSource
from .clouds import CloudMessage, Clouds
from .connections import TF_STATIC, Connections
from .counters import Counters, Drop
from .gaps import Gaps
from .log import Log
from .parameters import Settings
from .synchroniser import Synchroniser
from .topics import CAMERA_INFO, IMAGE, POINTS

try:  # only there with ROS 2's own packages
    from tf2_msgs.msg import TFMessage
except ImportError:
    TFMessage = None

_STATIC_TF = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Inputs:
    """Image, cloud, intrinsics and tf. The callbacks run on the executor's thread and only store what they get."""

    def __init__(
        self,
        node,
        settings: Settings,
        synchroniser: Synchroniser,
        calibration: CalibrationSource,
        counters: Counters,
        log: Log,
        clouds: Clouds,
    ):
        """synchroniser : gets the images, and the leading clouds if clouds are among its inputs; clouds : gets all
        clouds; calibration : gets the rest
        """
        self._node, self._synchroniser = node, synchroniser
        self._calibration, self._counters, self._log = calibration, counters, log
        self._clouds = clouds
        topics = clouds.topics if POINTS in synchroniser.inputs else ()
        self._gaps = {name: Gaps() for name in (IMAGE, *topics)}
        sensor = qos_profile_sensor_data  # best effort: receives from reliable publishers too
        image = CompressedImage if settings.compressed else Image
        self._subscriptions = {
            IMAGE: node.create_subscription(image, IMAGE, self._on_image, sensor),
            CAMERA_INFO: node.create_subscription(CameraInfo, CAMERA_INFO, self._on_camera_info, sensor),
        }
        for topic in topics:
            self._subscriptions[topic] = node.create_subscription(
                PointCloud2, topic, partial(self._on_cloud, topic), sensor
            )
        if TFMessage is not None:
            fixed, moving = partial(self._on_transforms, static=True), partial(self._on_transforms, static=False)
            self._subscriptions |= {
                TF_STATIC: node.create_subscription(TFMessage, TF_STATIC, fixed, _STATIC_TF),
                "/tf": node.create_subscription(TFMessage, "/tf", moving, 100),
            }
        self.connections = Connections(
            node, self._subscriptions, calibration, settings.frame, log, clouds=clouds.topics
        )

    def destroy(self) -> None:
        """Destroy the subscriptions."""
        for subscription in self._subscriptions.values():
            self._node.destroy_subscription(subscription)

    def _on_image(self, message) -> None:
        self._synchroniser.add(IMAGE, message, self._stamp(IMAGE, message))

    def _on_cloud(self, topic: str, message) -> None:
        cloud = CloudMessage(topic, message, self._stamp(topic, message))
        if self._clouds.add(cloud, self._gaps[topic].period):
            self._synchroniser.add(POINTS, cloud, cloud.stamp)

    def _stamp(self, source: str, message) -> int:
        """Of a message that came, ns; counts it and those lost before it."""
        self._counters.count(f"received.{source}")
        self.connections.heard(source, message.header.frame_id)
        stamp = nanoseconds(message.header.stamp)
        if stamp == 0:
            # Only the time of arrival is left to order and pair the message by. The outputs keep the stamp of zero.
            stamp = self._node.get_clock().now().nanoseconds
            self._log.warn_once(f"{source}: stamp is zero; the time of arrival is used instead")
        else:
            self._counters.count(f"lost.{source}", self._gaps[source].lost(stamp))
        return stamp

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._counters.count(f"received.{CAMERA_INFO}")
        self.connections.heard(CAMERA_INFO, message.header.frame_id)
        try:
            intrinsics = decode_camera_info(message)
        except CameraInfoError as error:
            self._counters.error(Drop.MALFORMED_CAMERA_INFO, str(error))
            return
        if intrinsics.distorted and intrinsics != self._calibration.intrinsics:
            self._log.warn_once("camera_info describes a distorted lens; `image` must be the rectified one")
        self._calibration.intrinsics = intrinsics

    def _on_transforms(self, message, static: bool) -> None:
        for transform in message.transforms:
            try:
                self._calibration.add_transform(transform, static)
            except TransformError as error:
                self._counters.error(Drop.MALFORMED_TF, str(error))
