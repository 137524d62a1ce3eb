"""Two processes on a CPU that train together (gloo, on this machine only)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")
pytest.importorskip("lightning", reason="needs lightning (the train extra)")

from safetensors.torch import load_file  # noqa: E402

ROOT = Path(__file__).parents[2]
ONE_STEP = Path(__file__).parent / "one_step.py"
PICO = Path(__file__).parent / "pico.yaml"


def start(*arguments) -> subprocess.Popen:
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1",
        "GLOO_SOCKET_IFNAME": "lo",
    }  # fmt: skip
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)], cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip


def finished(process: subprocess.Popen) -> str:
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    return said


def test_gradients_of_two_processes_equal_those_of_one_with_the_doubled_batch(sequence, tmp_path):
    """One frame of each batch has labels and the other has none, so that the two processes have different losses."""
    runs = {name: (tmp_path / name, processes, 2 // processes) for name, processes in (("one", 1), ("two", 2))}
    for process in [start(ONE_STEP, sequence, *run) for run in runs.values()]:
        finished(process)
    for step in range(2):
        one, two = (load_file(run[0] / "joint" / f"gradients{step}.safetensors") for run in runs.values())
        assert set(one) == set(two) and len(one) > 100
        for name, gradient in one.items():
            assert (gradient - two[name]).norm() <= 1e-4 * gradient.norm(), name
    one, two = (load_file(run[0] / "model.safetensors") for run in runs.values())
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, rtol=1e-3, atol=1e-4, msg=name)


def test_loss_that_one_process_alone_loses_stops_both(sequence, tmp_path):
    process = start(ONE_STEP, sequence, tmp_path, 2, 1, "nan")
    said, _ = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "NotFinite: step 0: loss nan" in said  # the second process, with its frames
    assert "gradient nan" in said.partition("rank0]: occ_models.training.NotFinite: step 0")[2]


def test_two_processes_go_through_all_phases(sequence, tmp_path):
    phases = ("semantic", "teacher", "student", "joint")
    steps = [word for phase in phases for word in (f"--{phase}-steps", "2")]
    quick = ["--share", "0.5", "--batch", "1", "--warmup", "1", "--workers", "0"]
    quick += ["--accelerator", "cpu", "--devices", "2"]
    folders = ["--train", sequence, "--validation", sequence, "--output", tmp_path]
    said = finished(start("-m", "occ_cli.train", "occle", "--config", PICO, *folders, *quick, *steps))
    assert said.count("weights in") == 1
    for folder in (*(tmp_path / phase for phase in phases), tmp_path):
        assert all(value.isfinite().all() for value in load_file(folder / "model.safetensors").values())
    assert len(list((tmp_path / "teacher" / "labels").rglob("*.png"))) == 2
    assert (tmp_path / "student" / "thresholds.yaml").is_file()
    assert len((tmp_path / "joint" / "logs" / "metrics.csv").read_text().splitlines()) == 2
