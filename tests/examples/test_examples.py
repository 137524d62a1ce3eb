"""Every example runs as its docstring says."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from occ_data.bags import write_bag

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str, *arguments, folder: Path) -> str:
    """What the example prints."""
    environment = os.environ | {"PYTHONPATH": str(EXAMPLES.parent)}
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda example: example.name)
def test_examples_are_short(example):
    assert len(example.read_text().splitlines()) < 40


def test_one_frame(tiny_sequence, tmp_path):
    printed = run("one_frame.py", tiny_sequence.path, "000000", folder=tmp_path)
    labels = np.load(tmp_path / "labels.npy")
    assert (labels.shape, labels.dtype) == ((256, 256, 32), np.uint8)
    assert f"{np.count_nonzero(labels == 0):,}" in printed


def test_a_bag_to_predictions(tiny_sequence, tmp_path):
    write_bag(tiny_sequence, tmp_path / "bag")
    printed = run("bag_to_predictions.py", tmp_path / "bag", tmp_path / "out", folder=tmp_path)
    written = sorted((tmp_path / "out").glob("*.label"))
    assert [file.name for file in written] == ["000000.label", "000001.label", "000002.label"]
    assert all(file.stat().st_size == 2 * 256 * 256 * 32 for file in written)
    assert "inference: median" in printed


def test_a_backend_of_your_own(tmp_path):
    printed = run("backend.py", folder=tmp_path)
    assert printed.startswith("golden sample: 0 of 2097152 labels differ")
    assert list(tmp_path.glob("onnxruntime_profile*.json"))
