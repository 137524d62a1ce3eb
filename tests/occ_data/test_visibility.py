import numpy as np
import pytest

from occ_data.visibility import (
    carve,
    carve_ref,
    mark_in_sight,
    mark_in_sight_ref,
    mark_segments,
    range_image,
    surface_gaps,
)


@pytest.mark.parametrize("seed", range(10))
def test_carving_equals_its_reference(seed):
    random = np.random.default_rng(seed)
    shape = tuple(random.integers(2, 12, 3))
    origin, ends = random.uniform(-5, 14, 3), random.uniform(-6, 18, (60, 3))
    fast, plain = np.zeros(shape, bool), np.zeros(shape, bool)
    carve(origin, ends, fast)
    carve_ref(origin, ends, plain)
    np.testing.assert_array_equal(fast, plain)


def test_carving_along_an_axis_stops_before_the_hit():
    seen = np.zeros((8, 3, 3), bool)
    carve(np.array([-2.0, 1.5, 1.5]), np.array([[5.5, 1.5, 1.5]]), seen)
    assert seen[:5, 1, 1].all() and seen.sum() == 5


def test_ray_that_never_enters_the_box_marks_nothing():
    seen = np.zeros((4, 4, 4), bool)
    carve(np.array([-2.0, 1.5, 1.5]), np.array([[-1.0, 1.5, 1.5], [2.0, 9.5, 1.5], [-2.0, 1.5, 1.5]]), seen)
    assert not seen.any()


def test_sight_equals_its_reference():
    random = np.random.default_rng(0)
    points = random.normal(size=(3000, 3)) * (20, 20, 1.5)
    image = range_image(points, 70.0)
    T = np.diag([0.5, 0.5, 0.5, 1.0])
    T[:3, 3] = -2.1, -4.3, -1.7
    fast, plain = np.zeros((30, 20, 10), bool), np.zeros((30, 20, 10), bool)
    mark_in_sight(image, T, fast)
    mark_in_sight_ref(image, T, plain)
    assert 0.05 < fast.mean() < 0.95
    np.testing.assert_array_equal(fast, plain)


def test_returns_of_adjacent_beams_on_the_road_bound_a_gap():
    near, far = np.array([20.0, 0.0, -1.73]), np.array([21.4, 0.0, -1.73])
    low, high = surface_gaps(np.stack([far, near]), np.array([9, 9]))
    np.testing.assert_allclose(low, [near])
    np.testing.assert_allclose(high, [far])


@pytest.mark.parametrize(
    ("other", "other_class", "why"),
    [
        ((21.4, 0.0, -1.73), 15, "another class"),
        ((26.0, 0.0, -1.73), 9, "too far apart"),
        ((19.9, 1.4, -1.73), 9, "another azimuth"),
        ((20.0, 0.0, -0.5), 9, "beams that are not adjacent"),
    ],
)
def test_unrelated_returns_bound_nothing(other, other_class, why):
    points = np.array([(20.0, 0.0, -1.73), other])
    assert len(surface_gaps(points, np.array([9, other_class]))[0]) == 0, why


def test_marked_segments_cover_every_voxel_on_the_way():
    marked = np.zeros((12, 4, 4), bool)
    mark_segments(np.array([[1.5, 1.5, 1.5]]), np.array([[14.5, 1.5, 1.5]]), marked)
    assert marked[1:12, 1, 1].all() and marked.sum() == 11
    mark_segments(np.zeros((0, 3)), np.zeros((0, 3)), marked)
    assert marked.sum() == 11
