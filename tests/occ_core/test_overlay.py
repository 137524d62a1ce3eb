import numpy as np
import pytest

from occ_core import COLORS, KITTI_GRID, Occupancy
from occ_core.overlay import _nearest_label, draw_overlay, nearest_label_ref

from .calibrations import calibration_08

ROAD, CAR = 9, 1


def occupancy(voxels):
    labels = np.zeros(KITTI_GRID.shape, np.uint8)
    for index, label in voxels.items():
        labels[index] = label
    return Occupancy(labels, labels, KITTI_GRID)


@pytest.fixture
def image():
    width, height = calibration_08().image_size
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def pixel_of(index):
    calibration = calibration_08()
    center = np.asarray(KITTI_GRID.origin) + KITTI_GRID.voxel_size * (np.array(index) + 0.5)
    u, v = calibration.project(center[None])[0][0]
    return round(v), round(u)


def test_a_voxel_colours_its_pixel_and_no_far_one(image):
    drawn = draw_overlay(image, occupancy({(100, 128, 5): CAR}), calibration_08(), opacity=1.0)
    v, u = pixel_of((100, 128, 5))
    np.testing.assert_allclose(drawn[v, u], COLORS[CAR], atol=1)
    assert (drawn == image).all(-1).mean() > 0.99


def test_the_nearer_voxel_hides_the_farther(image):
    drawn = draw_overlay(image, occupancy({(60, 128, 9): CAR, (62, 128, 9): ROAD}), calibration_08(), opacity=1.0)
    np.testing.assert_allclose(drawn[pixel_of((60, 128, 9))], COLORS[CAR], atol=1)


def test_no_voxels_leave_the_image_as_it_was(image):
    np.testing.assert_array_equal(draw_overlay(image, occupancy({}), calibration_08()), image)


def test_against_the_plain_painter():
    random = np.random.default_rng(0)
    uv = random.uniform((-20, -20), (120, 70), (400, 2))
    half = random.uniform(0.2, 8, 400)
    labels = random.integers(1, 20, 400).astype(np.uint8)
    np.testing.assert_array_equal(
        _nearest_label(uv, half, labels, (50, 100)), nearest_label_ref(uv, half, labels, (50, 100))
    )
