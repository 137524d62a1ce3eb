import numpy as np
import pytest

from occ_core import KITTI_GRID, Calibration, CalibrationError, FramePreprocessor, PreprocessConfig, VoxelizerConfig
from occ_core.frame import image_warnings, normalise_ref, shows_nothing
from occ_core.lifting import lifting_table
from occ_core.voxelizer import occupancy_grid_ref, voxelize_ref

from .calibrations import calibration_08

CONFIG = PreprocessConfig(voxelizer=VoxelizerConfig(factor=2, max_points=8, max_voxels=1024))


@pytest.fixture
def points():
    random = np.random.default_rng(0)
    return random.uniform((-5, -30, -3, 0), (60, 30, 5, 1), (3000, 4)).astype(np.float32)


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (370, 1226, 3), np.uint8)


def test_shapes_and_types(image, points):
    tensors = FramePreprocessor(CONFIG)(image, points, calibration_08())
    assert {name: (tensor.dtype.name, tensor.shape) for name, tensor in tensors.items()} == {
        "image": ("float32", (1, 3, 184, 608)),
        "voxels": ("float32", (1024, 8, 7)),
        "voxel_counts": ("int32", (1024,)),
        "voxel_table": ("int32", (1, 128, 128, 16)),
        "occupancy": ("uint8", (1, 256, 256, 32)),
        "lifting": ("float32", (1, 64 * 64, 8, 2)),
        "voxel_depth": ("float32", (1, 64 * 64, 8)),
        "depth": ("float32", (1, 23, 76)),
    }
    assert all(tensor.flags.c_contiguous for tensor in tensors.values())


def test_without_a_cloud_there_are_no_tensors_of_one(image):
    assert list(FramePreprocessor(CONFIG)(image, None, calibration_08())) == [
        "image",
        "lifting",
        "voxel_depth",
        "depth",
    ]


def test_depth_is_the_nearest_that_a_cell_knows_in_canonical_metres():
    rig = calibration_08()
    depth = np.full((370, 1226), np.nan, np.float32)
    depth[0, :3], depth[-1, -3:] = (30, 20, np.inf), (-1, 0, 8)
    cells = FramePreprocessor(CONFIG).depth_tensor(depth, rig)[0]
    canonical = 0.577 * 1226 / 707.0912
    np.testing.assert_allclose([cells[0, 0], cells[-1, -1]], np.multiply((20, 8), canonical), rtol=1e-6)
    assert np.count_nonzero(cells) == 2


def test_a_depth_image_of_another_size_is_refused():
    with pytest.raises(CalibrationError, match="depth image is 1220x370, the calibration is for 1226x370"):
        FramePreprocessor(CONFIG).depth_tensor(np.ones((370, 1220), np.float32), calibration_08())


def test_a_lens_twice_as_long_halves_canonical_depth():
    rig = calibration_08()
    long = Calibration(np.diag((2, 2, 1)) @ rig.P, rig.T_cam_lidar, rig.image_size)
    depths = [FramePreprocessor(CONFIG).lifting(c).depth for c in (rig, long)]
    np.testing.assert_allclose(depths[1], depths[0] / 2, rtol=1e-4)


def test_cloud_tensors_equal_the_references(points):
    tensors = FramePreprocessor(CONFIG).cloud_tensors(points)
    voxels = voxelize_ref(points, KITTI_GRID, CONFIG.voxelizer)
    np.testing.assert_array_equal(tensors["voxels"], voxels.features)
    np.testing.assert_array_equal(tensors["voxel_counts"], voxels.counts)
    np.testing.assert_array_equal(tensors["voxel_table"][0], voxels.table)
    np.testing.assert_array_equal(tensors["occupancy"][0], occupancy_grid_ref(points, KITTI_GRID))


def test_an_empty_cloud_gives_empty_tensors(image):
    tensors = FramePreprocessor(CONFIG)(image, np.zeros((0, 4), np.float32), calibration_08())
    for name in ("voxels", "voxel_counts", "voxel_table", "occupancy"):
        assert not tensors[name].any()


def test_normalisation_equals_its_reference():
    # At the network's own size nothing is resized.
    image = np.random.default_rng(0).integers(0, 256, (184, 608, 3), np.uint8)
    tensor = FramePreprocessor(CONFIG).image_tensor(image, calibration_08((608, 184)))
    np.testing.assert_allclose(tensor[0], normalise_ref(image, CONFIG), atol=1e-5)


def test_normalisation_of_one_colour():
    image = np.full((370, 1226, 3), (255, 0, 124), np.uint8)
    tensor = FramePreprocessor(CONFIG).image_tensor(image, calibration_08())[0]
    expected = [(1 - 0.485) / 0.229, -0.456 / 0.224, (124 / 255 - 0.406) / 0.225]
    np.testing.assert_allclose(tensor, np.broadcast_to(np.reshape(expected, (3, 1, 1)), tensor.shape), atol=1e-5)


def test_image_that_is_not_of_the_calibrations_size(image):
    with pytest.raises(CalibrationError, match="image is 1200x370, the calibration is for 1226x370"):
        FramePreprocessor(CONFIG).image_tensor(image[:, :1200], calibration_08())


def test_lifting_table_is_made_once_a_calibration():
    preprocessor = FramePreprocessor(CONFIG)
    first = preprocessor.lifting(calibration_08())
    assert preprocessor.lifting(calibration_08()) is first
    cropped = preprocessor.lifting(calibration_08((1220, 370)))
    np.testing.assert_array_equal(
        cropped.coordinates, lifting_table(KITTI_GRID.coarsen(4), calibration_08((1220, 370))).coordinates
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lifting_factor": 3}, "cannot be coarsened by 3"),
        ({"voxelizer": VoxelizerConfig(factor=5)}, "cannot be coarsened by 5"),
        ({"image_size": (608, 0)}, r"image_size: expected positive \(width, height\), got \(608, 0\)"),
    ],
)
def test_a_bad_configuration_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        PreprocessConfig(**change)


def test_an_image_of_the_networks_shape_that_shows_something_gives_no_warning(image):
    assert image_warnings(image, CONFIG) == []


@pytest.mark.parametrize(("size", "squeezed"), [((400, 1000), False), ((400, 985), True), ((300, 1330), True)])
def test_a_shape_more_than_a_third_from_the_networks_gives_a_warning(size, squeezed):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    warnings = image_warnings(image, CONFIG)
    assert len(warnings) == squeezed
    assert not squeezed or f"{size[1]}x{size[0]} is squeezed to the network's 608x184" in warnings[0]


def test_an_image_of_one_colour_and_a_cameras_noise_gives_a_warning(image):
    assert "shows nothing" in image_warnings(np.uint8((5, 90, 200)) + image // 64, CONFIG)[0]


def _dark(noise=0, lamps=0):
    """A dark image of 370 x 1226 with noise of so many grey levels each way, and so many lamps of 8 pixels each way."""
    image = np.random.default_rng(0).integers(0, 2 * noise + 1, (370, 1226, 3)).astype(np.uint8)
    for n in range(lamps):
        image[40:48, 16 * n : 16 * n + 8] = 255
    return image


@pytest.mark.parametrize("dark", [_dark(), _dark(noise=10), _dark(lamps=20), _dark(noise=10, lamps=20)])
def test_a_covered_lens_shows_nothing_whatever_its_noise_and_a_few_lamps(dark):
    assert shows_nothing(dark)


def test_a_faint_street_shows_something():
    rows = np.linspace(0, 24, 370).astype(np.uint8)  # brighter towards the bottom, where headlights reach
    assert not shows_nothing(np.broadcast_to(rows[:, None, None], (370, 1226, 3)).copy() + _dark(noise=2))


def test_no_image_is_a_black_one_and_needs_no_camera(points):
    T_grid_lidar = np.eye(4)
    T_grid_lidar[:3, 3] = 0.1, 0.2, -1.0
    calibration = Calibration.without_camera(T_grid_lidar)
    found = FramePreprocessor(CONFIG)(None, points, calibration)
    black = np.zeros((*calibration.image_size[::-1], 3), np.uint8)
    expected = FramePreprocessor(CONFIG)(black, points, calibration)
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
    at_home = FramePreprocessor(CONFIG)(None, points, Calibration.without_camera(np.eye(4)))
    np.testing.assert_allclose(
        found["lifting"], at_home["lifting"], atol=1e-5
    )  # the camera does not move with the LiDAR
    assert (found["lifting"] > -1).all(-1).mean() > 0.2
