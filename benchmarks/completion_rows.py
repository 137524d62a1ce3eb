"""Figures of predictions on drives with voxel truth, condition by condition, and of the best constant prediction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from tqdm import tqdm

from occ_core import IGNORE, NUM_CLASSES, CompletionMetrics, Grid, Occupancy
from occ_core.class_costs import FREE, class_costs
from occ_core.labels import labels_on
from occ_core.local_ground import ground_heights
from occ_core.obstacles import Band, column_costs
from occ_core.reliability import Reliability
from occ_core.voxelizer import occupancy_grid
from occ_data import Drive

from .conditions import CONDITIONS, FULL
from .frames import Frame

Predict = Callable[[Frame], Occupancy]
SCAN, CONSTANT = "the scan itself", "constant prediction"
LEAST_POINTS, HEIGHTS = 3, (0.5, 2.0)
"""Points of a cell, and their heights above the ground in metres, from which on a free cell counts as a miss."""
PRIOR = 0.3
"""Probability from which the constant prediction is occupied."""
COSTS, BAND = class_costs(()), Band()


@dataclass
class Row:
    """What one row counts; misses : cells with points at the robot's height, and of these the free ones"""

    metrics: CompletionMetrics = field(default_factory=CompletionMetrics)
    reliability: Reliability = field(default_factory=Reliability)
    misses: np.ndarray = field(default_factory=lambda: np.zeros(2, np.int64))

    def figures(self) -> dict:
        """Percentages; `free_cells` None where there was no such cell, `ece` of the decisions, None without any."""
        summary, confidence = self.metrics.summary(), self.reliability.summary()
        keys = ("iou", "precision", "recall", "miou_present", "classes_present")
        cells, free = self.misses
        return {key: summary[key] for key in keys} | {
            "free_cells": float(100 * free / cells) if cells else None,
            "ece": confidence["all"]["ece"] if confidence["all"]["decisions"] else None,
            "ece_occupied": confidence["occupied"]["ece"] if confidence["occupied"]["decisions"] else None,
        }


def measure(
    predict: Predict,
    grid: Grid,
    needs_cloud: bool,
    drives: Sequence[Drive],
    every: int = 1,
    constant: np.ndarray | None = None,
    title: str = "conditions",
) -> dict[str, dict]:
    """Figures by row: the scan itself, the constant prediction where it is given, each condition that the network
    notices; and `FULL, NAME` for each drive where there are several.

    every : frames with truth from one measured to the next; constant : (X, Y, Z) labels. Raises DataError.
    """
    rows: dict[str, Row] = {}
    frames = [(drive, frame) for drive in drives for frame in drive.voxel_frames[::every]]
    names = [n for n, c in CONDITIONS.items() if needs_cloud or not c.needs_cloud]
    if len(drives) < 2:
        names.remove("image of another drive")
    for n, (drive, name) in enumerate(tqdm(frames, title, unit="frame")):
        frame = Frame(drive.name, drive.image(name), drive.scan(name), drive.calibration)
        other, other_name = _of_another(frames, n)
        truth = labels_on(grid, drive.voxel_labels(name), drive.grid)
        tall = tall_cells(drive.calibration.to_grid(frame.points), truth, grid)
        scan = occupancy_grid(drive.calibration.to_grid(frame.points), grid)
        rows.setdefault(SCAN, Row()).metrics.add(scan, truth)
        if constant is not None:
            rows.setdefault(CONSTANT, Row()).metrics.add(constant, truth)
        for condition in names:
            image = other.image(other_name) if condition == "image of another drive" else frame.image
            occupancy = predict(CONDITIONS[condition].change(frame, image))
            for row in (condition, f"{FULL}, {drive.name}") if condition == FULL and len(drives) > 1 else (condition,):
                _count(rows.setdefault(row, Row()), occupancy, truth, tall)
    of_drives = [name for name in rows if name.startswith(f"{FULL}, ")]
    return {name: rows[name].figures() for name in (*(n for n in rows if n not in of_drives), *of_drives)}


def _of_another(frames: list[tuple[Drive, str]], n: int) -> tuple[Drive, str]:
    """The frame half of the list further, or the next one after that of another drive."""
    for step in range(len(frames)):
        found = frames[(n + len(frames) // 2 + step) % len(frames)]
        if found[0] is not frames[n][0]:
            break
    return found


def _count(row: Row, occupancy: Occupancy, truth: np.ndarray, tall: np.ndarray) -> None:
    row.metrics.add(occupancy.labels, truth)
    row.reliability.add(occupancy.labels, occupancy.confidence, truth)
    costs = column_costs(occupancy, ground_heights(occupancy.labels, occupancy.grid), COSTS, BAND)
    row.misses += (tall.sum(), (tall & (costs == FREE)).sum())


def tall_cells(points: np.ndarray, truth: np.ndarray, grid: Grid) -> np.ndarray:
    """(X, Y) bool: columns with LEAST_POINTS or more points (N, >=3, grid frame) at HEIGHTS above the true ground.
    truth : (X, Y, Z) classes or IGNORE
    """
    ground = ground_heights(np.where(truth == IGNORE, 0, truth).astype(np.uint8), grid)
    i, j = np.floor((points[:, :2] - grid.origin[:2]) / grid.voxel_size).astype(int).T
    inside = (i >= 0) & (i < grid.shape[0]) & (j >= 0) & (j < grid.shape[1])
    i, j, z = i[inside], j[inside], points[inside, 2]
    above = z - ground[i, j]
    kept = (above >= HEIGHTS[0]) & (above <= HEIGHTS[1])
    cells = np.bincount(i[kept] * grid.shape[1] + j[kept], minlength=grid.shape[0] * grid.shape[1])
    return cells.reshape(grid.shape[:2]) >= LEAST_POINTS


def constant_prediction(drives: Sequence[Drive], grid: Grid) -> np.ndarray:
    """(X, Y, Z) labels that are the same for every frame: occupied where more than PRIOR of the known voxels of the
    drives are, and the class that is most frequent there.
    """
    counts = np.zeros((NUM_CLASSES, *grid.shape), np.uint16)
    for drive in drives:
        for frame in drive.voxel_frames:
            truth = labels_on(grid, drive.voxel_labels(frame), drive.grid)
            for label in np.unique(truth[truth != IGNORE]):
                counts[label] += truth == label
    occupied = counts[1:].sum(0) > PRIOR * counts.sum(0)
    return np.where(occupied, counts[1:].argmax(0) + 1, 0).astype(np.uint8)
