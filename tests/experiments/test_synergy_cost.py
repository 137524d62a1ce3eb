"""What the two synergies cost: operations as by hand, and the table."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from experiments.synergy_cost import flop, main, measure, tables  # noqa: E402
from occ_models.config import load_config  # noqa: E402
from occ_models.occle.config import OccLEConfig  # noqa: E402
from occ_models.occle.dense_synergy import DenseSynergy  # noqa: E402
from occ_models.occle.geometric import GeometricBranch  # noqa: E402

PICO = str(Path(__file__).parents[1] / "occ_models" / "pico.yaml")
C, X, Y, Z = 8, 32, 32, 4  # of pico's feature grid


def test_operations_are_counted_as_by_hand():
    dense = DenseSynergy(load_config(PICO, OccLEConfig))
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
    assert said.startswith("synergy_cost: ") and "no such configuration" in said and said.count("\n") == 1
