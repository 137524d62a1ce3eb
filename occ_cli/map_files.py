"""A map of labelled voxels on disk: PLY, which point cloud programs read, and npz."""

import io
from pathlib import Path

import numpy as np

from occ_core import COLORS, Occupancy
from occ_core.files import write_bytes
from occ_core.occupancy import occupied_voxels, voxel_positions

_POINT = np.dtype(
    [(name, "<f4") for name in ("x", "y", "z")] + [(name, "u1") for name in ("red", "green", "blue", "label")]
)
_HEADER = """\
ply
format binary_little_endian 1.0
comment centres of occupied voxels of {size} m; label: SemanticKITTI class 1 to 19
element vertex {count}
property float x
property float y
property float z
property uchar red
property uchar green
property uchar blue
property uchar label
end_header
"""


def write_ply(path: Path, occupancy: Occupancy) -> Path:
    """The centres of the occupied voxels in metres, with colour and label; binary."""
    flat = occupied_voxels(occupancy.labels)
    labels = occupancy.labels.reshape(-1)[flat]
    points = np.zeros(len(flat), _POINT)
    points["x"], points["y"], points["z"] = voxel_positions(flat, occupancy.grid).T
    points["red"], points["green"], points["blue"] = COLORS[labels].T
    points["label"] = labels
    header = _HEADER.format(size=occupancy.grid.voxel_size, count=len(points))
    return write_bytes(path, header.encode() + points.tobytes())


def write_npz(path: Path, occupancy: Occupancy) -> Path:
    """The occupied voxels: `index` (M, 3) int32, `labels` and `confidence` (M,) uint8; and the grid that they are in:
    `origin` (3,) metres, `voxel_size`, `shape` (3,).
    """
    flat, grid = occupied_voxels(occupancy.labels), occupancy.grid
    stream = io.BytesIO()
    np.savez_compressed(
        stream,
        index=np.stack(np.unravel_index(flat, grid.shape), 1).astype(np.int32),
        labels=occupancy.labels.reshape(-1)[flat],
        confidence=occupancy.confidence.reshape(-1)[flat],
        origin=np.array(grid.origin),
        voxel_size=grid.voxel_size,
        shape=np.array(grid.shape),
    )
    return write_bytes(path, stream.getvalue())
