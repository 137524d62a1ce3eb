"""Conditions change what they say, and figures are counted by hand."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.completion_rows import SCAN, measure, tall_cells
from benchmarks.conditions import CONDITIONS, FULL, rings
from benchmarks.frames import plain_street
from benchmarks.robustness import table
from occ_core import KITTI_GRID, Occupancy
from occ_core.taxonomy import IGNORE

ROAD = 9


def turn(number: int = 16, azimuths: int = 200) -> np.ndarray:
    """A cloud (N, 4) ring by ring on a sphere, with each point's ring as its intensity."""
    ring, step = np.meshgrid(np.arange(number), np.arange(azimuths), indexing="ij")
    elevation, azimuth = np.radians(2 - ring.ravel()), 2 * np.pi * (step.ravel() + 0.5) / azimuths
    xyz = [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation), ring.ravel()]
    return np.stack(xyz, 1).astype(np.float32)


def test_rings_are_found_in_their_order_and_by_elevation_without_it():
    cloud = turn()
    assert np.array_equal(rings(cloud), cloud[:, 3])
    mixed = cloud[np.random.default_rng(0).permutation(len(cloud))]
    assert all(len(np.unique(rings(mixed)[mixed[:, 3] == n])) == 1 for n in range(16))
    assert len(rings(cloud[:0])) == 0


def test_conditions_change_what_they_say():
    frame = replace(plain_street(), points=turn())
    other = np.full((10, 20, 3), 7, np.uint8)
    found = {name: condition.change(frame, other) for name, condition in CONDITIONS.items()}
    assert set(found["every 4th ring"].points[:, 3]) == {0, 4, 8, 12}
    assert not found["intensity 0"].points[:, 3].any() and frame.points[:, 3].any()
    assert not found["black image"].image.any() and (found["image of another drive"].image == 7).all()
    assert len(found["no LiDAR"].points) == 0
    low = found["0.6 m above the ground, its rig"]
    # The same scene in the grid frame, from another mount.
    assert np.abs(low.points[:, 2] - frame.points[:, 2]).min() > 1
    assert np.abs(low.calibration.to_grid(low.points) - frame.calibration.to_grid(frame.points)).max() < 1e-5


def test_a_cell_needs_points_at_the_height_of_a_robot():
    truth = np.full(KITTI_GRID.shape, IGNORE, np.uint8)
    truth[:, :, 1] = ROAD  # its centre is 1.7 m below the origin
    points = np.array([(5.1, 0.1, z) for z in (-1.0, -0.5, 0.0)] + [(9.1, 0.1, z) for z in (-1.0, -1.6, 1.0)])
    cells = tall_cells(points, truth, KITTI_GRID)
    assert cells.sum() == 1 and cells[25, 128]


class Street:
    """A drive of one frame: a road of one layer, a wall of points."""

    name, frames, voxel_frames, grid = "street", ["000000"], ["000000"], KITTI_GRID
    calibration = plain_street().calibration

    def image(self, frame):
        return plain_street().image

    def scan(self, frame):
        heights = np.tile([-1.0, -0.5, 0.0], 50)
        ahead = np.repeat(np.arange(50) * 0.2 + 5.1, 3)
        return np.stack([ahead, np.full(150, 0.1), heights, heights], 1).astype(np.float32)

    def voxel_labels(self, frame):
        truth = np.zeros(KITTI_GRID.shape, np.uint8)
        truth[:, :, 1] = ROAD
        return truth


def test_a_prediction_of_road_alone_calls_the_wall_free():
    def predict(frame):
        labels = Street().voxel_labels("")
        return Occupancy(labels, np.full(labels.shape, 255, np.uint8), KITTI_GRID, None)

    rows = measure(predict, KITTI_GRID, True, [Street()], constant=Street().voxel_labels(""))
    assert rows[FULL]["iou"] == 100 and rows[FULL]["free_cells"] == 100 and rows[FULL]["ece"] == pytest.approx(0)
    assert rows[SCAN]["iou"] == 0 and rows["constant prediction"]["iou"] == 100
    assert "image of another drive" not in rows  # there is no other one
    assert "| no LiDAR | 100.0 |" in table(rows)
