"""The baseline of the synergy: it takes the branch's place, and its attention samples what a plain loop samples."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from experiments.dense_synergy import (  # noqa: E402
    DeformableAttention3d,
    DenseSynergy,
    deformable_attention,
    deformable_attention_ref,
)
from experiments.synergy import arguments_of_a_branch, flop, main, measure, tables  # noqa: E402
from occ_models.config import load_config  # noqa: E402
from occ_models.occle.config import OccLEConfig  # noqa: E402
from occ_models.occle.geometric import GeometricBranch  # noqa: E402
from occ_models.occle.model import OccLE  # noqa: E402
from occ_runtime import input_specs  # noqa: E402

PICO = str(Path(__file__).parents[1] / "occ_models" / "pico.yaml")
C, X, Y, Z = 8, 32, 32, 4  # of pico's feature grid


@pytest.fixture(scope="module")
def dense():
    torch.manual_seed(0)
    return DenseSynergy(load_config(PICO, OccLEConfig))


def test_f_geo_has_the_shape_of_the_branch_and_is_finite(dense):
    arguments = arguments_of_a_branch(load_config(PICO, OccLEConfig))
    with torch.no_grad():
        f_geo = dense(*arguments)
        assert f_geo.shape == GeometricBranch(load_config(PICO, OccLEConfig))(*arguments).shape == (1, C, X, Y, Z)
    assert f_geo.isfinite().all()


def test_the_network_runs_with_it_in_the_branchs_place(dense):
    model = OccLE(load_config(PICO, OccLEConfig)).eval()
    model.geometric = dense
    inputs = [
        torch.zeros(s.shape, dtype=getattr(torch, s.dtype))
        for s in input_specs(model.config.preprocess, model.config.inputs)
    ]
    with torch.no_grad():
        assert model(*inputs).geometry.shape == (1, 2, X, Y, Z)


def test_gradients_reach_the_offsets_and_both_encoders(dense):
    dense.zero_grad()
    dense.header(dense(*arguments_of_a_branch(load_config(PICO, OccLEConfig)))).square().sum().backward()
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


def test_operations_are_counted_as_by_hand(dense):
    grids, voxels, tokens = (torch.zeros(1, C, X, Y, Z),) * 2, X * Y * Z, Y * Z
    per_voxel = 2 * 27 * C * C + 2 * C * C + C * 4 * 8 * (3 + 1) + 2 * C * 2 * C + 3 * C + C * C
    planes = 9 * C * C * (Z * X * Y + Y * X * Z + X * Y * Z)
    attention = 2 * tokens * 4 * C * C + 2 * C * tokens * (Y + Z)
    with torch.no_grad():
        assert flop(lambda: dense.synergy(*grids)) == 2 * voxels * per_voxel
        assert flop(lambda: GeometricBranch(load_config(PICO, OccLEConfig)).synergy(*grids)) == 2 * (planes + attention)


def test_both_are_measured_alone_and_with_their_encoders():
    entry = measure([PICO], repeats=1)["sizes"]["pico"]
    encoders = {name: of["branch"]["flop"] - of["synergy"]["flop"] for name, of in entry.items()}
    assert encoders["dense"] == encoders["cross-plane"] > 0
    attention = 2 * (4 * C * C + 4 * C + 2 * C)
    planes = 9 * C * C * (X + Y + Z) + 3 * 2 * C
    assert entry["cross-plane"]["parameters"] == planes + attention


def test_the_table_says_how_many_times_as_fast():
    def of(ms):
        return {"flop": 14.5e9, "median_ms": ms, "count": 3}

    dense = {"parameters": 80_000, "synergy": of(1500.0), "branch": of(3000.0)}
    ours = {"parameters": 1_600_000, "synergy": of(250.0), "branch": of(2000.0)}
    lines = tables({"sizes": {"base": {"dense": dense, "cross-plane": ours}}})["synergy"].splitlines()
    assert lines[2] == "| `base`, Conv3D + 3-D deformable attention | 0.08 | 14.5 | 1500 |  | 14.5 | 3000 |  |"
    assert lines[3] == "| `base`, cross-plane (eq. 3, 4) | 1.60 | 14.5 | 250 | 6.0 x | 14.5 | 2000 | 1.5 x |"


def test_an_unknown_size_is_one_line(capsys):
    assert main(["--size", "huge"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("synergy: ") and "no such configuration" in said and said.count("\n") == 1
