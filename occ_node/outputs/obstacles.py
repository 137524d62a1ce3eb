"""`~/obstacles`: what the robot must not drive into, as a sensor_msgs/PointCloud2 for nav2's costmap layers."""

from sensor_msgs.msg import PointCloud2

from occ_core.obstacles import obstacle_voxels, seen_voxels

from .. import topics
from ..parameters import Settings
from .output import NEWEST, Frame, Output
from .voxel_cloud import point_cloud_cdr, voxel_point, voxel_points

OBSTACLE_POINT = voxel_point("seen")
"""As VOXEL_POINT; seen: 1 where a LiDAR point is in the voxel or next to it, 0 where the network completed it."""


def make_obstacles(frame: Frame, settings: Settings) -> bytes:
    """Voxels between `clearance_low` and `robot_height` above the local ground, of classes of cost 100."""
    occupancy = frame.occupancy
    flat = obstacle_voxels(occupancy.labels, frame.ground, occupancy.grid, settings.costs, settings.band)
    seen = seen_voxels(flat, occupancy.hits)
    if settings.obstacles_seen_only:
        flat, seen = flat[seen > 0], seen[seen > 0]
    points = voxel_points(flat, occupancy, frame.T_frame_grid, OBSTACLE_POINT)
    points["seen"] = seen
    return point_cloud_cdr(frame.header, points)


# nav2's layers and Collision Monitor subscribe as best effort, which a reliable publisher serves too.
OUTPUT = Output(topics.OBSTACLES.name, PointCloud2, NEWEST, make_obstacles)
