"""The benchmark of loading, on the smallest network."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from benchmarks.loading import main, measure, table, workers_for  # noqa: E402
from occ_core import KITTI_GRID  # noqa: E402
from occ_data.kitti import SequenceWriter  # noqa: E402

PICO = Path(__file__).parents[1] / "occ_models" / "pico.yaml"


def test_loading_is_measured_from_files_and_from_memory(tiny_sequence):
    labels = np.zeros(KITTI_GRID.shape, np.uint32)
    labels[20:60, 100:150, 1] = 40  # road
    writer = SequenceWriter(tiny_sequence.path.parents[1], tiny_sequence.name)
    writer.write_voxels("000000", raw_labels=labels, invalid=np.zeros(KITTI_GRID.shape, np.uint8))
    result = measure(tiny_sequence, [str(PICO)], 3, 60, 2)
    (size,) = result["sizes"]
    assert size["size"] == "pico" and size["frame_bytes"] > 1e5
    for source in ("files", "memory"):
        assert size[f"workers_{source}"] == workers_for(2, 60, size[f"{source}_per_s"])
    assert "| `pico` |" in table(result)


def test_processes_that_a_step_needs():
    assert [workers_for(1, 60, rate) for rate in (13, 9.5, 40)] == [2, 2, 1]
    assert workers_for(2, 50, 10) == 4


def test_a_sequence_without_voxel_labels_is_one_line(tiny_sequence, capsys):
    assert main(["--sequence", str(tiny_sequence.path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith("loading: no frame with voxel labels in ") and said.count("\n") == 1
