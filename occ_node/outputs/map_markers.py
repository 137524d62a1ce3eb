"""`~/map_markers`: the voxels of the rolling map as a visualization_msgs/MarkerArray in the frame `map_frame`."""

from visualization_msgs.msg import MarkerArray

from .. import topics
from ..parameters import Settings
from .markers import CLEAR, voxel_markers
from .output import NEWEST, Frame, Output


def make_map_markers(frame: Frame, settings: Settings) -> bytes | None:
    """As `~/markers`."""
    if frame.map is None:
        return None
    return voxel_markers(frame.map.header, frame.map.occupancy, settings.markers_all, frame.lifetime)


OUTPUT = Output(topics.MAP_MARKERS.name, MarkerArray, NEWEST, make_map_markers, CLEAR, of_map=True)
