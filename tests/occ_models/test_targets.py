"""Targets made of labels: votes of points, and what the geometric teacher says."""

import cv2
import numpy as np
import pytest

from occ_core import IGNORE, Grid
from occ_data.kitti import DataError, write_png
from occ_models.targets import CERTAIN, lift_labels, read_geometry, vote_labels


def test_votes_equal_a_plain_loop():
    rng = np.random.default_rng(0)
    grid = Grid((4, 3, 2), 0.5, (0.0, -0.75, -1.0))
    points = rng.uniform((-0.5, -1.5, -1.5, 0), (2.5, 1.5, 0.5, 1), (150, 4)).astype(np.float32)
    points[:3, 0] = np.nan, np.inf, -np.inf
    classes = rng.choice(np.array([0, 1, 2, 3, IGNORE], np.uint8), len(points))
    expected = np.full(grid.shape, IGNORE, np.uint8)
    indices, inside = grid.index_of(points)
    for cell in np.ndindex(grid.shape):
        there = classes[inside][(indices == cell).all(1)].tolist()
        known = sorted(c for c in there if 0 < c < 20)
        if len(there) > 1 and known:
            expected[cell] = max(known, key=known.count)
    votes = vote_labels(points, classes, grid)
    np.testing.assert_array_equal(votes, expected)
    assert (votes == IGNORE).any() and (votes != IGNORE).any()


@pytest.mark.parametrize(
    ("classes", "winner"),
    [
        ([5], IGNORE),
        ([5, 5], 5),
        ([5, IGNORE], 5),
        ([IGNORE, IGNORE], IGNORE),
        ([0, 0], IGNORE),
        ([7, 5], 5),
        ([7, 5, 7], 7),
    ],
)
def test_more_than_one_point_makes_a_voxels_class(classes, winner):
    points = np.full((len(classes), 4), 0.5, np.float32)
    assert vote_labels(points, np.array(classes, np.uint8), Grid((1, 1, 1), 1.0, (0.0, 0.0, 0.0))) == winner


def test_lifted_labels_are_those_of_the_pixels_at_the_voxels_centres():
    grid = Grid((2, 2, 2), 1.0, (0.0, 0.0, 0.0))
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    places = [(-0.9, -0.9), (0.9, 0.9), (0.1, 0.0), (-2.0, -2.0), (1.0, 0.0), (0.3, 0.5), (-0.4, 0.1), (0.6, -0.6)]
    lifting = np.array(places, np.float32).reshape(1, 4, 2, 2)
    centres = grid.centers().reshape(-1, 3)
    points = np.concatenate([centres[:7], centres[:6], centres[7:]]).astype(np.float32)  # one point in the last two
    expected = [0, 11, 6, IGNORE, IGNORE, 10, IGNORE, IGNORE]
    assert lift_labels(pixels, lifting, points, grid).ravel().tolist() == expected


def test_the_teacher_counts_where_it_is_certain(tmp_path):
    path, pixels = tmp_path / "000000.png", np.array([[0, 20, 60, 127], [128, 190, 230, CERTAIN]], np.uint8)
    cv2.imwrite(str(path), pixels)
    labels = read_geometry(path, (2, 2, 2), (0.9, 0.7))
    assert labels.dtype == np.uint8
    assert labels.ravel().tolist() == [0, 0, IGNORE, IGNORE, IGNORE, 1, 1, 1]
    assert (read_geometry(path, (2, 2, 2), (0.5, 0.5)) != IGNORE).all()


def test_teacher_labels_of_another_grid_are_refused(tmp_path):
    write_png(tmp_path / "000000.png", np.zeros((2, 4), np.uint8))
    with pytest.raises(DataError, match=r"000000\.png: \(2, 4\) uint8; expected .* a grid of \(2, 2, 3\)"):
        read_geometry(tmp_path / "000000.png", (2, 2, 3), (0.9, 0.9))
