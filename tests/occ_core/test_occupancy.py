import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from occ_core import CLASS_NAMES, IGNORE, Grid
from occ_core.occupancy import birds_eye_view, occupied_voxels, visible_voxels, visible_voxels_ref, voxel_positions

GRID = Grid((5, 5, 32), 0.2, (0.0, -0.5, -2.0))
ROAD, PARKING, SIDEWALK, CAR, TERRAIN, VEGETATION = (
    CLASS_NAMES.index(name) for name in ("road", "parking", "sidewalk", "car", "terrain", "vegetation")
)

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


def test_ignored_voxels_are_not_occupied():
    np.testing.assert_array_equal(occupied_voxels(np.array([[[0, 3, IGNORE, 19]]], np.uint8)), (1, 3))


def test_positions_are_the_centres():
    flat = np.arange(np.prod(GRID.shape), dtype=np.int32)
    np.testing.assert_allclose(voxel_positions(flat, GRID), GRID.centers().reshape(-1, 3), atol=1e-6)


def view_of(column: dict[int, int], **options) -> int:
    """Bird's-eye value of one column: height index -> class."""
    labels = np.zeros(GRID.shape, np.uint8)
    for k, label in column.items():
        labels[2, 2, k] = label
    view = birds_eye_view(labels, GRID, **options)
    assert view.dtype == np.int8
    assert np.delete(view.ravel(), 12).max() == -1  # every other column is empty
    return view[2, 2]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        pytest.param({}, -1, id="nothing known"),
        pytest.param({4: IGNORE}, -1, id="only ignored voxels"),
        pytest.param({1: ROAD}, 0, id="road"),
        pytest.param({1: PARKING, 2: ROAD}, 0, id="parking and road"),
        pytest.param({1: SIDEWALK}, 100, id="sidewalk"),
        pytest.param({9: CAR}, 100, id="car alone"),
        pytest.param({1: ROAD, 5: CAR}, 100, id="car on the road"),
        pytest.param({1: ROAD, 13: VEGETATION}, 100, id="branch within 2.5 m"),
        pytest.param({1: ROAD, 15: VEGETATION, 16: VEGETATION}, 0, id="crown above the road"),
        pytest.param({1: ROAD, 5: CAR, 25: VEGETATION}, 100, id="car under a crown"),
        pytest.param({1: ROAD, 25: ROAD}, 0, id="road under a road bridge"),
        pytest.param({1: ROAD, 24: ROAD, 26: CAR}, 0, id="car on a bridge above the road"),
        pytest.param({3: CAR, 25: ROAD}, 100, id="car under a bridge"),
        pytest.param({1: ROAD, 2: IGNORE}, 0, id="ignored voxel above the road"),
    ],
)
def test_birds_eye_view_of_a_column(column, expected):
    assert view_of(column) == expected


def test_drivable_classes_are_a_choice():
    assert view_of({1: TERRAIN}) == 100
    assert view_of({1: TERRAIN}, drivable=(TERRAIN,)) == 0


def test_clearance_is_a_choice():
    assert view_of({1: ROAD, 15: VEGETATION}, clearance=3.0) == 100
