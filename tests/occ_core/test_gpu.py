"""The torch twin of the preprocessing against the CPU's; on the CPU here, and once more on a GPU where there is one."""

import numpy as np
import pytest
from hypothesis import example, given, settings

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from export.torch_frame import TorchFramePreprocessor, occupancy_grid, voxelize  # noqa: E402
from occ_core import KITTI_GRID, FramePreprocessor, PreprocessConfig, VoxelizerConfig  # noqa: E402
from occ_core import voxelizer as cpu  # noqa: E402

from .calibrations import calibration_08 as calibration  # noqa: E402
from .test_voxelizer import SMALL, clouds, configs  # noqa: E402

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def scan(seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    points = random.uniform((-60, -40, -3, 0), (60, 40, 5, 1), (30_000, 4)).astype(np.float32)
    points[::97, 0] = np.nan
    points[::89, 3] = np.inf
    return points


def assert_same_voxels(points, grid, config, device="cpu"):
    expected = cpu.voxelize(points, grid, config)
    found = voxelize(torch.from_numpy(points).to(device), grid, config)
    for name, tensor in zip(("features", "counts", "table"), found, strict=True):
        np.testing.assert_array_equal(tensor.cpu(), getattr(expected, name), err_msg=name)


@settings(deadline=None)
@given(clouds, configs)
@example(np.zeros((0, 4), np.float32), VoxelizerConfig())
@example(np.full((9, 4), np.nan, np.float32), VoxelizerConfig(max_points=1, max_voxels=1))
def test_the_voxelizer_equals_the_cpus(points, config):
    assert_same_voxels(points, SMALL, config)
    np.testing.assert_array_equal(occupancy_grid(torch.from_numpy(points), SMALL), cpu.occupancy_grid(points, SMALL))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("config", [VoxelizerConfig(2, 5, 12288), VoxelizerConfig(4, 35, 300)], ids=["room", "full"])
def test_a_whole_scan_gives_the_same_tensors(config, device):
    assert_same_voxels(scan(1), KITTI_GRID, config, device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("size", [(608, 184), (1220, 370), (1400, 400)], ids=["half", "almost all", "larger"])
def test_a_frame_gives_the_cpus_tensors(size, device):
    config = PreprocessConfig(image_size=size, voxelizer=VoxelizerConfig(2, 5, 4096))
    rig = calibration()
    width, height = rig.image_size
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    expected = FramePreprocessor(config)(image, scan(2), rig)
    found = TorchFramePreprocessor(config, device)(image, scan(2), rig)
    assert list(found) == [name for name in expected if name not in ("voxel_depth", "depth")]
    for name, tensor in found.items():
        assert (str(tensor.dtype), tuple(tensor.shape)) == (f"torch.{expected[name].dtype}", expected[name].shape)
        if name != "image":
            np.testing.assert_array_equal(tensor.cpu(), expected[name], err_msg=name)
    # OpenCV rounds each pixel to a grey level: a few lie on the other side of a half.
    step = 1 / 255 / min(config.std)
    deviation = np.abs(found["image"].cpu().numpy() - expected["image"])
    assert deviation.max() < 1.01 * step
    assert (deviation > 1e-4).mean() < 0.01


def test_the_lifting_table_goes_up_once_per_calibration():
    twin, rig = TorchFramePreprocessor(PreprocessConfig(), "cpu"), calibration()
    image = np.zeros((rig.image_size[1], rig.image_size[0], 3), np.uint8)
    first, second = (twin(image, scan(0), rig)["lifting"] for _ in range(2))
    assert first is second
