"""`~/grid`: a bird's-eye view as a nav_msgs/OccupancyGrid."""

from array import array

import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion
from nav_msgs.msg import MapMetaData, OccupancyGrid
from std_msgs.msg import Header

from occ_core import Grid
from occ_core.obstacles import column_costs
from occ_core.transforms import IDENTITY, quaternion_of

from .. import topics
from ..parameters import Settings
from .output import LATCHED, Frame, Output


def occupancy_grid(header: Header, view: np.ndarray, grid: Grid, T_frame_grid: np.ndarray = IDENTITY) -> OccupancyGrid:
    """A bird's-eye view (X, Y) int8 as a map in the header's frame.

    nav_msgs order: data[y * width + x], width along x; the origin is the grid's corner (least x, y, z).
    """
    data = array("b")
    data.frombytes(np.ascontiguousarray(view.T).data.cast("B"))
    x, y, z, _ = (T_frame_grid @ (*grid.origin, 1)).tolist()
    qx, qy, qz, qw = quaternion_of(T_frame_grid[:3, :3]).tolist()
    info = MapMetaData(
        map_load_time=header.stamp, resolution=float(grid.voxel_size), width=view.shape[0], height=view.shape[1],
        origin=Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=qx, y=qy, z=qz, w=qw)),
    )  # fmt: skip
    return OccupancyGrid(header=header, info=info, data=data)


def make_grid(frame: Frame, settings: Settings) -> OccupancyGrid:
    """0 free to 100 lethal by `class_costs`, -1 unknown."""
    view = column_costs(frame.occupancy, frame.ground, settings.costs, settings.band)
    return occupancy_grid(frame.header, view, frame.occupancy.grid, frame.T_frame_grid)


OUTPUT = Output(topics.GRID.name, OccupancyGrid, LATCHED, make_grid)
