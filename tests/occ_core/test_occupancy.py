import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from occ_core import IGNORE, Grid
from occ_core.occupancy import occupied_voxels, visible_voxels, visible_voxels_ref, voxel_positions

GRID = Grid((5, 5, 32), 0.2, (0.0, -0.5, -2.0))

labels_of = arrays(np.uint8, st.tuples(*[st.integers(1, 6)] * 3), elements=st.sampled_from([0, 1, 9, 19, IGNORE]))


@settings(deadline=None)
@given(labels_of)
def test_visible_voxels_equal_their_reference(labels):
    visible = visible_voxels(labels)
    assert visible.dtype == np.int32
    np.testing.assert_array_equal(visible, visible_voxels_ref(labels))


@settings(deadline=None)
@given(labels_of)
def test_visible_voxels_are_occupied_and_ascending(labels):
    visible = visible_voxels(labels)
    assert set(visible) <= set(occupied_voxels(labels))
    assert (np.diff(visible) > 0).all()


def test_only_the_core_of_a_block_is_hidden():
    labels = np.zeros((5, 5, 5), np.uint8)
    labels[1:4, 1:4, 1:4] = 13
    hidden = set(occupied_voxels(labels)) - set(visible_voxels(labels))
    assert hidden == {np.ravel_multi_index((2, 2, 2), labels.shape)}


def test_the_border_of_a_full_grid_is_visible():
    assert len(visible_voxels(np.full((5, 5, 5), 13, np.uint8))) == 5**3 - 3**3


def test_visible_voxels_of_a_grid_that_is_not_contiguous():
    labels = np.random.default_rng(0).integers(0, 3, (4, 6, 8), np.uint8).transpose(2, 0, 1)
    np.testing.assert_array_equal(visible_voxels(labels), visible_voxels_ref(labels))


@settings(deadline=None)
@given(labels_of)
def test_occupied_voxels_are_those_with_a_class(labels):
    occupied = occupied_voxels(labels.transpose())
    assert occupied.dtype == np.int32
    np.testing.assert_array_equal(occupied, np.flatnonzero((labels.T > 0) & (labels.T != IGNORE)))


def test_ignored_voxels_are_not_occupied():
    np.testing.assert_array_equal(occupied_voxels(np.array([[[0, 3, IGNORE, 19]]], np.uint8)), (1, 3))


def test_positions_are_the_centres():
    flat = np.arange(np.prod(GRID.shape), dtype=np.int32)
    np.testing.assert_allclose(voxel_positions(flat, GRID), GRID.centers().reshape(-1, 3), atol=1e-6)
