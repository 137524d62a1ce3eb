import numpy as np
import pytest

from occ_core import IGNORE, KITTI_GRID, Calibration, Grid
from occ_core.calibration_file import read_kitti_calibration
from occ_core.lifting import OUT_OF_VIEW, lift_features_ref, lift_labels, lifting_table, view_warnings

from .calibrations import P2_08, TR_08, calibration_08

COARSE = KITTI_GRID.coarsen(8)


def resized(scale: float) -> Calibration:
    """Sequence 08 with images resized by `scale`, pixel centres at half integers as image libraries have them."""
    shift = (scale - 1) / 2
    S = np.array([(scale, 0, shift), (0, scale, shift), (0, 0, 1)])
    return Calibration(S @ P2_08, TR_08, (round(1226 * scale), round(370 * scale)))


def test_shapes():
    table = lifting_table(COARSE, calibration_08())
    assert table.coordinates.shape == (32 * 32, 4, 2)
    assert table.coordinates.dtype == np.float32
    assert table.in_view.shape == (32, 32, 4)


@pytest.mark.parametrize(("degrees", "warns"), [(0, False), (60, False), (120, True), (180, True)])
def test_a_camera_that_hardly_looks_into_the_grid_is_said(degrees, warns):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([(c, 0, s, 0), (0, 1, 0, 0), (-s, 0, c, 0), (0, 0, 0, 1)])
    warnings = view_warnings(lifting_table(COARSE, Calibration(P2_08, turn @ TR_08, (1226, 370))))
    assert len(warnings) == warns
    assert not warns or ("% of the grid is in the image; check the extrinsics" in warnings[0])


def test_share_of_voxels_in_view_sequence_08():
    in_view = lifting_table(KITTI_GRID, calibration_08((1220, 370))).in_view
    assert in_view.mean() == pytest.approx(0.678, abs=0.0005)


def test_share_of_voxels_in_view_sequence_00(real_data):
    calibration = Calibration(*read_kitti_calibration(real_data / "sequences/00/calib.txt"), (1220, 370))
    assert lifting_table(KITTI_GRID, calibration).in_view.mean() == pytest.approx(0.674, abs=0.0005)


def test_table_is_the_projection_of_the_centres():
    table = lifting_table(COARSE, calibration_08())
    uv, depth = calibration_08().project(COARSE.centers())
    back = (table.coordinates.reshape(*COARSE.shape, 2) + 1) / 2 * (1226, 370) - 0.5
    np.testing.assert_allclose(back[table.in_view], uv[table.in_view], atol=1e-3)
    assert (depth[table.in_view] > 0).all()
    assert (table.coordinates.reshape(*COARSE.shape, 2)[~table.in_view] == OUT_OF_VIEW).all()


def test_voxels_behind_the_camera_are_out_of_view():
    behind = Grid((4, 4, 4), 0.2, (-10.0, -0.4, -0.4))
    assert not lifting_table(behind, calibration_08()).in_view.any()


def test_ramp_lifts_to_the_pixel_coordinates():
    calibration = calibration_08()
    table = lifting_table(COARSE, calibration)
    u, v = np.meshgrid(np.arange(1226.0), np.arange(370.0))
    lifted = lift_features_ref(np.stack([u, v]), table)
    uv, _ = calibration.project(COARSE.centers())
    within = np.all((uv > 0) & (uv < (1225, 369)), axis=-1)
    np.testing.assert_allclose(np.moveaxis(lifted, 0, -1)[within], uv[within], atol=1e-3)
    assert not lifted[:, ~table.in_view].any()


@pytest.mark.parametrize("size", [(370, 1226), (46, 152), (23, 76), (1, 1)])
def test_reference_equals_grid_sample(size):
    torch = pytest.importorskip("torch")
    features = np.random.default_rng(0).normal(size=(3, *size)).astype(np.float32)
    table = lifting_table(COARSE, calibration_08())
    sampled = torch.nn.functional.grid_sample(
        torch.from_numpy(features)[None],
        torch.from_numpy(table.coordinates)[None],
        mode="bilinear",
        padding_mode="zeros",
        align_corners=False,
    )
    expected = sampled[0].numpy().reshape(3, *COARSE.shape)
    np.testing.assert_allclose(lift_features_ref(features, table), expected, atol=2e-3)
    assert not expected[:, ~table.in_view].any()


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_one_table_serves_resized_images(scale):
    native, other = lifting_table(COARSE, calibration_08()), lifting_table(COARSE, resized(scale))
    both = (native.in_view & other.in_view).reshape(-1, COARSE.shape[2])
    assert (native.in_view != other.in_view).mean() < 0.01  # they differ by half a pixel at the border
    np.testing.assert_allclose(native.coordinates[both], other.coordinates[both], atol=1e-6)


def test_labels_lift_from_the_nearest_pixel():
    labels = np.random.default_rng(0).integers(0, 20, (370, 1226), np.uint8)
    table = lifting_table(COARSE, calibration_08())
    lifted = lift_labels(labels, table)
    uv, _ = calibration_08().project(COARSE.centers())
    clear = table.in_view & np.all(np.abs(uv % 1 - 0.5) > 1e-3, axis=-1)  # not halfway between two pixels
    u, v = np.minimum(np.rint(uv[clear]), (1225, 369)).astype(int).T
    assert clear.sum() > 1000
    np.testing.assert_array_equal(lifted[clear], labels[v, u])
    assert (lifted[~table.in_view] == IGNORE).all()


def test_labels_of_a_smaller_image_lift_the_same():
    # Blocks of 2 x 2 equal pixels: half the image says the same as the whole.
    small = np.random.default_rng(0).integers(0, 20, (185, 613), np.uint8)
    table = lifting_table(COARSE, calibration_08())
    from_whole = lift_labels(small.repeat(2, 0).repeat(2, 1), table)
    assert (lift_labels(small, table) == from_whole).mean() > 0.999
