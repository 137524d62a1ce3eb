import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from occ_core import CLASS_NAMES, IGNORE, KITTI_GRID, Grid, Occupancy
from occ_core.class_costs import class_costs
from occ_core.local_ground import ground_heights, ground_heights_ref
from occ_core.obstacles import (
    Band,
    column_costs,
    column_costs_ref,
    obstacle_voxels,
    obstacle_voxels_ref,
    seen_voxels,
    seen_voxels_ref,
)

GRID = Grid((24, 24, 32), 0.2, (0.0, -2.4, -2.0))
ROAD, SIDEWALK, TERRAIN, CAR, PERSON, VEGETATION = (
    CLASS_NAMES.index(name) for name in ("road", "sidewalk", "terrain", "car", "person", "vegetation")
)
COSTS = class_costs(())
labels_of = arrays(
    np.uint8,
    st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 32)),
    elements=st.sampled_from([0, 0, 0, 1, ROAD, TERRAIN, VEGETATION, IGNORE]),
)


def street(top: int = 1) -> np.ndarray:
    """Labels of a road whose surface is in layer `top`; layer 1 holds KITTI's ground plane."""
    labels = np.zeros(GRID.shape, np.uint8)
    labels[..., top] = ROAD
    return labels


def obstacles(labels: np.ndarray, band: Band = Band(), costs: np.ndarray = COSTS) -> set[tuple[int, int, int]]:  # noqa: B008
    flat = obstacle_voxels(labels, ground_heights(labels, GRID), GRID, costs, band)
    assert flat.dtype == np.int32 and (np.diff(flat) > 0).all()
    return set(zip(*(index.tolist() for index in np.unravel_index(flat, GRID.shape)), strict=True))


def costs_of(labels, confidence=255, hits=None, costs=COSTS, band: Band = Band()) -> np.ndarray:  # noqa: B008
    occupancy = Occupancy(labels, np.full(labels.shape, confidence, np.uint8), GRID, hits)
    view = column_costs(occupancy, ground_heights(labels, GRID), costs, band)
    assert view.dtype == np.int8 and view.shape == labels.shape[:2]
    return view


@settings(deadline=None)
@given(labels_of, st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.5]), st.sampled_from([0.5, 1.0, 1.9, 2.0]), st.randoms())
def test_all_equal_their_references(labels, low, high, random):
    grid, band = Grid(labels.shape, 0.2, (0.0, 0.0, -2.0)), Band(low, high)
    generator = np.random.default_rng(random.getrandbits(32))
    ground = ground_heights(labels, grid)
    np.testing.assert_allclose(ground, ground_heights_ref(labels, grid), atol=1e-5)
    flat = obstacle_voxels(labels, ground, grid, COSTS, band)
    np.testing.assert_array_equal(flat, obstacle_voxels_ref(labels, ground, grid, COSTS, band))
    hits = (generator.random(labels.shape) < 0.1).astype(np.uint8)
    np.testing.assert_array_equal(seen_voxels(flat, hits), seen_voxels_ref(flat, hits))
    confidence = generator.integers(128, 256, labels.shape, np.uint8)
    for occupancy in (Occupancy(labels, confidence, grid, hits), Occupancy(labels, confidence, grid)):
        np.testing.assert_array_equal(
            column_costs(occupancy, ground, COSTS, band), column_costs_ref(occupancy, ground, COSTS, band)
        )


def test_without_any_ground_it_is_the_plane_below_the_grid_frame():
    labels = np.zeros(GRID.shape, np.uint8)
    labels[3, 4, 9] = CAR
    np.testing.assert_allclose(ground_heights(labels, GRID), -1.73, atol=1e-6)


def test_ground_without_voxels_is_that_of_the_ground_nearby():
    labels = street(3)
    labels[8:16, 8:16] = 0  # below a parked truck, say
    np.testing.assert_allclose(ground_heights(labels, GRID), -1.3, atol=1e-6)


def test_a_few_wrong_ground_voxels_do_not_lift_or_sink_the_ground():
    labels = street(5)
    labels[10:12, 10:12] = 0
    labels[10:12, 10:12, 12] = TERRAIN  # on a hedge
    labels[4, 4] = 0
    labels[4, 4, 0] = ROAD
    np.testing.assert_allclose(ground_heights(labels, GRID), -0.9, atol=1e-6)


def test_the_ground_below_a_bridge_counts():
    labels = street()
    labels[6:12, :, 25:27] = ROAD
    np.testing.assert_allclose(ground_heights(labels, GRID), -1.7, atol=1e-6)


def slope(rise: float) -> np.ndarray:
    """A road that rises by `rise` metres a metre."""
    labels = np.zeros(GRID.shape, np.uint8)
    layer = 1 + (rise * np.arange(GRID.shape[0])).astype(int)
    labels[np.arange(GRID.shape[0]), :, layer] = ROAD
    return labels


@pytest.mark.parametrize("rise", [0.1, 0.2, 0.3])
def test_a_slope_is_followed_and_is_no_obstacle(rise):
    labels = slope(rise)
    expected = -2 + 0.2 * (1 + (rise * np.arange(24)).astype(int) + 0.5)
    np.testing.assert_allclose(ground_heights(labels, GRID), np.repeat(expected[:, None], 24, 1), atol=1e-5)
    assert obstacles(labels) == set() and (costs_of(labels) == 0).all()


def test_a_person_up_the_slope_is_found_from_the_feet():
    labels = slope(0.3)
    labels[20, 10, 8:17] = PERSON  # the road is in layer 7 there
    assert obstacles(labels) == {(20, 10, k) for k in range(8, 17)}


def test_a_low_box_right_on_the_ground_is_found_and_the_ground_is_not():
    labels = street()
    labels[10:12, 10:12, 1] = CAR  # 0.3 m high: what it stands on, and the voxel above
    labels[10:12, 10:12, 2] = CAR
    assert obstacles(labels) == {(i, j, 2) for i in (10, 11) for j in (10, 11)}
    assert (costs_of(labels)[10:12, 10:12] == 100).all()


def test_other_ground_classes_are_never_obstacles():
    labels = street()
    labels[:, 12:, 1], labels[:, 12:, 2] = 0, SIDEWALK  # a kerb
    labels[:, 20:, 3] = TERRAIN
    assert obstacles(labels, costs=class_costs(("car",))) == set()
    assert (costs_of(labels) == 0).all()
    view = costs_of(labels, costs=class_costs(("car",)))
    assert (view[:, :12] == 0).all() and (view[:, 12:] == 100).all()


@pytest.mark.parametrize(
    ("layers", "band", "cost"),
    [
        pytest.param((5,), Band(), 100, id="in the band"),
        pytest.param((2,), Band(), 100, id="right above the ground"),
        pytest.param((2,), Band(clearance_low=0.35), 0, id="below the robot's floor"),
        pytest.param((11,), Band(), 100, id="just below the robot's top"),
        pytest.param((12,), Band(), 0, id="a crown above the robot"),
        pytest.param((12,), Band(robot_height=2.5), 100, id="a crown that a taller robot touches"),
        pytest.param((6, 25), Band(), 100, id="a trunk below its crown"),
    ],
)
def test_the_band_decides_what_an_obstacle_is(layers, band, cost):
    labels = street()
    labels[5, 5, list(layers)] = VEGETATION
    assert costs_of(labels, band=band)[5, 5] == cost
    assert bool(obstacles(labels, band)) == (cost == 100)
    assert np.delete(costs_of(labels, band=band).ravel(), 5 * 24 + 5).max() == 0


def test_a_bridge_above_the_robot_does_not_block():
    labels = street()
    labels[6:12, :, 25] = ROAD
    labels[8, 8, 26:30] = CAR
    assert obstacles(labels) == set() and (costs_of(labels, costs=class_costs(("car",))) == 0).all()


def test_the_cost_is_the_highest_of_the_column():
    labels = street()
    labels[3, 3, 3], labels[4, 4, 3], labels[4, 4, 5] = VEGETATION, VEGETATION, PERSON
    view = costs_of(labels, costs=class_costs(("road=10", "vegetation=40")))
    assert (view[0, 0], view[3, 3], view[4, 4]) == (10, 40, 100)


def test_what_may_be_touched_is_no_obstacle():
    labels = street()
    labels[3, 3, 3], labels[4, 4, 3] = VEGETATION, PERSON
    assert obstacles(labels, costs=class_costs(("vegetation=40",))) == {(4, 4, 3)}


def test_columns_neither_seen_nor_confident_are_unknown():
    labels = street()
    labels[:4] = 0
    hits = np.zeros(GRID.shape, np.uint8)
    hits[10, 10, 1] = 1
    view = costs_of(labels, confidence=150, hits=hits)
    assert (view[9:12, 9:12] == 0).all()  # in the voxel, or next to it
    assert (view == 0).sum() == 9 and (view == -1).sum() == 24 * 24 - 9
    view = costs_of(labels, confidence=250, hits=hits)
    assert (view[:4] == -1).all() and (view[4:] == 0).all()


def test_ignored_voxels_count_for_nothing():
    labels = np.full(GRID.shape, IGNORE, np.uint8)
    assert obstacles(labels) == set() and (costs_of(labels) == -1).all()


def test_camera_only_sees_no_voxel():
    assert seen_voxels(np.arange(5, dtype=np.int32), None).tolist() == [0] * 5


def test_arrays_need_not_be_contiguous():
    labels = np.random.default_rng(0).choice(np.array([0, 1, 9], np.uint8), (32, 12, 12)).transpose(1, 2, 0)
    np.testing.assert_allclose(ground_heights(labels, KITTI_GRID), ground_heights_ref(labels, KITTI_GRID), atol=1e-5)


def test_what_may_be_an_obstacle_is_not_free():
    labels = street()
    labels[3, 4, 5] = VEGETATION
    confidence = np.full(labels.shape, 255, np.uint8)
    confidence[3, 4, 5] = 130
    view = costs_of(labels, confidence)
    assert view[3, 4] == -1 and np.count_nonzero(view) == 1
    hits = np.zeros(labels.shape, np.uint8)
    hits[3, 4, 5] = 1
    assert costs_of(labels, confidence, hits)[3, 4] == 100
    labels[3, 4, 5] = 0
    assert costs_of(labels, confidence, hits)[3, 4] == -1
    hits[3, 4, 5], hits[3, 4, 1] = 0, 1
    assert costs_of(labels, confidence, hits)[3, 4] == 0
