import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from occ_core import KITTI_GRID, Grid, VoxelizerConfig
from occ_core.voxelizer import occupancy_grid, occupancy_grid_ref, voxelize, voxelize_ref

SMALL = Grid((8, 8, 4), 0.2, (0.0, -0.8, -0.4))

values = st.one_of(
    st.floats(-1.25, 2.0, width=32),
    st.sampled_from(
        np.array([0, -0.0, 0.2, 0.4, -0.8, 0.8, 1.6, -0.4, np.nan, np.inf, -np.inf, 3e38], np.float32).tolist()
    ),
)
clouds = st.integers(0, 60).flatmap(lambda n: arrays(np.float32, (n, 4), elements=values))
configs = st.builds(
    VoxelizerConfig, factor=st.sampled_from([1, 2, 4]), max_points=st.integers(1, 5), max_voxels=st.integers(1, 12)
)


def assert_same(one, other):
    for name in ("features", "counts", "table", "lost"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


@settings(deadline=None)
@given(clouds, configs)
@example(np.zeros((0, 4), np.float32), VoxelizerConfig())
@example(np.full((9, 4), np.nan, np.float32), VoxelizerConfig(max_points=1, max_voxels=1))
def test_voxelizer_equals_its_reference(points, config):
    assert_same(voxelize(points, SMALL, config), voxelize_ref(points, SMALL, config))


@settings(deadline=None)
@given(clouds)
def test_occupancy_equals_its_reference(points):
    np.testing.assert_array_equal(occupancy_grid(points, SMALL), occupancy_grid_ref(points, SMALL))


@pytest.mark.parametrize("factor", [1, 4])
def test_voxelizer_equals_its_reference_on_a_full_scan(factor):
    random = np.random.default_rng(factor)
    points = random.uniform((-60, -40, -3, 0), (60, 40, 5, 1), (30_000, 4)).astype(np.float32)
    points[::97, 0] = np.nan
    config = VoxelizerConfig(factor, max_points=8, max_voxels=4096)
    assert_same(voxelize(points, KITTI_GRID, config), voxelize_ref(points, KITTI_GRID, config))


def test_seven_features_of_a_point():
    # Voxel (0, 4, 2) of the small grid: x 0..0.2, y 0..0.2, z 0..0.2, centre (0.1, 0.1, 0.1).
    voxels = voxelize(np.array([(0.15, 0.05, 0.11, 0.5)], np.float32), SMALL, VoxelizerConfig(max_voxels=4))
    assert voxels.table[0, 4, 2] == 1
    np.testing.assert_array_equal(voxels.counts, (0, 1, 0, 0))
    np.testing.assert_allclose(voxels.features[1, 0], (0.15, 0.05, 0.11, 0.5, 0.05, -0.05, 0.01), atol=1e-6)


def test_row_zero_stands_for_the_empty_voxels():
    points = np.array([(0.1, 0.1, 0.1, 1), (1.1, 0.1, 0.1, 1)], np.float32)
    voxels = voxelize(points, SMALL, VoxelizerConfig(max_voxels=4))
    assert voxels.counts[0] == 0 and not voxels.features[0].any()
    assert sorted(voxels.table[voxels.table > 0]) == [1, 2]


def test_a_voxel_keeps_its_first_points():
    points = np.tile(np.array([(0.1, 0.1, 0.1, 0)], np.float32), (5, 1))
    points[:, 3] = np.arange(5)
    voxels = voxelize(points, SMALL, VoxelizerConfig(max_points=3, max_voxels=2))
    assert voxels.counts[1] == 3
    np.testing.assert_array_equal(voxels.features[1, :, 3], (0, 1, 2))


def test_voxels_without_a_row_are_counted_once_and_left_empty():
    points = np.array([(0.1, 0.1, 0.1, 0), (0.3, 0.1, 0.1, 0), (0.3, 0.1, 0.1, 0), (0.5, 0.1, 0.1, 0)], np.float32)
    voxels = voxelize(points, SMALL, VoxelizerConfig(max_voxels=2))
    assert voxels.lost == 2
    assert (voxels.table > 0).sum() == 1
    assert voxels.table.min() == 0


def test_intensity_that_is_not_finite_becomes_zero():
    voxels = voxelize(np.array([(0.1, 0.1, 0.1, np.nan)], np.float32), SMALL, VoxelizerConfig(max_voxels=2))
    assert voxels.features[1, 0, 3] == 0


def test_default_configuration_holds_35_points_a_voxel():
    voxels = voxelize(np.zeros((0, 4), np.float32), KITTI_GRID, VoxelizerConfig())
    assert voxels.features.shape == (32768, 35, 7)
    assert voxels.table.shape == (256, 256, 32)


@pytest.mark.parametrize("shape", [(5, 3), (5,), (5, 5)])
@pytest.mark.parametrize("function", [occupancy_grid, lambda p, g: voxelize(p, g, VoxelizerConfig())])
def test_a_cloud_must_have_four_columns(function, shape):
    with pytest.raises(ValueError, match=r"points: expected shape \(N, 4\)"):
        function(np.zeros(shape, np.float32), SMALL)


@pytest.mark.parametrize("field", ["factor", "max_points", "max_voxels"])
def test_a_bad_configuration_names_its_field(field):
    with pytest.raises(ValueError, match=rf"voxelizer\.{field}: expected a positive integer, got 0"):
        VoxelizerConfig(**{field: 0})


@pytest.mark.parametrize("sequence", ["00", "03", "07"])
def test_occupancy_of_a_real_scan_agrees_with_the_data_set(real_data, sequence):
    folder = real_data / "sequences" / sequence
    points = np.fromfile(folder / "velodyne/000000.bin", np.float32).reshape(-1, 4)
    published = np.unpackbits(np.fromfile(folder / "voxels/000000.bin", np.uint8)).reshape(KITTI_GRID.shape)
    known = np.unpackbits(np.fromfile(folder / "voxels/000000.invalid", np.uint8)).reshape(KITTI_GRID.shape) == 0
    known[..., -1] = False  # the published files end one slice lower
    ours = occupancy_grid(points, KITTI_GRID)
    union = (ours | published)[known].sum()
    assert (ours & published)[known].sum() / union > 0.97
