"""Voxel labels on coarser grids, by the rule that VoxFormer and MonoOcc use."""

import numpy as np
import pytest

from occ_core import KITTI_GRID, Grid
from occ_core.errors import InputError
from occ_core.labels import downscale_labels, downscale_labels_ref, labels_on


@pytest.mark.parametrize("factor", [2, 4])
def test_downscaled_labels_equal_the_reference(factor):
    rng = np.random.default_rng(factor)
    labels = rng.choice(np.array([0, 0, 0, 0, 0, 0, 1, 9, 15, 255, 255], np.uint8), (16, 8, 8))
    np.testing.assert_array_equal(downscale_labels(labels, factor), downscale_labels_ref(labels, factor))


def test_downscaling_rule_at_its_edges():
    block = np.zeros((4, 4, 4), np.uint8)
    block.flat[:3] = 1
    assert downscale_labels(block, 4) == 0  # three of 64 are not enough
    block.flat[3] = 1
    assert downscale_labels(block, 4) == 1
    half = np.full((2, 2, 2), 255, np.uint8)
    half.flat[:4] = 0
    assert downscale_labels(half, 2) == 255  # a tie of empty and ignored


def test_labels_on_the_same_and_on_a_coarser_grid():
    labels = np.random.default_rng(0).choice(np.array([0, 0, 0, 1, 9, 255], np.uint8), KITTI_GRID.shape)
    assert labels_on(KITTI_GRID, labels, KITTI_GRID) is labels
    coarse = labels_on(Grid((128, 128, 16), 0.4), labels, KITTI_GRID)
    np.testing.assert_array_equal(coarse, downscale_labels(labels, 2))


@pytest.mark.parametrize("other", [Grid((128, 128, 16), 0.4, (1, -25.6, -2)), Grid((512, 512, 64), 0.1)])
def test_labels_on_any_other_grid_are_refused(other):
    with pytest.raises(InputError, match="expected that or a coarser form of it"):
        labels_on(other, np.zeros(KITTI_GRID.shape, np.uint8), KITTI_GRID)
