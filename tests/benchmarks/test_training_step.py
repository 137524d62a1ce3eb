"""One real training step of the smallest network, taken apart."""

import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")
pytest.importorskip("lightning", reason="needs lightning (the train extra)")

from torch.utils.checkpoint import checkpoint  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from benchmarks.training_step import PARTS, Operations, load_batch, main, measure, tables  # noqa: E402
from occ_core import KITTI_GRID  # noqa: E402
from occ_data.kitti import SequenceWriter  # noqa: E402
from occ_models.config import load_config  # noqa: E402
from occ_models.occle.config import OccLEConfig  # noqa: E402

PICO = Path(__file__).parents[1] / "occ_models" / "pico.yaml"


def test_a_step_is_timed_in_its_parts(tiny_sequence):
    labels = np.zeros(KITTI_GRID.shape, np.uint32)
    labels[20:60, 100:150, 1] = 40  # road
    writer = SequenceWriter(tiny_sequence.path.parents[1], tiny_sequence.name)
    writer.write_voxels("000000", raw_labels=labels, invalid=np.zeros(KITTI_GRID.shape, np.uint8))

    config = load_config(PICO, OccLEConfig)
    result = measure(config, load_batch(config, tiny_sequence.path, 2), repeats=1)
    assert (result["size"], result["batch"]) == ("pico", 2)  # the one labelled frame twice
    for phase in ("semantic", "geometric", "joint"):
        measured = result["phases"][phase]
        assert np.isfinite(measured["loss"]) and measured["flop"] > 0
        assert all(measured["seconds"][part] > 0 for part in PARTS)
        assert measured["peak_bytes"] >= 0


def test_operations_are_those_of_torchs_counter():
    layer = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Flatten(), torch.nn.Linear(8 * 36, 4))
    totals = []
    for counter in (FlopCounterMode(display=False), Operations()):
        with counter:
            checkpoint(layer, torch.zeros(2, 3, 8, 8), use_reentrant=False).sum().backward()
        totals.append(counter.get_total_flops() if isinstance(counter, FlopCounterMode) else counter.flop)
    assert totals[0] == totals[1] > 0


def test_a_sequence_without_voxel_labels_is_one_line(tiny_sequence, capsys):
    assert main(["--size", str(PICO), "--sequence", str(tiny_sequence.path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("training_step: no frame with voxel labels in ") and said.count("\n") == 1


def test_a_missing_ray_caster_is_one_line(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "embreex.mesh_construction", None)
    assert main(["--size", str(PICO)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("training_step: the synthetic world needs embreex") and said.count("\n") == 1


def test_the_tables_add_up_and_say_what_is_estimated():
    seconds = {"forward": 10.0, "backward": 20.0, "optimiser": 0.25}
    phase = {"seconds": seconds, "peak_bytes": 6.4e9, "flop": 1.652e12}
    result = {
        "size": "base",
        "batch": 1,
        "device": "CPU, 2 threads",
        "recipe": "paper",
        "parameters": 28_000_000,
        "phases": {"joint": phase},
    }
    made = tables(result)
    title, _, row = made["training_step_paper"].splitlines()
    assert title.startswith("| `base` with `--recipe paper`, 28.0 M parameters, batch 1, CPU, 2 threads |")
    assert row == "| joint | 1.65 | 10 | 20 | 0.25 | 30.2 | 6.4 |"
    estimate = made["training_cost"].splitlines()
    assert "estimated, not measured" in estimate[0]
    # A tenth of 165.2 TFLOP/s makes 0.1 s a step: 153,360 steps are 4.26 h, and an eighth of it with a tenth on top.
    assert estimate[2].startswith("| joint | 153,360 | 4.3 | 0.6 |")
    assert set(tables(result | {"recipe": None})) == {"training_step"}
