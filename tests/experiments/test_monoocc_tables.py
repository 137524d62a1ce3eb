"""The tables of MonoOcc's claims, from made-up figures, and what is measured of a network."""

import pytest

pytest.importorskip("torch", reason="needs torch (the train extra)")
pytest.importorskip("lightning", reason="needs lightning (the train extra)")

import torch

from benchmarks import monoocc_step
from benchmarks.report import RESULTS_PAGE, fill
from experiments import monoocc_depth
from experiments.monoocc_quality import depth_errors
from experiments.monoocc_tables import GROUPS, tables
from occ_core import CLASS_NAMES
from occ_models.monoocc.depth import shares

from .test_rows import MONOOCC_SETUP, TABLES

KEYS = ("iou", "miou", *GROUPS)


@pytest.fixture
def rows():
    made = {name: {"student": {key: [n + 1.0, n + 2.0] for key in KEYS}} for n, name in enumerate(TABLES[1][1])}
    made["all"]["teacher"] = {"iou": [1.0, 2.0], "miou": [1.0, 2.0]}
    return made


def test_every_table_has_its_place_and_no_hole(rows):
    made = tables(MONOOCC_SETUP, rows)
    fill(RESULTS_PAGE.read_text(), made)
    assert len(made) == 5 and not any("nan" in table for table in made.values())
    assert "`voxel_loss` ssc | student |" in made["monoocc_departures"]


def test_rows_that_were_not_measured_are_left_out(rows):
    made = tables(MONOOCC_SETUP, {"2D": rows["2D"]})
    assert set(made) == {"monoocc_ablation"} and len(made["monoocc_ablation"].splitlines()) == 3


def test_groups_are_measured_against_the_plain_network(rows):
    lines = tables(MONOOCC_SETUP, rows)["monoocc_groups"].splitlines()
    assert "1.50 ± 0.71 (+0.00)" in lines[2] and "2.50 ± 0.71 (+1.00)" in lines[3]


def test_groups_are_of_classes_that_exist():
    assert all(name in CLASS_NAMES[1:] for names in GROUPS.values() for name in names)
    assert {name for group in ("ground", "large things", "small things") for name in GROUPS[group]} == set(
        CLASS_NAMES[1:]
    )


def test_errors_of_depth_are_relative_and_of_known_pixels():
    seen = torch.tensor([[[10.0, 20.0, 30.0]]])
    true = torch.tensor([[[10.0, 10.0, 0.0]]])
    errors = depth_errors((shares(seen, 64) + 1e-9).log(), true)
    assert errors.shape == (2, 3)
    torch.testing.assert_close(errors[:, 0], torch.tensor([0.0, 1.0]), atol=0.05, rtol=0)
    assert errors[:, 1].tolist() == [1, 0] and (errors[:, 2] > 0.99).all()


def test_the_other_tables_have_their_places():
    found = {"iou": 1.0, "precision": 2.0, "recall": 3.0, "miou_present": 4.0, "abs_rel": 0.1, "delta": 5.0}
    made = {"monoocc_depth": monoocc_depth.table({"sets": {"KITTI (07)": (found, found, found)}})}
    phase = {"flop": 1e12, "peak_bytes": 2e9, "seconds": dict.fromkeys(("forward", "backward", "optimiser"), 1.0)}
    step = {"size": "base", "views": 1, "parameters": 3e6, "device": "CPU", "recompute": True}
    step["phases"] = {"depth": phase}
    made["monoocc_step"] = monoocc_step.table([step])
    fill(RESULTS_PAGE.read_text(), made)
    assert "| `base`, depth, recomputed | 1 | 3.0 | 1.00 | 1 | 1 | 1 | 2.0 |" in made["monoocc_step"]


def test_a_checkpoint_that_is_not_there_is_one_line(tiny_sequence, tmp_path, capsys):
    assert monoocc_depth.main([str(tmp_path), "--real", str(tiny_sequence.path)]) == 1
    assert "model.safetensors: missing" in capsys.readouterr().err
