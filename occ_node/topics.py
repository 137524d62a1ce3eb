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
OBSTACLES = Topic("obstacles", "sensor_msgs/msg/PointCloud2")
OVERLAY = Topic("overlay", "sensor_msgs/msg/Image")
MAP = Topic("map", "nav_msgs/msg/OccupancyGrid")
MAP_VOXELS = Topic("map_voxels", "sensor_msgs/msg/PointCloud2")
MAP_MARKERS = Topic("map_markers", "visualization_msgs/msg/MarkerArray")
MODE = Topic("mode", "std_msgs/msg/String")

OF_MAP = (MAP, MAP_VOXELS, MAP_MARKERS)
"""The outputs that need `map_frame`."""

RECORDED = (SEMANTIC_GRID, VOXELS, MARKERS, GRID)
"""The outputs that the demo records and reports on."""


_MESSAGE_PACKAGES = frozenset((
    "action_msgs", "actionlib_msgs", "builtin_interfaces", "diagnostic_msgs", "geometry_msgs", "lifecycle_msgs",
    "nav_msgs", "rcl_interfaces", "rosgraph_msgs", "sensor_msgs", "shape_msgs", "std_msgs", "stereo_msgs", "tf2_msgs",
    "trajectory_msgs", "unique_identifier_msgs", "visualization_msgs",
))  # fmt: skip
"""Packages of ROS 2's own messages. Others are not imported: a bag could name any module of this machine."""


def message_class(type_name: str) -> type | None:
    """The Python class of a message type such as "std_msgs/msg/Header".

    None for types that are not ROS 2's own, and where their package is not installed.
    """
    package, _, name = type_name.partition("/")
    if package not in _MESSAGE_PACKAGES:
        return None
    try:
        found = getattr(importlib.import_module(f"{package}.msg"), name.rpartition("/")[2])
    except (ImportError, AttributeError):
        return None
    return found if hasattr(found, "get_fields_and_field_types") else None
