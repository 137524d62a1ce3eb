import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

from export import parity
from export.bundle import ExportError, export_bundle
from export.onnx import LOGITS, Engine, run_torch, to_onnx, without_outputs
from export.operators import check_operators, operators
from export.opset import LOWERED
from export.parity import ParityError, check_parity, onnxruntime_runner, openvino_runner, random_inputs
from occ_cli.train import main
from occ_models.checkpoint import load_checkpoint
from occ_models.config import ConfigError
from occ_models.occle.geometric import AxialAttention
from occ_runtime import Bundle, Predictor, input_specs, load_backend, with_typed_models

from .conftest import CONFIG, decisive


@pytest.fixture(scope="module")
def samples() -> dict:
    return {f"noise {seed}": random_inputs(CONFIG.preprocess, seed) for seed in (1, 2)}


@pytest.fixture(autouse=True)
def exported_once(monkeypatch, request):
    """Exports inside the tests reuse the module's graph, except where a test is about the export itself."""
    monkeypatch.setattr("export.bundle.to_onnx", lambda model: request.getfixturevalue("whole"))


def test_runtimes_agree_with_torch(model, shipped, whole, samples):
    results = check_parity(model, shipped, whole, samples)
    assert {(r.runtime, r.sample) for r in results} == {(r, s) for r in ("onnxruntime", "openvino") for s in samples}
    assert min(r.labels_agree for r in results) == pytest.approx(1, abs=1e-3)
    assert max(r.logit_deviation for r in results) < 1e-3


PAPER = {"head": "fused", "own_voxel_features": True, "semantic_header": "lidar", "sparse": True}


@pytest.mark.parametrize(
    "settings",
    [{"head": "fused"}, {"sparse_layers": 2}, {"sparse_layers": 3} | PAPER],
    ids=["fused head", "sparse, scan head", "as the paper has it"],
)
def test_runtimes_agree_with_torch_on_the_papers_structure(settings, samples):
    model = decisive(replace(CONFIG, **settings))
    whole = to_onnx(model)
    shipped = without_outputs(whole, LOGITS)
    assert check_operators(shipped) == []
    assert [value.name for value in shipped.graph.input] == list(CONFIG.inputs)
    assert len(check_parity(model, shipped, whole, samples)) == 4
    assert len(np.unique(run_torch(model, samples["noise 1"])["labels"])) > 8


@pytest.mark.parametrize("tokens", [4, 8])
def test_openvino_computes_attention_in_rows_of_any_length(tokens):
    """Also in rows of as many tokens as heads, as a feature grid of 4 heights has them."""
    torch.manual_seed(0)
    attention, rows = AxialAttention(16, heads=4).eval(), torch.randn(32, tokens, 16)
    with torch.no_grad():
        attention.qkv.weight.mul_(4)  # far from uniform weights
        expected = attention(rows).numpy()
        program = torch.onnx.export(attention, (rows,), input_names=["rows"], output_names=["out"], dynamo=True)
    found = openvino_runner(program.model_proto.SerializeToString())({"rows": rows.numpy()})["out"]
    assert np.abs(found - expected).max() < 1e-4


def test_the_sample_asks_for_many_decisions(model, samples):
    labels = run_torch(model, samples["noise 1"])["labels"]
    assert len(np.unique(labels)) > 8
    assert 0.1 < (labels > 0).mean() < 0.9


def test_what_is_exported_is_what_predict_computes(model, samples):
    inputs = {name: torch.from_numpy(a) for name, a in samples["noise 1"].items()}
    expected = run_torch(model, samples["noise 1"])
    with torch.no_grad():
        labels, confidence = model.predict(
            *(inputs[spec.name] for spec in input_specs(CONFIG.preprocess, CONFIG.inputs))
        )
    assert np.array_equal(labels.numpy(), expected["labels"])
    assert np.array_equal(confidence.numpy(), expected["confidence"])


def test_a_runtime_that_computes_something_else_is_named(model, shipped, whole, samples, monkeypatch):
    def wrong(serialised):
        run = onnxruntime_runner(serialised)
        return lambda inputs: {name: array + array.dtype.type(1) for name, array in run(inputs).items()}

    monkeypatch.setattr(parity, "openvino_runner", wrong)
    with pytest.raises(ParityError, match=r"^openvino on noise 1: 0\.0000 % of labels agree.*; openvino on noise 2"):
        check_parity(model, shipped, whole, samples)


def test_logits_alone_can_fail(model, shipped, whole, samples, monkeypatch):
    def wrong(serialised):
        run = onnxruntime_runner(serialised)
        return lambda inputs: {n: a + 0.1 if a.dtype == np.float32 else a for n, a in run(inputs).items()}

    monkeypatch.setattr(parity, "onnxruntime_runner", wrong)
    with pytest.raises(ParityError, match=r"onnxruntime on noise 1: 100\.0000 % of labels agree"):
        check_parity(model, shipped, whole, samples)


def test_the_shipped_graph_is_deployable(shipped):
    assert check_operators(shipped) == []
    assert operators(shipped)["GridSample"] == 2
    assert {opset.domain: opset.version for opset in shipped.opset_import}[""] == LOWERED


def test_the_shipped_graph_has_the_frames_tensors_and_no_logits(shipped):
    inputs = {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim) for value in shipped.graph.input
    }
    assert inputs == {spec.name: spec.shape for spec in input_specs(CONFIG.preprocess, CONFIG.inputs)}
    assert [value.name for value in shipped.graph.output] == ["labels", "confidence"]
    assert list(Engine.outputs[2:]) == list(LOGITS)


def test_the_shipped_graph_is_checked_whole(shipped):
    onnx.checker.check_model(shipped, full_check=True)


def test_no_path_of_this_machine_is_in_the_file(shipped):
    assert b".py" not in shipped.SerializeToString()


def test_a_checkpoint_becomes_a_bundle_that_passes_its_self_test(model, checkpoint, tmp_path, tiny_sequence, capsys):
    metrics = tmp_path / "metrics.json"
    metrics.write_text(json.dumps({"noise": {"miou": 1.0}}))
    arguments = ["export", checkpoint, tmp_path / "tiny-engine", "--golden-sequence", tiny_sequence.path]
    arguments += ["--frame", "000001"]
    arguments += ["--data", "noise", "--license", "Apache-2.0", "--metrics", metrics, "--version", "3"]
    arguments += ["--failures", "it sees nothing"]
    assert main([str(a) for a in arguments]) == 0
    assert "100.0000 % of labels agree" in capsys.readouterr().out
    bundle = Bundle.load(tmp_path / "tiny-engine")
    assert (bundle.name, bundle.model, bundle.size, bundle.version) == ("tiny-engine", "occle", "tiny", "3")
    assert bundle.preprocess == CONFIG.preprocess
    assert bundle.training == {"data": ["noise"], "known_failures": ["it sees nothing"], "recipe": {"steps": 3}}
    assert bundle.metrics == {"noise": {"miou": 1.0}}
    again = with_typed_models(bundle, tmp_path / "copy", {})
    for copy in (bundle, again):
        assert {"MODEL_CARD.md", "model.safetensors", "config.yaml"} < set(copy.files)
        assert "- it sees nothing" in (copy.path / "MODEL_CARD.md").read_text()
    assert load_checkpoint(bundle.path).config == CONFIG
    for name in ("openvino", "onnxruntime"):
        assert Predictor(bundle, load_backend(bundle, name, precision="f32")).self_test().differing < 10


def test_no_bundle_is_written_where_a_runtime_disagrees(model, samples, tmp_path, monkeypatch):
    monkeypatch.setattr(parity, "LOGIT_TOLERANCE", -1.0)
    notes = {"version": "1", "license": "Apache-2.0", "training": {}, "metrics": {}}
    with pytest.raises(ParityError):
        export_bundle(model, tmp_path / "tiny", samples["noise 1"], **notes)
    assert list(tmp_path.iterdir()) == []


def test_no_bundle_is_written_of_a_graph_that_cannot_be_deployed(model, samples, tmp_path, monkeypatch):
    monkeypatch.setattr("export.bundle.check_operators", lambda graph: ["TensorRT 8.6: NonZero here: because"])
    notes = {"version": "1", "license": "Apache-2.0", "training": {}, "metrics": {}}
    with pytest.raises(ExportError, match=r"does not fit TensorRT: TensorRT 8\.6: NonZero here: because"):
        export_bundle(model, tmp_path / "tiny", samples["noise 1"], **notes)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["model.safetensors", "config.yaml"])
def test_a_missing_checkpoint_file_is_named(checkpoint, tmp_path, name):
    for other in checkpoint.iterdir():
        if other.name != name:
            (tmp_path / other.name).write_bytes(other.read_bytes())
    with pytest.raises(ConfigError, match=f"{name}: missing"):
        load_checkpoint(tmp_path)


def test_weights_of_another_size_are_refused(checkpoint, tmp_path):
    (tmp_path / "model.safetensors").write_bytes((checkpoint / "model.safetensors").read_bytes())
    (tmp_path / "config.yaml").write_text(
        (checkpoint / "config.yaml").read_text().replace("channels: 8", "channels: 16")
    )
    with pytest.raises(ConfigError, match=r"model\.safetensors: does not fit the configuration tiny"):
        load_checkpoint(tmp_path)


def test_truncated_weights_are_refused(checkpoint, tmp_path):
    (tmp_path / "config.yaml").write_text((checkpoint / "config.yaml").read_text())
    (tmp_path / "model.safetensors").write_bytes((checkpoint / "model.safetensors").read_bytes()[:1000])
    with pytest.raises(ConfigError, match=r"model\.safetensors"):
        load_checkpoint(tmp_path)


def test_the_command_line_ends_with_one_line_on_bad_input(tmp_path, tiny_sequence, capsys):
    sequence = str(tiny_sequence.path)
    arguments = ["export", str(tmp_path), str(tmp_path / "b"), "--golden-sequence", sequence]
    arguments += ["--data", "x", "--license", "y"]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("occ-train export: ")
    assert error.count("\n") == 1
    assert "missing" in error
