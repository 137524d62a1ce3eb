from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from occ_core import Grid  # noqa: E402
from occ_core.voxelizer import VoxelizerConfig, voxelize  # noqa: E402
from occ_models.config import load_config  # noqa: E402
from occ_models.layers.sparse import MaskedConv3d, sparse_conv3d_ref  # noqa: E402
from occ_models.occle.config import OccLEConfig  # noqa: E402
from occ_models.occle.lidar import SparseUNet3d, VoxelFeatureEncoder, spread  # noqa: E402
from occ_models.occle.model import OccLE  # noqa: E402

PICO = Path(__file__).parent / "pico.yaml"


def layer(kernel: int, stride: int) -> MaskedConv3d:
    """With statistics off their start, so that normalisation makes something of nothing."""
    torch.manual_seed(kernel)
    made = MaskedConv3d(3, 5, kernel, stride).eval()
    with torch.no_grad():
        for parameter in (made.norm.running_mean, made.norm.bias):
            parameter.normal_()
        made.norm.running_var.uniform_(0.3, 1)
    return made


def sites(share: float) -> tuple[torch.Tensor, torch.Tensor]:
    """(1, 3, 6, 5, 4) features, zero where the mask (1, 1, 6, 5, 4) is."""
    generator = torch.Generator().manual_seed(1)
    mask = (torch.rand(1, 1, 6, 5, 4, generator=generator) < share).float()
    return torch.randn(1, 3, 6, 5, 4, generator=generator) * mask, mask


@pytest.mark.parametrize("share", [0.0, 0.15, 1.0])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (1, 1), (2, 2), (3, 2), (4, 4)])
def test_masked_dense_convolution_equals_the_sparse_one(kernel, stride, share):
    masked, (x, mask) = layer(kernel, stride), sites(share)
    with torch.no_grad():
        found, found_mask = masked(x, mask)
        y, active = sparse_conv3d_ref(x[0], mask[0, 0] > 0, masked.conv.weight, stride, masked.padding)
        expected = torch.where(active, masked.norm(y[None]).relu()[0], 0.0)
    assert torch.equal(found_mask[0, 0] > 0, active)
    torch.testing.assert_close(found[0], expected, atol=1e-5, rtol=1e-5)


def test_nothing_grows_out_of_the_active_sites():
    masked, (x, mask) = layer(3, 1), sites(0.15)
    with torch.no_grad():
        found, _ = masked(x, mask)
        dense = masked.norm(masked.conv(x)).relu()
    assert (found * (1 - mask) == 0).all()
    assert (dense * (1 - mask) != 0).any()  # what the mask is for


def test_a_submanifold_kernel_without_centre_is_refused():
    with pytest.raises(ValueError, match="2 is even"):
        MaskedConv3d(3, 5, kernel=2, stride=1)


def test_voxel_features_by_table_equal_features_by_scatter():
    """VoxelNet's layers over the points themselves, maxima and grid written by scatter."""
    torch.manual_seed(0)
    grid = Grid((32, 32, 8), 1.6, (0.0, -25.6, -6.4))
    encoder = VoxelFeatureEncoder(6, grid)
    points = np.random.default_rng(0).uniform((1, -20, -4, 0), (40, 20, 4, 1), (1500, 4)).astype(np.float32)
    voxels = voxelize(points, grid, VoxelizerConfig(1, 64, 2048))
    counts = torch.from_numpy(voxels.counts)
    assert counts.max() < 64 and counts.sum() == len(points)  # no point was left out
    with torch.no_grad():
        found = spread(encoder(torch.from_numpy(voxels.features), counts), torch.from_numpy(voxels.table)[None])[0]

        xyz = torch.from_numpy(points[:, :3])
        cell = ((xyz - torch.tensor(grid.origin)) / grid.voxel_size).long()
        flat = (cell[:, 0] * 32 + cell[:, 1]) * 8 + cell[:, 2]
        centre = torch.tensor(grid.origin) + grid.voxel_size * (cell + 0.5)
        features = torch.cat([torch.from_numpy(points), xyz - centre], 1) * encoder.scale
        x = encoder.first(features).relu()
        x = encoder.second(torch.cat([x, _maximum(x, flat)[flat]], 1)).relu()
        expected = _maximum(x, flat).reshape(32, 32, 8, 6)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def _maximum(x: torch.Tensor, flat: torch.Tensor) -> torch.Tensor:
    index = flat[:, None].expand(-1, x.shape[1])
    return torch.zeros(32 * 32 * 8, x.shape[1]).scatter_reduce(0, index, x, "amax")


def test_the_sparse_encoder_is_empty_where_no_point_is():
    config = replace(load_config(PICO, OccLEConfig), sparse=True)
    torch.manual_seed(0)
    encoder = OccLE(config).eval().geometric.lidar
    active = torch.zeros(1, 32, 32, 8, 1)
    active[0, 5, 5, 5] = 1
    with torch.no_grad():
        features = encoder(torch.rand(1, 32, 32, 8, config.voxel_channels) * active, active)[0]
    stride = 32 // features.shape[1]
    assert (features.abs().sum(0) > 0).nonzero().tolist() in ([[5 // stride] * 3], [])
    features[:, 5 // stride, 5 // stride, 5 // stride] = 0
    assert not features.any()


WIDTHS = {1: (5,), 2: (5, 6), 3: (5, 6, 7)}


def u_net(layers: int, stride: int) -> SparseUNet3d:
    """With statistics off their start, so that normalisation makes something of nothing."""
    torch.manual_seed(layers)
    made = SparseUNet3d(3, WIDTHS[layers], stride, 4).eval()
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.3, 1)
            torch.nn.init.normal_(module.bias, 0, 0.3)
    return made


def voxels(stride: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(1, 8, 4, 4, 3) features times the stride, zero where active (1, 8, 4, 4, 1) is."""
    generator = torch.Generator().manual_seed(1)
    shape = [n * stride for n in (8, 4, 4)]
    active = (torch.rand(1, *shape, 1, generator=generator) < 0.1 / stride).float()
    return torch.randn(1, *shape, 3, generator=generator) * active, active


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("layers", WIDTHS)
def test_the_masked_u_net_equals_one_of_sparse_convolutions(layers, stride):
    made, (grid, active) = u_net(layers, stride), voxels(stride)

    def sparse(layer, x, mask):
        y, reached = sparse_conv3d_ref(x, mask, layer.conv.weight, layer.stride, layer.padding)
        return torch.where(reached, layer.norm(y[None]).relu()[0], 0.0), reached

    with torch.no_grad():
        found = made(grid, active)[0]
        x, mask, skips = grid[0].movedim(3, 0), active[0, ..., 0] > 0, []
        for down, level in zip(made.down, made.levels, strict=True):
            x, mask = sparse(level, *sparse(down, x, mask))
            skips.append((x, mask))
        for n in reversed(range(layers - 1)):
            skip, mask = skips[n]
            coarse = x.repeat_interleave(2, 1).repeat_interleave(2, 2).repeat_interleave(2, 3)
            x, _ = sparse(made.up[n], *sparse(made.merge[n], torch.cat([coarse, skip]), mask))
        expected, _ = sparse(made.out, x, mask)
    assert 0 < (expected != 0).float().mean() < 0.5
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
