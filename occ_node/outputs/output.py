"""What an output topic consists of."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import Header

from occ_core import Calibration, Occupancy
from occ_core.local_ground import ground_heights
from occ_core.rolling_map import RollingMap

from ..parameters import Settings

NEWEST = QoSProfile(depth=1)
"""Reliable: reaches subscribers that ask for reliable messages and those that do not."""
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""As NEWEST, and late subscribers get the last message; nav2 expects this of a map."""


class MapView:
    """The rolling map with one frame added, until the next one is: read once for all outputs that are made of it."""

    def __init__(self, header: Header, rolling_map: RollingMap):
        """header : stamp of the frame; `map_frame`"""
        self.header = header
        self._rolling_map = rolling_map

    @cached_property
    def occupancy(self) -> Occupancy:
        """In the frame of the header."""
        return self._rolling_map.occupancy()


@dataclass(frozen=True, eq=False)
class Frame:
    """One processed frame, from which each output makes its message.

    header : stamp of the cloud (camera only: of the image); the frame that the parameter `frame` names
    calibration : of the camera, and of the grid, from the header's frame
    sensors : (S, 3) where the LiDARs are, metres in the grid frame
    camera_frame : of the image; image : (H, W, 3) uint8 RGB of the calibration's size, None without the camera
    mode : which sensors it is made of, see modes.py
    lifetime : seconds after which a display drops what it shows of this frame; a few frame periods
    map : with this frame; None where no `map_frame` is set, or tf does not lead to it
    """

    header: Header
    camera_frame: str
    image: np.ndarray | None
    calibration: Calibration
    occupancy: Occupancy
    lifetime: float = 1.0
    sensors: np.ndarray = field(default_factory=lambda: np.zeros((1, 3)))
    map: MapView | None = None
    mode: str = "camera+lidar"

    @property
    def T_frame_grid(self) -> np.ndarray:
        """(4, 4) grid frame, in which the voxels are, -> the header's frame."""
        return np.linalg.inv(self.calibration.T_grid_lidar)

    @cached_property
    def ground(self) -> np.ndarray:
        """(X, Y) float32 metres: height of the local ground of each column in the grid frame."""
        return ground_heights(self.occupancy.labels, self.occupancy.grid)


@dataclass(frozen=True, eq=False)
class Output:
    """One topic that the node publishes.

    name : below the node's own name, `~/<name>`; message : the message class
    make : (frame, settings) -> a message, the message serialised as CDR bytes, or None where this frame has nothing to
        publish; called only while the topic has subscribers or where it is latched, on the publisher's thread
    of_map : made of `Frame.map`, and published after the others: they do not wait until the frame is in the map
    clear : published when the node is deactivated, for displays that keep what they got; None to publish nothing
    """

    name: str
    message: type
    qos: QoSProfile
    make: Callable[[Frame, Settings], Any]
    clear: Any = None
    of_map: bool = False

    @property
    def latched(self) -> bool:
        """Whether late subscribers get the last message."""
        return self.qos.durability == DurabilityPolicy.TRANSIENT_LOCAL
