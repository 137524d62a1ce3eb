import numpy as np
import pytest

from occ_core import KITTI_GRID, Grid


def test_kitti_grid_is_the_scene_box():
    assert KITTI_GRID.shape == (256, 256, 32)
    far_corner = np.array(KITTI_GRID.origin) + KITTI_GRID.voxel_size * np.array(KITTI_GRID.shape)
    np.testing.assert_allclose(far_corner, (51.2, 25.6, 4.4))


@pytest.mark.parametrize(
    ("point", "index"),
    [
        ((0, -25.6, -2.0), (0, 0, 0)),
        ((0.1, -25.5, -1.9), (0, 0, 0)),
        ((0.1, -25.5, 0.01), (0, 0, 10)),
        ((0.1, -25.5, -0.01), (0, 0, 9)),
        ((51.19, 25.59, 4.39), (255, 255, 31)),
        ((10.1, 0.1, -1.7), (50, 128, 1)),
    ],
)
def test_point_to_index(point, index):
    found, inside = KITTI_GRID.index_of(np.array([point]))
    assert inside.all()
    assert tuple(found[0]) == index


def test_points_outside_the_box_or_not_finite_have_no_index():
    points = np.array([(-0.01, 0, 0), (51.21, 0, 0), (5, 25.61, 0), (5, -25.61, 0), (5, 0, 4.41), (5, 0, -2.01)])
    bad = np.array([(np.nan, 0, 0), (5, np.inf, 0), (5, 0, -np.inf)])
    found, inside = KITTI_GRID.index_of(np.concatenate([points, bad]))
    assert not inside.any()
    assert found.shape == (0, 3)


def test_index_of_every_centre_is_its_own():
    index, inside = KITTI_GRID.index_of(KITTI_GRID.centers().reshape(-1, 3))
    assert inside.all()
    # C order, x slowest: flat = (i * 256 + j) * 32 + k
    flat = (index[:, 0].astype(np.int64) * 256 + index[:, 1]) * 32 + index[:, 2]
    np.testing.assert_array_equal(flat, np.arange(256 * 256 * 32))


def test_first_centre_lies_half_a_voxel_from_the_origin():
    np.testing.assert_allclose(KITTI_GRID.centers()[0, 0, 0], (0.1, -25.5, -1.9), rtol=1e-6)


def test_coarsened_grid_keeps_the_box():
    coarse = KITTI_GRID.coarsen(2)
    assert coarse == Grid((128, 128, 16), 0.4, KITTI_GRID.origin)
    np.testing.assert_allclose(coarse.centers()[0, 0, 0], (0.2, -25.4, -1.8), rtol=1e-6)


@pytest.mark.parametrize("factor", [0, -1, 3, 64])
def test_coarsening_must_divide_the_grid(factor):
    with pytest.raises(ValueError, match=f"cannot be coarsened by {factor}"):
        KITTI_GRID.coarsen(factor)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("shape", (256, 256)),
        ("shape", (256, 256, 0)),
        ("origin", (0, 0)),
        ("origin", (0, 0, np.nan)),
        ("voxel_size", 0),
        ("voxel_size", np.nan),
    ],
)
def test_a_bad_grid_names_its_field(field, value):
    with pytest.raises(ValueError, match=rf"grid\.{field}: expected"):
        Grid(**{field: value})


@pytest.mark.parametrize(
    ("coarse", "factor"),
    [
        (KITTI_GRID, 1),
        (KITTI_GRID.coarsen(4), 4),
        (Grid((128, 128, 16), 0.4), 2),
        (Grid((128, 128, 16), 0.4, (0, -25.6, -1)), None),
        (Grid((128, 128, 32), 0.4), None),
        (Grid((256, 256, 32), 0.3), None),
        (Grid((512, 512, 64), 0.1), None),
    ],
)
def test_factor_to_a_coarser_grid_of_the_same_box(coarse, factor):
    assert KITTI_GRID.factor_to(coarse) == factor
