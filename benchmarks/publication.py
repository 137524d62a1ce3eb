"""The messages of one frame, as the node builds them: needs rclpy."""

from rclpy.serialization import serialize_message
from std_msgs.msg import Header

from occ_core import Occupancy
from occ_core.class_costs import class_costs
from occ_core.local_ground import ground_heights
from occ_core.obstacles import Band, column_costs
from occ_core.occupancy import visible_voxels, voxel_positions
from occ_node.outputs.grid import occupancy_grid
from occ_node.outputs.markers import marker_array_cdr
from occ_node.outputs.semantic_grid import semantic_grid
from occ_node.outputs.voxels import voxel_cloud_cdr


def publish(header: Header, occupancy: Occupancy) -> int:
    """Markers, voxel cloud, bird's-eye map and dense grid as bytes; returns the number of markers' voxels."""
    labels, grid = occupancy.labels, occupancy.grid
    visible = visible_voxels(labels)
    marker_array_cdr(header, voxel_positions(visible, grid), labels.reshape(-1)[visible], grid.voxel_size)
    voxel_cloud_cdr(header, occupancy)
    view = column_costs(occupancy, ground_heights(labels, grid), class_costs(()), Band())
    serialize_message(occupancy_grid(header, view, grid))
    serialize_message(semantic_grid(labels))
    return len(visible)
