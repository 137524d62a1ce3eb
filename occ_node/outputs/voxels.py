"""`~/voxels`: the occupied voxels as a sensor_msgs/PointCloud2, written as CDR bytes."""

import numpy as np
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from occ_core import Occupancy
from occ_core.occupancy import occupied_voxels
from occ_core.transforms import IDENTITY

from .. import topics
from ..parameters import Settings
from .output import NEWEST, Frame, Output
from .voxel_cloud import point_cloud_cdr, voxel_point, voxel_points

VOXEL_POINT = voxel_point()
"""One point of `voxel_cloud_cdr`: centre in metres, 0x00rrggbb, class 1..19, confidence 0..255."""


def voxel_cloud_cdr(header: Header, occupancy: Occupancy, T_frame_grid: np.ndarray = IDENTITY) -> bytes:
    """All occupied voxels as a serialised sensor_msgs/PointCloud2 of VOXEL_POINT, in the header's frame."""
    points = voxel_points(occupied_voxels(occupancy.labels), occupancy, T_frame_grid, VOXEL_POINT)
    return point_cloud_cdr(header, points)


def make_voxels(frame: Frame, settings: Settings) -> bytes:
    """All occupied voxels."""
    return voxel_cloud_cdr(frame.header, frame.occupancy, frame.T_frame_grid)


OUTPUT = Output(topics.VOXELS.name, PointCloud2, NEWEST, make_voxels)
