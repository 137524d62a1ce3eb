"""`~/map_voxels`: the occupied voxels of the rolling map, as a sensor_msgs/PointCloud2 in the frame `map_frame`."""

from sensor_msgs.msg import PointCloud2

from .. import topics
from ..parameters import Settings
from .output import NEWEST, Frame, Output
from .voxels import voxel_cloud_cdr


def make_map_voxels(frame: Frame, settings: Settings) -> bytes | None:
    """The fields of `~/voxels`."""
    return None if frame.map is None else voxel_cloud_cdr(frame.map.header, frame.map.occupancy)


OUTPUT = Output(topics.MAP_VOXELS.name, PointCloud2, NEWEST, make_map_voxels, of_map=True)
