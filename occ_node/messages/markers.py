"""visualization_msgs/MarkerArray of labelled voxels, written straight as CDR.

Sixty thousand geometry_msgs/Point objects cost more in Python than the network; their bytes cost about a millisecond.
"""

import numba
import numpy as np

from occ_core import CLASS_NAMES, COLORS

from .cdr import CDR_HEADER, CdrWriter

_CUBE_LIST, _ADD, _DELETEALL = 6, 0, 3


def marker_array_cdr(header, positions: np.ndarray, labels: np.ndarray, voxel_size: float) -> bytes:
    """One CUBE_LIST a class present, behind a DELETEALL that clears the classes which are not.

    Parameters
    ----------
    header : std_msgs/Header
    positions : (M, 3) voxel centres, metres in the header's frame; labels : (M,) uint8, classes 1..19
    """
    counts = np.bincount(labels, minlength=len(CLASS_NAMES))
    ends = np.cumsum(counts)
    grouped = _group(positions, labels, ends - counts)
    present = [label for label in range(1, len(CLASS_NAMES)) if counts[label]]
    writer = CdrWriter()
    writer.pack("I", len(present) + 1)
    _marker(writer, header, 0, _DELETEALL, voxel_size, grouped[:0])
    for label in present:
        _marker(writer, header, label, _ADD, voxel_size, grouped[ends[label] - counts[label] : ends[label]])
    return writer.getvalue()


@numba.njit(cache=True, nogil=True)
def _group(positions, labels, starts):
    """Positions as float64, ordered by class; in one pass, as fresh memory for steps between costs most."""
    grouped = np.empty((len(labels), 3))
    for n in range(len(labels)):
        row = starts[labels[n]]
        starts[labels[n]] += 1
        for axis in range(3):
            grouped[row, axis] = positions[n, axis]
    return grouped


def _marker(writer: CdrWriter, header, label: int, action: int, size: float, points: np.ndarray) -> None:
    """The fields of visualization_msgs/Marker in their order (Humble and later)."""
    writer.pack("i", header.stamp.sec)
    writer.pack("I", header.stamp.nanosec)
    writer.string(header.frame_id)
    writer.string(CLASS_NAMES[label])  # namespace: RViz lists them with a tick box each
    writer.pack("i", label, _CUBE_LIST, action)
    writer.pack("d", 0, 0, 0, 0, 0, 0, 1, size, size, size)  # position, orientation, scale
    writer.pack("f", *(COLORS[label] / 255).tolist(), 1)
    writer.pack("I", 0, 0)  # lifetime
    writer.pack("?", False)  # frame_locked
    writer.sequence(points)
    writer.raw(_TAIL)


def _write_tail(writer: CdrWriter) -> None:
    """The fields behind the points, all empty. They begin at a multiple of four, all the alignment that they ask."""
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


def _tail() -> bytes:
    writer = CdrWriter()
    _write_tail(writer)
    return writer.getvalue()[len(CDR_HEADER) :]


_TAIL = _tail()
