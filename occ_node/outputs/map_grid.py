"""`~/map`: the rolling map from above, as a nav_msgs/OccupancyGrid in the frame `map_frame`."""

from nav_msgs.msg import OccupancyGrid

from occ_core.local_ground import ground_heights
from occ_core.obstacles import column_costs

from .. import topics
from ..parameters import Settings
from .grid import occupancy_grid
from .output import LATCHED, Frame, Output


def make_map(frame: Frame, settings: Settings) -> OccupancyGrid | None:
    """As `~/grid`, of all that the map holds; the origin is a multiple of the resolution and not turned, as nav2's
    StaticLayer expects.
    """
    if frame.map is None:
        return None
    occupancy = frame.map.occupancy
    ground = ground_heights(occupancy.labels, occupancy.grid)
    view = column_costs(occupancy, ground, settings.costs, settings.band, confident=0)
    return occupancy_grid(frame.map.header, view, occupancy.grid)


OUTPUT = Output(topics.MAP.name, OccupancyGrid, LATCHED, make_map, of_map=True)
