"""Any drive -> SemanticKITTI's files."""

import tempfile
from pathlib import Path

import numpy as np
from tqdm import tqdm

from occ_core.rig import Rig

from .drive import DataError, Drive
from .kitti import SequenceWriter


def write_sequence(
    drive: Drive, root: str | Path, name: str, frames: int | None = None, progress: bool = False
) -> Path:
    """Write `ROOT/sequences/NAME` with image_2, velodyne, calib.txt, poses.txt and times.txt, labels where there are,
    and rig.yaml where the LiDAR is not mounted as KITTI's.

    The camera is written as camera 2; P0 and P1 are its K without an offset and P3 repeats P2.

    frames : only the first so many

    Returns the folder. Raises DataError where it exists already, and for a drive that cannot be used; nothing is left
    behind then.
    """
    target = Path(root) / "sequences" / name
    if target.exists():
        raise DataError(f"{target}: exists already; expected a new sequence")
    ids = drive.image_frames[:frames]
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=target.parent) as folder:
        writer = SequenceWriter(folder, name)
        _write_tables(writer, drive, ids)
        for frame in tqdm(ids, desc=f"{drive.name} -> {name}", unit="frame", disable=not progress):
            writer.write_frame(
                frame,
                drive.image(frame),
                drive.scan(frame) if drive.has_scan(frame) else None,
                drive.point_labels(frame) if drive.has_labels(frame) else None,
            )
        writer.path.rename(target)
    return target


def _write_tables(writer: SequenceWriter, drive: Drive, ids: list[str]) -> None:
    """calib.txt, rig.yaml, times.txt and poses.txt; the poses are those of camera 0."""
    P2, Tr = drive.calibration.P, drive.calibration.T_cam_lidar
    P0 = np.hstack([P2[:, :3], np.zeros((3, 1))])
    writer.write_calibration({"P0": P0, "P1": P0, "P2": P2, "P3": P2}, Tr)
    if not np.array_equal(drive.calibration.T_grid_lidar, np.eye(4)):
        writer.write_rig(Rig.from_grid(drive.calibration.T_grid_lidar))
    rows = slice(0, int(ids[-1]) + 1)
    writer.write_times(drive.times[rows])
    writer.write_poses(Tr @ drive.poses[rows] @ np.linalg.inv(Tr))
