"""An output topic of your own beside the node's: the height of the highest occupied voxel.

    python examples/output_topic.py --ros-args -p bundle:=occle-nano -r points:=/velodyne_points
    ros2 topic echo /occ_node/height

Takes the node's parameters and topics.
"""

import sys

from std_msgs.msg import Float32

from occ_node.node import main
from occ_node.outputs import NEWEST, OUTPUTS, Frame, Output
from occ_node.parameters import Settings


def make_height(frame: Frame, settings: Settings) -> Float32:
    """Metres in the LiDAR frame; NaN where nothing is occupied."""
    grid = frame.occupancy.grid
    layers = frame.occupancy.labels.any((0, 1)).nonzero()[0]
    top = grid.origin[2] + grid.voxel_size * (layers[-1] + 1) if len(layers) else float("nan")
    return Float32(data=float(top))


OUTPUT = Output("height", Float32, NEWEST, make_height)

if __name__ == "__main__":
    sys.exit(main(sys.argv, (*OUTPUTS, OUTPUT)))
