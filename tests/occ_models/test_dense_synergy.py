"""`synergy: dense`: it takes the branch's place, and its attention samples what a plain loop samples."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from occ_models.config import load_config  # noqa: E402
from occ_models.occle.config import OccLEConfig  # noqa: E402
from occ_models.occle.dense_synergy import (  # noqa: E402
    DeformableAttention3d,
    DenseSynergy,
    deformable_attention,
    deformable_attention_ref,
)
from occ_models.occle.geometric import GeometricBranch  # noqa: E402
from occ_models.occle.model import OccLE  # noqa: E402
from occ_runtime import input_specs  # noqa: E402

from .conftest import PICO  # noqa: E402

C, X, Y, Z = 8, 32, 32, 4  # of pico's feature grid


@pytest.fixture(scope="module")
def dense():
    torch.manual_seed(0)
    return DenseSynergy(load_config(PICO, OccLEConfig))


@pytest.fixture(scope="module")
def arguments():
    """image, voxel_grid, active, lifting of the branch."""
    torch.manual_seed(1)
    config = load_config(PICO, OccLEConfig)
    inputs = [torch.rand(s.shape) for s in input_specs(config.preprocess, ("image", "lifting"))]
    grid = config.preprocess.grid.coarsen(config.preprocess.voxelizer.factor).shape
    active = (torch.rand(1, *grid, 1) < 0.1).float()
    return inputs[0], active * torch.rand(1, *grid, config.voxel_channels), active, 2 * inputs[1] - 1


def test_f_geo_has_the_shape_of_the_branch_and_is_finite(dense, arguments):
    with torch.no_grad():
        f_geo = dense(*arguments)
        assert f_geo.shape == GeometricBranch(load_config(PICO, OccLEConfig))(*arguments).shape == (1, C, X, Y, Z)
    assert f_geo.isfinite().all()


def test_the_network_runs_with_it_in_the_branchs_place():
    model = OccLE(replace(load_config(PICO, OccLEConfig), synergy="dense")).eval()
    assert isinstance(model.geometric, DenseSynergy)
    inputs = [
        torch.zeros(s.shape, dtype=getattr(torch, s.dtype))
        for s in input_specs(model.config.preprocess, model.config.inputs)
    ]
    with torch.no_grad():
        assert model(*inputs).geometry.shape == (1, 2, X, Y, Z)


def test_another_synergy_is_refused():
    with pytest.raises(ValueError, match="synergy: expected cross-plane or dense, got 'sparse'"):
        replace(load_config(PICO, OccLEConfig), synergy="sparse")


def test_gradients_reach_the_offsets_and_both_encoders(dense, arguments):
    dense.zero_grad()
    dense.header(dense(*arguments)).square().sum().backward()
    for part in (dense.attention.offsets, dense.attention.weights, dense.image, dense.lidar):
        assert all(p.grad.abs().sum() > 0 for p in part.parameters())


def test_deformable_attention_is_its_plain_loop():
    torch.manual_seed(0)
    shape = torch.tensor([4, 3, 5])
    values = torch.randn(2, 3, *shape, dtype=torch.float64, requires_grad=True)
    places = torch.rand(2, 20, 6, 3, dtype=torch.float64) * (shape + 2) - 1.5  # outside too
    places[:, ::4] = places[:, ::4].round()
    weights = torch.rand(2, 20, 6, dtype=torch.float64)
    got, expected = (f(values, places, weights) for f in (deformable_attention, deformable_attention_ref))
    torch.testing.assert_close(got, expected)
    torch.testing.assert_close(*(torch.autograd.grad(out.square().sum(), values)[0] for out in (got, expected)))


def test_at_first_a_voxel_attends_to_a_horizontal_ring_around_it():
    attention, query = DeformableAttention3d(4, (9, 9, 3), heads=4, points=2), torch.randn(1, 9 * 9 * 3, 4)
    torch.nn.init.dirac_(attention.values.weight)
    torch.nn.init.zeros_(attention.values.bias)
    torch.nn.init.eye_(attention.out.weight)
    torch.nn.init.zeros_(attention.out.bias)
    grid = torch.zeros(1, 4, 9, 9, 3)
    grid[:, :, 4, 4, 1] = 1  # a head samples it from one or two voxels away, with half its weight
    seen = attention(query, grid).reshape(9, 9, 3, 4)
    expected = torch.zeros(9, 9, 3, 4)
    for distance in (1, 2):
        for head, (x, y) in enumerate(((-1, 0), (0, -1), (1, 0), (0, 1))):
            expected[4 + distance * x, 4 + distance * y, 1, head] = 0.5
    torch.testing.assert_close(seen, expected)
