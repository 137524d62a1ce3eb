"""The node's topics, for every process that uses them. Importing this file needs no ROS."""

import importlib
from typing import NamedTuple

IMAGE = "image"
POINTS = "points"
CAMERA_INFO = "camera_info"
DIAGNOSTICS = "/diagnostics"


class Topic(NamedTuple):
    """An output: its name below the node's own, and its message type."""

    name: str
    type: str


SEMANTIC_GRID = Topic("semantic_grid", "std_msgs/msg/UInt8MultiArray")
VOXELS = Topic("voxels", "sensor_msgs/msg/PointCloud2")
MARKERS = Topic("markers", "visualization_msgs/msg/MarkerArray")
GRID = Topic("grid", "nav_msgs/msg/OccupancyGrid")
OVERLAY = Topic("overlay", "sensor_msgs/msg/Image")

RECORDED = (SEMANTIC_GRID, VOXELS, MARKERS, GRID)
"""The outputs that the demo records and reports on."""


def message_class(type_name: str) -> type | None:
    """The Python class of a message type such as "std_msgs/msg/Header"; None where its package is not installed."""
    package, _, name = type_name.partition("/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name.rpartition("/")[2])
    except (ImportError, AttributeError):
        return None
