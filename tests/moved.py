"""A sequence as another mounting of its LiDAR would have recorded it."""

import shutil
from pathlib import Path

import numpy as np

from occ_core.calibration_file import read_kitti_calibration
from occ_core.rig import Rig, translation
from occ_core.transforms import matrix_of
from occ_data.kitti import Sequence, SequenceWriter

_HALF = np.radians([90, 5]) / 2
MOVES = {
    "at 0.6 m": translation(0, 0, 1.73 - 0.6),
    "turned by 90 degrees": matrix_of((0, 0, 0), (0, 0, np.sin(_HALF[0]), np.cos(_HALF[0]))),
    "tilted by 5 degrees": matrix_of((0, 0, 0), (0, np.sin(_HALF[1]), 0, np.cos(_HALF[1]))),
    "all of it": matrix_of((0.3, 0.1, 1.1), (0.03, 0.04, 0.7, 0.7)),
}
"""T_new_old, (4, 4): KITTI's LiDAR frame -> that of the other mounting."""


def write_moved(source: Sequence, root: Path, T_new_old: np.ndarray, has_rig: bool = True) -> Sequence:
    """A copy in `root` with the points in another LiDAR frame, where camera and world stay; with the rig to match."""
    target = root / "sequences" / source.name
    shutil.copytree(source.path, target)
    writer = SequenceWriter(root, source.name)
    for frame in source.frames:
        scan = source.scan(frame).astype(np.float64)
        scan[:, :3] = scan[:, :3] @ T_new_old[:3, :3].T + T_new_old[:3, 3]
        writer.write_frame(frame, scan=scan)
    T_old_new = np.linalg.inv(T_new_old)
    rows = {f"P{n}": read_kitti_calibration(source.path / "calib.txt", n) for n in range(4)}
    writer.write_calibration({name: row.P for name, row in rows.items()}, rows["P0"].Tr @ T_old_new)
    if has_rig:
        writer.write_rig(Rig(source.rig.T_ground_lidar @ T_old_new))
    return Sequence(target)


def off_the_edges(source: Sequence, root: Path) -> Sequence:
    """A copy with all points 5 cm further, as a wall on the border of two voxels changes sides by rounding."""
    return write_moved(source, root, translation(0.05, 0, 0), has_rig=False)


def share_equal(one: np.ndarray, other: np.ndarray) -> float:
    """Of what either one holds as not zero."""
    either = (one != 0) | (other != 0)
    return float((one == other)[either].mean())
