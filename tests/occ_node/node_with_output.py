"""The node with one more output: how many voxels are occupied."""

import sys

import numpy as np
from std_msgs.msg import UInt32

from occ_node.node import main
from occ_node.outputs import NEWEST, OUTPUTS, Frame, Output
from occ_node.parameters import Settings


def count_occupied(frame: Frame, settings: Settings) -> UInt32:
    return UInt32(data=int(np.count_nonzero(frame.occupancy.labels)))


if __name__ == "__main__":
    sys.exit(main(outputs=(*OUTPUTS, Output("occupied", UInt32, NEWEST, count_occupied))))
