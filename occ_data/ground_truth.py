"""Voxel ground truth from labelled scans and poses, as SemanticKITTI's own was made (Behley et al. 2019, section 3.4).

Every labelled scan around a frame is transformed to that frame's LiDAR coordinates:

- Points nearer than 2.5 m or farther than 70 m from their own sensor, and outliers (raw 1), are dropped.
- Points on moving objects (raw 252..259) of other scans are not hits, but what their rays passed through was free.
- A voxel with a hit is occupied, even where rays of other scans pass through it. Its class is the majority of the
  hits' classes, the smaller id at a tie. Points without a class (raw 0, 52, 99) vote as one more class, written as
  raw 1: occupied, but ignored by training and evaluation. (Raw 0 would mean free.)
- Every ray marks the voxels between its sensor and its hit as free, and a scan's range image marks those that are
  clearly nearer than all hits around their direction.
- Voxels between two neighbouring returns from one surface are not marked free by rays that graze them: a road seen
  from a distance would otherwise become stripes of occupied and free. Without a hit by another scan they stay unknown.
- A voxel neither hit nor marked free is invalid.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from occ_core.grid import KITTI_GRID, Grid
from occ_core.taxonomy import IGNORE, MOVING_RAW_IDS, points_from_raw, raw_from_classes
from occ_core.transforms import move_points
from occ_core.voxelizer import occupancy_grid

from .kitti import DataError, Sequence, SequenceWriter, link_inputs
from .parallel import in_order
from .visibility import carve, mark_in_sight, mark_segments, range_image, surface_gaps

NEAR, FAR = 2.5, 70.0
OUTLIER = 1
VOXEL_SUFFIXES = ("label", "invalid", "bin", "occluded")


class Truth(NamedTuple):
    """All (X, Y, Z).

    labels : uint16 raw ids, 0 free, 1 occupied without a class
    invalid : bool, never seen
    occupied : bool, hit by the frame's own scan (`.bin`)
    occluded : bool, not seen by the frame's own scan
    """

    labels: np.ndarray
    invalid: np.ndarray
    occupied: np.ndarray
    occluded: np.ndarray


def aggregate(sequence: Sequence, frame: str, ahead: int = 70, behind: int = 10, grid: Grid = KITTI_GRID) -> Truth:
    """Voxel truth of one frame from its labelled neighbours.

    Parameters
    ----------
    ahead, behind : labelled scans with frame ids up to so much larger or smaller are used, where they exist

    Raises DataError where the frame's own scan has no labels, and for unreadable files.
    """
    if not sequence.has_labels(frame):
        raise DataError(f"{sequence.file('labels', frame, 'label')}: missing; ground truth needs the frame's labels")
    seen = np.zeros(grid.shape, np.bool_)  # free according to other scans
    seen_by_own = np.zeros(grid.shape, np.bool_)
    surface = np.zeros(grid.shape, np.bool_)
    T_grid_lidar, votes = _voxels(grid) @ sequence.rig.T_grid_lidar, []
    for other in _window(sequence, frame, ahead, behind):
        scan, raw = sequence.scan(other), sequence.point_labels(other) & 0xFFFF
        use = _in_range(scan) & (raw != OUTLIER)
        points, raw = scan[use, :3].astype(np.float64), raw[use]
        T_target_other = np.eye(4)
        if other != frame:
            T_target_other = np.linalg.inv(sequence.poses[int(frame)]) @ sequence.poses[int(other)]
        T_grid_other = T_grid_lidar @ T_target_other
        ends = _transform(T_grid_other, points)
        free = seen_by_own if other == frame else seen
        carve(T_grid_other[:3, 3], ends, free)
        mark_in_sight(range_image(points, FAR), np.linalg.inv(T_grid_other), free)
        hits = np.ones(len(raw), bool) if other == frame else ~np.isin(raw, MOVING_RAW_IDS)
        gaps = surface_gaps(points[hits], points_from_raw(raw[hits]))
        mark_segments(*(_transform(T_grid_other, side) for side in gaps), surface)
        votes.append(_votes(ends[hits], points_from_raw(raw[hits]), grid))
    labels = _majority(np.concatenate(votes), grid)
    occupied = occupancy_grid(move_points(sequence.scan(frame), sequence.rig.T_grid_lidar), grid).astype(bool)
    known = ((seen | seen_by_own) & ~surface) | (labels > 0)
    return Truth(labels, ~known, occupied, ~seen_by_own | occupied)


def write_ground_truth(
    sequence: Sequence,
    output: str | Path | None = None,
    ahead: int = 70,
    behind: int = 10,
    every: int = 1,
    force: bool = False,
    workers: int = 1,
) -> Iterator[tuple[str, bool]]:
    """Write the voxel files of a sequence's frames (those whose id is a multiple of `every`), one frame a step.

    output : data set to write to, with links to the scans, images and labels; None writes beside them. The rig that
    was given to the sequence, if any, is written there too.
    A frame that has any voxel file already is skipped unless `force`, so that truths made differently do not mix.
    workers : processes that make frames at the same time

    Yields
    ------
    frame id, whether it was written; in the order of the frames
    """
    root = Path(output) if output is not None else sequence.path.parents[1]
    writer = SequenceWriter(root, sequence.name)
    if output is not None:
        if sequence.given_rig is not None:
            writer.write_rig(sequence.rig)
        link_inputs(sequence.path, writer.path, without=["voxels"])
    frames = [frame for frame in sequence.frames if int(frame) % every == 0]
    write = partial(_write_frame, sequence, writer, ahead, behind, force)
    yield from zip(frames, in_order(write, frames, workers), strict=True)


def _write_frame(sequence: Sequence, writer: SequenceWriter, ahead: int, behind: int, force: bool, frame: str) -> bool:
    """Write one frame's voxel files; whether it was written."""
    present = any((writer.path / "voxels" / f"{frame}.{suffix}").exists() for suffix in VOXEL_SUFFIXES)
    if present and not force:
        return False
    truth = aggregate(sequence, frame, ahead, behind)
    writer.write_voxels(frame, truth.labels, truth.invalid, truth.occupied, truth.occluded)
    return True


def _window(sequence: Sequence, frame: str, ahead: int, behind: int) -> list[str]:
    first, last = int(frame) - behind, int(frame) + ahead
    return [other for other in sequence.frames if first <= int(other) <= last and sequence.has_labels(other)]


def _in_range(scan: np.ndarray) -> np.ndarray:
    distance = np.linalg.norm(scan[:, :3], axis=1)
    return (distance >= NEAR) & (distance <= FAR)  # NaN fails both


def _voxels(grid: Grid) -> np.ndarray:
    """(4, 4) metres in the grid frame -> voxel units."""
    T = np.diag([1 / grid.voxel_size] * 3 + [1])
    T[:3, 3] = -np.asarray(grid.origin) / grid.voxel_size
    return T


def _transform(T: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ T[:3, :3].T + T[:3, 3]


def _votes(ends: np.ndarray, classes: np.ndarray, grid: Grid) -> np.ndarray:
    """One number for each hit inside: its voxel's flat index in the high bits, its class in the low eight."""
    inside = np.all((ends >= 0) & (ends < grid.shape), axis=1)
    flat = np.ravel_multi_index(ends[inside].astype(np.int64).T, grid.shape)
    return flat << 8 | classes[inside]


def _majority(votes: np.ndarray, grid: Grid) -> np.ndarray:
    """(X, Y, Z) uint16 raw ids of the most frequent class of each voxel."""
    votes, counts = np.unique(votes, return_counts=True)
    order = np.lexsort((votes, -counts, votes >> 8))
    voxels, first = np.unique(votes[order] >> 8, return_index=True)
    classes = votes[order][first] & 0xFF
    labels = np.zeros(grid.shape, np.uint16)
    labels.reshape(-1)[voxels] = np.where(classes == IGNORE, OUTLIER, raw_from_classes(classes % IGNORE))
    return labels
