"""`~/map`: the rolling map from above, as a nav_msgs/OccupancyGrid in the frame `map_frame`."""

from nav_msgs.msg import OccupancyGrid

from occ_core.occupancy import birds_eye_view

from .. import topics
from ..parameters import Settings
from .grid import occupancy_grid
from .output import LATCHED, Frame, Output


def make_map(frame: Frame, settings: Settings) -> OccupancyGrid | None:
    """As `~/grid`; the origin is a multiple of the resolution and not turned, as nav2's StaticLayer expects."""
    if frame.map is None:
        return None
    labels, grid = frame.map.occupancy.labels, frame.map.occupancy.grid
    view = birds_eye_view(labels, grid, settings.drivable, settings.clearance)
    return occupancy_grid(frame.map.header, view, grid)


OUTPUT = Output(topics.MAP.name, OccupancyGrid, LATCHED, make_map)
