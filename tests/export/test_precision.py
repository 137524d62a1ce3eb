"""The command that makes and measures precisions, on a small network and a sequence with truth on its grid."""

import json
from dataclasses import replace

import numpy as np
import pytest

from export import precision
from export.bundle import export_bundle, golden_inputs
from export.operators import operators
from export.precision import RUNS
from occ_cli.train import main
from occ_data.kitti import Sequence
from occ_runtime import Bundle, SelfTest, load_backend

from .conftest import CONFIG

AGREES = SelfTest(voxels=10_000, differing=50, occupied=100, differing_occupied=50, confidence_deviation=0.0)


class Labelled(Sequence):
    """A sequence whose frames have truth on the small network's grid."""

    def has_voxels(self, frame):
        return frame != "000000"

    def voxel_labels(self, frame):
        return np.random.default_rng(int(frame)).integers(0, 20, CONFIG.preprocess.grid.shape, np.uint8)


@pytest.fixture
def bundle(model, whole, tiny_sequence, tmp_path, monkeypatch) -> Bundle:
    monkeypatch.setattr("export.bundle.to_onnx", lambda model: whole)
    monkeypatch.setattr(precision, "open_drive", Labelled)
    notes = {"version": "1", "license": "Apache-2.0", "training": {}, "metrics": {"noise": {"miou": 1.0}}}
    return export_bundle(model, tmp_path / "tiny-engine", golden_inputs(model, tiny_sequence, "000000"), **notes)[0]


@pytest.fixture
def lenient(monkeypatch):
    """Random weights decide by a hair's breadth: int8 moves what training would have put far apart."""
    monkeypatch.setattr(precision, "MIOU_POINTS_LOST", 100.0)
    monkeypatch.setattr(precision, "golden_test", lambda bundle, infer: AGREES)


def run(bundle, sequence, *options) -> int:
    arguments = ["precision", bundle.path, "--calibration", sequence.path, "--evaluate", sequence.path, *options]
    return main([str(argument) for argument in arguments])


def test_both_precisions_are_made_measured_and_written(bundle, tiny_sequence, lenient, tmp_path, capsys):
    assert run(bundle, tiny_sequence, "--json", tmp_path / "table.json") == 0
    table = json.loads((tmp_path / "table.json").read_text())
    rows = {(row["precision"], row["runtime"]): row for row in table["precisions"]}
    assert set(rows) >= {run for run in RUNS if run[0] != "bf16"}
    assert rows["f32", "onnxruntime"]["labels_agree"] == 100
    assert rows["f16", "onnxruntime"]["labels_agree"] > 99
    assert rows["f16", "openvino"]["megabytes"] < rows["f32", "openvino"]["megabytes"]
    assert table["refused"] == {}
    out = capsys.readouterr().out
    assert "labels as f32" in out and out.splitlines()[-1].endswith("f32, f16, int8")
    written = Bundle.load(bundle.path)
    assert written.precisions == ("f32", "f16", "int8")
    assert written.metrics == bundle.metrics
    assert load_backend(written, "onnxruntime", precision="int8").infer(written.golden()[0])["labels"].any()


def test_a_precision_that_loses_too_much_is_not_shipped(bundle, tiny_sequence, monkeypatch, capsys):
    monkeypatch.setattr(precision, "MIOU_POINTS_LOST", -1.0)
    assert run(bundle, tiny_sequence) == 1
    error = capsys.readouterr().err
    assert "f16 is not shipped: onnxruntime loses" in error and "int8 is not shipped: onnxruntime loses" in error
    assert Bundle.load(bundle.path).precisions == ("f32",)
    names = ["MODEL_CARD.md", "bundle.yaml", "golden.npz", "model.onnx"]
    assert sorted(path.name for path in bundle.path.iterdir()) == names


def test_a_precision_that_fails_the_golden_sample_is_not_shipped(bundle, tiny_sequence, lenient, monkeypatch, capsys):
    monkeypatch.setattr(precision, "golden_test", lambda bundle, infer: replace(AGREES, differing=51))
    assert run(bundle, tiny_sequence) == 1
    assert "int8 is not shipped: onnxruntime: golden sample: 51 of 10000 labels differ" in capsys.readouterr().err
    assert Bundle.load(bundle.path).precisions == ("f32",)


def test_a_typed_graph_that_does_not_fit_tensorrt_is_not_shipped(bundle, tiny_sequence, lenient, monkeypatch, capsys):
    monkeypatch.setattr(precision, "check_operators", lambda graph: ["at it"] * operators(graph)["QuantizeLinear"])
    assert run(bundle, tiny_sequence) == 1
    assert "int8 is not shipped: it does not fit TensorRT: at it" in capsys.readouterr().err
    assert Bundle.load(bundle.path).precisions == ("f32", "f16")


def test_a_bundle_whose_own_graph_does_not_fit_is_to_be_exported_again(bundle, tiny_sequence, monkeypatch, capsys):
    monkeypatch.setattr(precision, "check_operators", lambda graph: ["opset 18", "axes"])
    assert run(bundle, tiny_sequence) == 2
    assert "does not fit TensorRT, export it again: opset 18 (2 findings)" in capsys.readouterr().err


def test_without_ground_truth_nothing_is_made(bundle, tiny_sequence, monkeypatch, capsys):
    monkeypatch.setattr(precision, "open_drive", Sequence)
    assert run(bundle, tiny_sequence) == 2
    error = capsys.readouterr().err
    assert error.startswith("occ-train precision: ") and "no voxel labels" in error and error.count("\n") == 1


def test_an_unknown_bundle_ends_with_one_line(tmp_path, capsys):
    assert main(["precision", str(tmp_path / "none"), "--calibration", "x", "--evaluate", "y"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
