"""`~/markers`: labelled voxels as a visualization_msgs/MarkerArray, written as CDR bytes.

In Python, sixty thousand geometry_msgs/Point objects take longer than the network; their bytes take about 1 ms.
"""

import numpy as np
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from occ_core import CLASS_NAMES, COLORS, Occupancy
from occ_core.compiled import compiled
from occ_core.occupancy import occupied_voxels, visible_voxels, voxel_positions
from occ_core.transforms import IDENTITY, quaternion_of

from .. import topics
from ..cdr import CDR_HEADER, CdrWriter
from ..parameters import Settings
from .output import NEWEST, Frame, Output

_CUBE_LIST, _ADD, _DELETEALL = 6, 0, 3


def marker_array_cdr(
    header,
    positions: np.ndarray,
    labels: np.ndarray,
    voxel_size: float,
    lifetime: float = 0.0,
    T_frame_grid: np.ndarray = IDENTITY,
) -> bytes:
    """A DELETEALL, which clears the previous frame, then one CUBE_LIST for each class present.

    Parameters
    ----------
    header : std_msgs/Header
    positions : (M, 3) voxel centres, metres in the grid frame; labels : (M,) uint8, classes 1..19
    lifetime : seconds after which a display removes them; 0 for never
    T_frame_grid : (4, 4) grid frame -> the header's frame
    """
    counts = np.bincount(labels, minlength=len(CLASS_NAMES))
    ends = np.cumsum(counts)
    grouped = _group(positions, labels, ends - counts)
    pose = (*T_frame_grid[:3, 3].tolist(), *quaternion_of(T_frame_grid[:3, :3]).tolist())
    present = [label for label in range(1, len(CLASS_NAMES)) if counts[label]]
    writer = CdrWriter()
    writer.pack("I", len(present) + 1)
    _marker(writer, header, 0, _DELETEALL, pose, voxel_size, grouped[:0], lifetime)
    for label in present:
        points = grouped[ends[label] - counts[label] : ends[label]]
        _marker(writer, header, label, _ADD, pose, voxel_size, points, lifetime)
    return writer.getvalue()


@compiled
def _group(positions, labels, starts):
    """Positions as float64, ordered by class. One pass: allocating memory for intermediate steps costs most."""
    grouped = np.empty((len(labels), 3))
    for n in range(len(labels)):
        row = starts[labels[n]]
        starts[labels[n]] += 1
        for axis in range(3):
            grouped[row, axis] = positions[n, axis]
    return grouped


def _marker(
    writer: CdrWriter, header, label: int, action: int, pose: tuple, size: float, points: np.ndarray, lifetime: float
) -> None:
    """The fields of visualization_msgs/Marker in their order (Humble and later)."""
    writer.header(header)
    writer.string(CLASS_NAMES[label])  # namespace: RViz lists each with a tick box
    writer.pack("i", label, _CUBE_LIST, action)
    writer.pack("d", *pose, size, size, size)  # position, orientation, scale
    writer.pack("f", *(COLORS[label] / 255).tolist(), 1)
    seconds, nanoseconds = divmod(round(lifetime * 1e9), 1_000_000_000)
    writer.pack("i", seconds)
    writer.pack("I", nanoseconds)
    writer.pack("?", False)  # frame_locked
    writer.sequence(points)
    writer.raw(_EMPTY_FIELDS)


def write_empty_fields(writer: CdrWriter) -> None:
    """The fields after the points, all empty. They begin at a multiple of four, which suffices as alignment."""
    writer.pack("I", 0)  # colors
    writer.string("")  # texture_resource
    writer.pack("I", 0, 0)  # texture: header, format, data
    writer.string("")
    writer.string("")
    writer.pack("I", 0, 0)  # and uv_coordinates
    writer.string("")  # text
    writer.string("")  # mesh_resource
    writer.string("")  # mesh_file: filename, data
    writer.pack("I", 0)
    writer.pack("?", False)  # mesh_use_embedded_materials


def _empty_fields() -> bytes:
    writer = CdrWriter()
    write_empty_fields(writer)
    return writer.getvalue()[len(CDR_HEADER) :]


_EMPTY_FIELDS = _empty_fields()


def make_markers(frame: Frame, settings: Settings) -> bytes:
    """Voxels with a visible face, or all occupied ones where `markers_all` is set."""
    return voxel_markers(frame.header, frame.occupancy, settings.markers_all, frame.lifetime, frame.T_frame_grid)


def voxel_markers(
    header: Header, occupancy: Occupancy, with_hidden: bool, lifetime: float, T_frame_grid: np.ndarray = IDENTITY
) -> bytes:
    """`marker_array_cdr` of occupied voxels: all of them, or those with a visible face."""
    labels, grid = occupancy.labels, occupancy.grid
    flat = (occupied_voxels if with_hidden else visible_voxels)(labels)
    flat_labels, positions = labels.reshape(-1)[flat], voxel_positions(flat, grid)
    return marker_array_cdr(header, positions, flat_labels, grid.voxel_size, lifetime, T_frame_grid)


CLEAR = marker_array_cdr(Header(), np.empty((0, 3), np.float32), np.empty(0, np.uint8), 0.0)
"""Removes all markers from a display."""

OUTPUT = Output(topics.MARKERS.name, MarkerArray, NEWEST, make_markers, CLEAR)
