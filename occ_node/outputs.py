"""The node's output topics."""

from dataclasses import dataclass

import numpy as np
from nav_msgs.msg import OccupancyGrid
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Header, UInt8MultiArray
from visualization_msgs.msg import MarkerArray

from occ_core import Calibration, Occupancy
from occ_core.occupancy import birds_eye_view, occupied_voxels, visible_voxels, voxel_positions
from occ_core.overlay import draw_overlay

from .messages.markers import marker_array_cdr
from .messages.output import occupancy_grid, rgb_image, semantic_grid, voxel_cloud_cdr
from .parameters import Settings

_NEWEST = QoSProfile(depth=1)  # reliable: suits subscribers that ask for it and those that do not
_MAP = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)  # as nav2 asks of a map


@dataclass(frozen=True, eq=False)
class Frame:
    """What was seen and what came of it. header : stamp of the cloud (of the image where there is none), LiDAR frame;
    camera_frame : of the image
    """

    header: Header
    camera_frame: str
    image: np.ndarray
    calibration: Calibration
    occupancy: Occupancy


class Outputs:
    """Publishers below the node's own name; a message is only made where somebody listens."""

    def __init__(self, node, settings: Settings):
        self._settings = settings
        self._node = node
        topics = (
            ("semantic_grid", UInt8MultiArray, _NEWEST, self._semantic_grid),
            ("voxels", PointCloud2, _NEWEST, self._voxels),
            ("markers", MarkerArray, _NEWEST, self._markers),
            ("grid", OccupancyGrid, _MAP, self._grid),
            ("overlay", Image, _NEWEST, self._overlay),
        )
        self._topics = [(node.create_publisher(kind, f"~/{name}", qos), make) for name, kind, qos, make in topics]

    def wanted(self) -> bool:
        """Whether anybody listens to anything."""
        return any(publisher.get_subscription_count() for publisher, _ in self._topics)

    def publish(self, frame: Frame) -> None:
        """All that is listened to, the dense data first."""
        for publisher, make in self._topics:
            if publisher.get_subscription_count():
                publisher.publish(make(frame))

    def warm_up(self, frame: Frame) -> None:
        """Make one of each, so that everything is compiled."""
        for _, make in self._topics:
            make(frame)

    def destroy(self) -> None:
        """Take the topics down."""
        for publisher, _ in self._topics:
            self._node.destroy_publisher(publisher)

    def _semantic_grid(self, frame: Frame) -> UInt8MultiArray:
        return semantic_grid(frame.occupancy.labels)

    def _voxels(self, frame: Frame) -> bytes:
        return voxel_cloud_cdr(frame.header, frame.occupancy)

    def _markers(self, frame: Frame) -> bytes:
        labels, grid = frame.occupancy.labels, frame.occupancy.grid
        flat = (occupied_voxels if self._settings.markers_all else visible_voxels)(labels)
        return marker_array_cdr(frame.header, voxel_positions(flat, grid), labels.reshape(-1)[flat], grid.voxel_size)

    def _grid(self, frame: Frame) -> OccupancyGrid:
        occupancy = frame.occupancy
        view = birds_eye_view(occupancy.labels, occupancy.grid, self._settings.drivable, self._settings.clearance)
        return occupancy_grid(frame.header, view, occupancy.grid)

    def _overlay(self, frame: Frame) -> Image:
        picture = draw_overlay(frame.image, frame.occupancy, frame.calibration, self._settings.overlay_opacity)
        return rgb_image(Header(stamp=frame.header.stamp, frame_id=frame.camera_frame), picture)
