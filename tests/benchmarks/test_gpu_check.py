"""gpu-check where nothing of it can run: every part ends in one line, and the report is whole."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs onnx (the train extra)")

from benchmarks import gpu_bundles, gpu_check, gpu_machine, gpu_parts
from benchmarks.frames import plain_street
from occ_core import PreprocessConfig, VoxelizerConfig
from occ_runtime.fake_backend import write_fake_bundle

GPU = {"gpu": "NVIDIA H200", "compute_capability": "9.0", "memory_mb": 143771, "cuda": "13.0"}
SECTIONS = ("frames", "bundles", "parity", "speed", "preprocessing", "training", "skipped", "failed")


@pytest.fixture
def results(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(gpu_check, "RESULTS", tmp_path / "results")
    return tmp_path / "results"


@pytest.fixture
def check(tmp_path) -> gpu_check.Check:
    report = {"machine": GPU, "tests": None} | {section: [] for section in SECTIONS}
    return gpu_check.Check(report, tmp_path / "gpu.json", tmp_path)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_machine_without_a_gpu_gets_one_sentence(monkeypatch, results, capsys):
    monkeypatch.setattr(gpu_machine, "find_gpu", lambda: None)
    assert gpu_check.main() == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith("gpu-check: no NVIDIA GPU here")
    assert not results.exists()


@pytest.mark.skipif(gpu_machine.find_gpu() is not None, reason="this machine has an NVIDIA GPU")
def test_the_command_needs_nothing_installed_to_say_so():
    command = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(gpu_check.ROOT)!r}); "]
    command[-1] += "sys.modules.update(dict.fromkeys(['numpy', 'torch', 'numba', 'tqdm'])); "
    command[-1] += "from benchmarks.gpu_check import main; sys.exit(main())"
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1


def test_everything_missing_is_said_part_by_part(monkeypatch, results, capsys):
    monkeypatch.setattr(gpu_machine, "find_gpu", lambda: dict(GPU))
    monkeypatch.setattr(gpu_check, "find_spec", lambda name: None)
    monkeypatch.setattr(gpu_check.Check, "run", lambda self, command, limit: ("", "not here"))
    assert gpu_check.main() == 0
    report = json.loads((results / "nvidia-h200.json").read_text())
    reasons = {entry["part"]: entry["reason"] for entry in report["skipped"]}
    assert reasons["publication"].startswith("rclpy is not installed")
    assert reasons["frame"] == reasons["GPU tests"] == "not here"
    assert reasons["bundles"].startswith("torch is not installed")
    assert reasons["golden samples, tensorrt"] == "not installed"
    assert reasons["torch graph, kernels f16"] == "mamba_ssm and spconv not installed"
    assert {f"{engine} {precision}" for engine, precision, _ in gpu_check.ENGINES} <= set(reasons)
    out = capsys.readouterr().out
    assert all(f"{part}: skipped: {reason}" in out for part, reason in reasons.items())


def test_the_report_has_its_sections_and_what_was_measured_on(monkeypatch, results):
    monkeypatch.setattr(gpu_machine, "find_gpu", lambda: dict(GPU))
    monkeypatch.setattr(gpu_check, "run_all", lambda check: None)
    assert gpu_check.main() == 0
    (file,) = results.iterdir()
    report = json.loads(file.read_text())
    assert set(report) == {"machine", "tests", *SECTIONS}
    wanted = {"settings", "power_mode", "clocks_at_start", "versions", "python", "system", "date"}
    assert set(report["machine"]) >= {*GPU, *wanted}
    assert report["machine"]["versions"]["numpy"] == np.__version__


def test_a_result_goes_to_its_section_and_is_kept(check, monkeypatch):
    joint = {"seconds": {"forward": 0.004, "backward": 0.008}, "peak_bytes": 100e6}
    result = {"size": "nano", "phases": {"joint": joint}}
    monkeypatch.setattr(check, "run", lambda command, limit: (f"noise\n{json.dumps(result)}\nbye\n", None))
    assert check.part("training", "training step nano", "training", "nano", limit=10) == result
    assert json.loads(check.path.read_text())["training"] == [result]
    assert [p.name for p in check.path.parent.iterdir()] == ["gpu.json"]


@pytest.mark.parametrize(("key", "section"), [("skipped", "skipped"), ("failed", "failed")])
def test_a_part_that_gives_a_reason_is_one_line(check, monkeypatch, key, section):
    monkeypatch.setattr(check, "run", lambda command, limit: (json.dumps({key: "no such kernel"}), None))
    assert check.part("speed", "base, torch f32", "speed", "base", limit=10) is None
    assert check.report[section] == [{"part": "base, torch f32", "reason": "no such kernel"}]
    assert check.report["speed"] == []


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "the process was ended by SIGSEGV"),
        ("import sys; sys.exit('line one\\nout of memory')", "out of memory"),
        ("raise SystemExit(3)", "exit code 3"),
    ],
)
def test_a_process_that_dies_gives_its_reason(check, code, reason):
    assert check.run(python(code), 60)[1] == reason


def test_a_process_that_hangs_is_ended_with_its_children(check, monkeypatch, tmp_path):
    monkeypatch.setattr(gpu_check, "LEAST", 0.0)
    hang = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
    assert check.run(python(hang + "time.sleep(600)"), 2.0)[1] == "took longer than 2 s"


def test_no_part_begins_once_the_time_is_up(check):
    check.begin -= gpu_check.TOTAL
    assert check.run(python("pass"), 60)[1].startswith("no time left of 510 s")


def test_a_disagreeing_engine_is_named_and_fails_the_check(monkeypatch, results, capsys):
    monkeypatch.setattr(gpu_machine, "find_gpu", lambda: dict(GPU))
    entry = {"bundle": "occle-nano", "backend": "tensorrt", "precision": "f16", "labels_agree": 0.5, "passed": False}
    monkeypatch.setattr(gpu_check, "run_all", lambda check: check.report["parity"].append(entry))
    assert gpu_check.main() == 1
    assert "FAILED: occle-nano on tensorrt f16: 50.000 % of labels agree" in capsys.readouterr().out


def test_the_table_sets_times_beside_the_roofline():
    stages = {
        name: {"p50_ms": ms, "p95_ms": 2 * ms} for name, ms in (("preprocess", 1.0), ("inference", 8.0), ("total", 9.0))
    }
    entry = {
        "size": "base",
        "engine": "torch",
        "precision": "f32",
        "memory_mb": 900,
        "labels_agree": 1.0,
        "stages": stages,
    }
    graph = entry | {
        "engine": "torch graph",
        "precision": "f16",
        "stages": stages | {"total": {"p50_ms": 3.0, "p95_ms": 4.0}},
    }
    cost = {"flop": 494_500_000_000, "weights": 1, "traffic": 1000, "peak": 1}
    report = {"machine": GPU, "bundles": [{"size": "base", "parameters": 28_000_000, **cost}], "speed": [entry, graph]}
    lines = gpu_check.tables(report)["gpu"].splitlines()
    assert lines[2].startswith(
        "| `base`, torch f32 | 28.0 | 494 | 900 | 1.00 | 8.00 |  | **9.00** | 18.0 | 1.0 x | 1.00 |"
    )
    assert "| **3.00** | 4.00 | 3.0 x | 0.50 |" in lines[3]


def test_a_bundle_is_measured_stage_by_stage(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_parts, "REPEATS", 3)
    monkeypatch.setattr(gpu_bundles, "frames", lambda data: [plain_street()])
    write_fake_bundle(tmp_path / "tiny", PreprocessConfig(voxelizer=VoxelizerConfig(4, 2, 2048)))
    assert gpu_bundles.frame(tmp_path)["frame"] == "plain street"
    result = gpu_parts.speed(tmp_path, "tiny", "fake", "auto")
    assert result["passed"] and result["labels_agree"] == 1
    assert list(result["stages"])[:2] == ["preprocess", "inference"]
    assert {stage["count"] for stage in result["stages"].values()} == {3}


def test_a_part_ends_in_one_line_of_json(tmp_path, monkeypatch, capsys):
    def broken(folder):
        raise ZeroDivisionError("first\nsecond")

    monkeypatch.setitem(gpu_parts.PARTS, "broken", broken)
    assert gpu_parts.main(["broken", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out) == {"failed": "ZeroDivisionError: second"}
    assert gpu_parts.main(["speed", str(tmp_path), "no-such-bundle", "fake", "auto"]) == 0
    assert "no such folder" in json.loads(capsys.readouterr().out)["skipped"]


def test_nvidia_smi_is_read_and_may_be_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_machine.clocks() is None
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho '1980 MHz, 3201 MHz, 310.5 W, 41'\n")
    tool.chmod(0o755)
    assert gpu_machine.clocks()["clocks.sm"] == "1980 MHz"
    assert gpu_machine.memory_used_mb() is None  # four values are no answer to one question


@pytest.mark.parametrize(
    ("gpu", "name"),
    [
        ("NVIDIA H200", "nvidia-h200"),
        ("NVIDIA GeForce RTX 4090", "nvidia-geforce-rtx-4090"),
        ("Orin (nvgpu)", "orin-nvgpu"),
    ],
)
def test_a_gpu_has_a_name_for_a_file(gpu, name):
    assert gpu_machine.file_name(gpu) == name
