"""MonoOcc on its way to a bundle: the same checks as OccLE's, and what a camera-only bundle holds."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

import onnx  # noqa: E402

from export.bundle import ExportError, export_bundle  # noqa: E402
from export.float16 import to_f16  # noqa: E402
from export.onnx import LOGITS, run_torch, to_onnx, without_outputs  # noqa: E402
from export.operators import check_operators, operators  # noqa: E402
from export.parity import check_parity, onnxruntime_runner, random_inputs  # noqa: E402
from export.torch_engine import random_model  # noqa: E402
from occ_core import Calibration, FramePreprocessor  # noqa: E402
from occ_models.checkpoint import load_checkpoint  # noqa: E402
from occ_models.config import load_config  # noqa: E402
from occ_models.monoocc.config import MonoOccConfig  # noqa: E402
from occ_models.monoocc.internimage import SIZES, InternImageSize  # noqa: E402
from occ_models.monoocc.model import MonoOcc  # noqa: E402
from occ_models.networks import MONOOCC  # noqa: E402
from occ_models.weights import save_weights  # noqa: E402
from occ_runtime import Bundle, Predictor, load_backend  # noqa: E402

SMALL = (
    "preprocess", "channels", "image", "image_stride", "depth_bins", "depth_width", "proposal_widths", "heads",
    "points", "head_width",
)  # fmt: skip


@pytest.fixture(scope="module")
def model() -> MonoOcc:
    return random_model("pico", MONOOCC)


@pytest.fixture(scope="module")
def whole(model) -> onnx.ModelProto:
    return to_onnx(model)


@pytest.fixture(scope="module")
def shipped(whole) -> onnx.ModelProto:
    return without_outputs(whole, LOGITS)


@pytest.fixture(scope="module")
def samples(model) -> dict:
    return {f"noise {seed}": random_inputs(model.config.preprocess, seed) for seed in (1, 2)}


def test_runtimes_agree_with_torch(model, shipped, whole, samples):
    results = check_parity(model, shipped, whole, samples)
    assert len(results) == 4
    assert max(r.logit_deviation for r in results) < 1e-3
    labels = run_torch(model, samples["noise 1"])["labels"]
    assert len(np.unique(labels)) > 5 and 0.02 < (labels > 0).mean() < 0.98


def test_the_graph_is_deployable_with_all_of_it_inside(shipped, model):
    assert check_operators(shipped) == []
    assert [value.name for value in shipped.graph.input] == list(model.config.inputs)
    counts = operators(shipped)
    assert counts["TopK"] == counts["ScatterElements"] == 1
    # Evidence of the depths twice; cross-attention and image-conditioned attention; self-attention twice.
    assert counts["GridSample"] == 2 + 2 + 2


def test_the_folded_sheet_and_the_full_embedding_are_deployable_too(model):
    config = replace(model.config, self_attention="sheet", embedding="full", conditioned_layers=0)
    assert check_operators(without_outputs(to_onnx(MonoOcc(config).eval()), LOGITS)) == []


def test_a_depth_image_changes_the_answer(shipped, samples):
    run, inputs = onnxruntime_runner(shipped.SerializeToString()), samples["noise 1"]
    own = run(inputs)["labels"]
    known = run({**inputs, "depth": np.full_like(inputs["depth"], 12.0)})["labels"]
    assert (own != known).any()


def test_what_leads_to_a_sampled_place_stays_in_float32(shipped, samples):
    typed = to_f16(shipped)
    assert check_operators(typed) == []
    kinds = {v.name: v.type.tensor_type.elem_type for v in onnx.shape_inference.infer_shapes(typed).graph.value_info}
    sampled = {node.input[1] for node in typed.graph.node if node.op_type == "GridSample"}
    for node in reversed(typed.graph.node):  # back to the products that offsets come from
        if sampled.intersection(node.output) and node.op_type not in ("MatMul", "TopK"):
            assert onnx.TensorProto.FLOAT16 not in {kinds.get(name) for name in node.output}, node.name
            sampled.update(node.input)
    assert any(kinds[node.output[0]] == onnx.TensorProto.FLOAT16 for node in typed.graph.node if node.op_type == "Conv")
    labels, exact = (onnxruntime_runner(g.SerializeToString())(samples["noise 1"])["labels"] for g in (typed, shipped))
    assert (labels == exact).mean() > 0.995


def test_a_checkpoint_becomes_a_bundle_that_needs_no_cloud(model, shipped, tmp_path, monkeypatch, whole):
    monkeypatch.setattr("export.bundle.to_onnx", lambda _: whole)
    save_weights(model, tmp_path / "weights")
    loaded = load_checkpoint(tmp_path / "weights").eval()
    rig = Calibration([(700, 0, 600, 0), (0, 700, 180, 0), (0, 0, 1, 0)], _T, (1220, 370))
    image = np.random.default_rng(0).integers(0, 255, (370, 1220, 3), np.uint8)
    golden = FramePreprocessor(model.config.preprocess)(image, None, rig)
    export_bundle(
        loaded, tmp_path / "mono", golden, version="1", license="Apache-2.0", training={"data": ["none"]}, metrics={}
    )
    bundle = Bundle.load(tmp_path / "mono")
    assert (bundle.model, bundle.needs_cloud) == ("monoocc", False)
    predictor = Predictor(bundle, load_backend(bundle, "onnxruntime"))
    assert predictor.self_test().agrees
    occupancy = predictor.predict(image, None, rig)
    assert occupancy.labels.shape == model.config.preprocess.grid.shape


def test_monoocc_l_is_deployable(monkeypatch):
    """One view of an InternImage, here of the smallest size, with all that the paper's network has."""
    monkeypatch.setitem(SIZES, "tiny", InternImageSize(16, (1, 1, 1, 1), post_norm=True, offset_scale=2.0))
    config = replace(
        load_config("paper-l", MonoOccConfig),
        **{name: getattr(load_config("pico", MonoOccConfig), name) for name in SMALL},
        intern="tiny",
        cross_layers=1,
        self_layers=1,
        conditioned_layers=1,
        dropout=0.0,
    )
    torch.manual_seed(0)
    model = MonoOcc(config).eval()
    whole = to_onnx(model)
    shipped = without_outputs(whole, LOGITS)
    assert check_operators(shipped) == []
    assert [value.name for value in shipped.graph.input] == list(config.inputs)
    assert "TopK" not in operators(shipped)  # no limit on proposals
    results = check_parity(model, shipped, whole, {"noise": random_inputs(config.preprocess, 1)})
    assert max(result.logit_deviation for result in results) < 1e-3


def test_a_teacher_of_several_views_is_no_bundle(model, tmp_path):
    teacher = MonoOcc(replace(model.config, views=(0, 3)))
    with pytest.raises(ExportError, match="frames: 2; a bundle's inputs are one frame"):
        export_bundle(teacher, tmp_path / "l", {}, version="1", license="x", training={}, metrics={})


_T = np.array([(0, -1, 0, 0), (0, 0, -1, 0), (1, 0, 0, 0), (0, 0, 0, 1)])
