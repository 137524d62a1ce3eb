import sys

import numpy as np
import pytest

from occ_core.frame import FramePreprocessor
from occ_runtime import BACKENDS, Backend, BackendError, BundleError, SelfTest, load_backend
from occ_runtime.fake_backend import write_fake_bundle

from .conftest import PREPROCESS, frame, make_bundle, network

REAL = ("openvino", "onnxruntime")


@pytest.fixture
def inputs():
    return FramePreprocessor(PREPROCESS)(*frame())


@pytest.mark.parametrize("name", [*REAL, "fake"])
def test_every_backend_fulfils_the_protocol(bundle, name):
    """TensorRT's two are in tensorrt/test_backend.py and tensorrt/test_standby.py."""
    backend = load_backend(bundle, name)
    assert isinstance(backend, Backend)
    assert (backend.name, backend.precision in ("f32", "bf16")) == (name, True)
    assert backend.description.startswith(name)


def test_the_names_are_those_of_the_table():
    assert ("auto", "tensorrt", *REAL, "fake") == BACKENDS


def test_an_unknown_backend_is_named_with_those_there_are(bundle):
    expected = f"backend 'radar' is unknown; expected one of {', '.join(BACKENDS)}"
    with pytest.raises(BackendError, match=expected):
        load_backend(bundle, "radar")


@pytest.mark.parametrize("name", REAL)
def test_a_backend_computes_the_golden_outputs(bundle, name):
    golden_inputs, expected = bundle.golden()
    outputs = load_backend(bundle, name).infer(golden_inputs)
    assert np.array_equal(outputs["labels"], expected["labels"])
    assert np.abs(outputs["confidence"].astype(int) - expected["confidence"]).max() <= 1


def test_backends_agree(bundle, inputs):
    first, *others = (load_backend(bundle, name).infer(inputs) for name in REAL)
    for other in others:
        assert np.array_equal(first["labels"], other["labels"])
        assert np.array_equal(first["confidence"], other["confidence"])


@pytest.mark.parametrize("name", [*REAL, "fake"])
def test_outputs_stay_as_they_are_when_the_next_frame_runs(bundle, inputs, name):
    backend = load_backend(bundle, name)
    first = backend.infer(inputs)["labels"]
    kept = first.copy()
    backend.infer(inputs | {"occupancy": 1 - inputs["occupancy"]})
    assert np.array_equal(first, kept)


@pytest.mark.parametrize("name", [*REAL, "fake"])
def test_a_missing_input_is_named(bundle, inputs, name):
    del inputs["occupancy"]
    with pytest.raises(ValueError, match="'occupancy' is missing"):
        load_backend(bundle, name).infer(inputs)


@pytest.mark.parametrize("name", [*REAL, "fake"])
def test_an_input_of_another_dtype_is_named(bundle, inputs, name):
    inputs["image"] = inputs["image"].astype(np.float64)
    with pytest.raises(ValueError, match=r"image is float64\[1, 3, 16, 48\], expected image float32"):
        load_backend(bundle, name).infer(inputs)


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize(
    "change", [{"inputs": ("image", "occupancy", "lifting")}, {"confidence": "certainty"}], ids=["input", "output"]
)
def test_a_model_with_other_tensors_than_the_manifest_is_refused(tmp_path, name, change):
    bundle = make_bundle(tmp_path / "tiny", network(**change))
    with pytest.raises(BundleError, match=r"its (in|out)puts are .*(lifting|certainty).*the manifest lists"):
        load_backend(bundle, name)


def test_auto_takes_openvino_and_says_so(bundle):
    backend = load_backend(bundle)
    assert backend.name == "openvino"
    assert "auto" in backend.description


def test_auto_falls_back_to_onnxruntime_and_says_why(bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    backend = load_backend(bundle)
    assert backend.name == "onnxruntime"
    assert "openvino is not installed (pip install openvino)" in backend.description


@pytest.mark.parametrize("name", REAL)
def test_a_backend_that_is_not_installed_names_its_package(bundle, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BackendError, match=f"pip install {name}"):
        load_backend(bundle, name)


def test_auto_computes_in_f32_where_bf16_changes_the_golden_labels(bundle, monkeypatch):
    import openvino

    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("needs a CPU with bfloat16")
    assert " bf16, " in load_backend(bundle, "openvino").description
    far_off = SelfTest(voxels=1000, differing=20, occupied=100, differing_occupied=20, confidence_deviation=0.0)
    monkeypatch.setattr("occ_runtime.openvino_backend.golden_test", lambda bundle, infer: far_off)
    description = load_backend(bundle, "openvino").description
    assert " f32, " in description and "(bf16 changes 2.0 % of the golden labels)" in description
    assert " bf16, " in load_backend(bundle, "openvino", precision="bf16").description  # who asks for it gets it


def test_auto_without_any_runtime_names_both(bundle, monkeypatch):
    for name in REAL:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BackendError, match=r"openvino is not installed.*onnxruntime is not installed"):
        load_backend(bundle)


@pytest.mark.parametrize("name", REAL)
def test_a_model_that_is_none_is_refused_in_one_line(tmp_path, name):
    with pytest.raises(BackendError, match="cannot load") as caught:
        load_backend(make_bundle(tmp_path / "tiny", b"not a model"), name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "tpu"}, "backend 'tpu' is unknown; expected one of auto, tensorrt, openvino"),
        ({"precision": "int4"}, "precision 'int4' is unknown; expected one of auto, f32, bf16, f16, int8"),
        ({"threads": 0}, "threads: expected a positive number"),
        ({"name": "onnxruntime", "precision": "bf16"}, "precision 'bf16' needs openvino"),
    ],
)
def test_a_wrong_option_is_refused(bundle, options, message):
    with pytest.raises(BackendError, match=message):
        load_backend(bundle, **options)


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize(("precision", "kind"), [("f32", 13), ("f16", 7), ("int8", 9), ("auto", 13)])
def test_each_precision_runs_its_own_file(tmp_path, inputs, name, precision, kind):
    typed = {"f16": network(kind=7), "int8": network(kind=9)}
    backend = load_backend(make_bundle(tmp_path / "tiny", network(), typed=typed), name, precision=precision)
    assert backend.infer(inputs)["labels"].max() == kind
    assert precision in ("auto", backend.precision)
    if precision != "auto":
        assert precision in backend.description


@pytest.mark.parametrize("name", REAL)
def test_a_precision_that_the_bundle_lacks_is_refused(bundle, name):
    with pytest.raises(BundleError, match="bundle tiny has no f16 model; it has f32"):
        load_backend(bundle, name, precision="f16")


@pytest.mark.parametrize("name", REAL)
def test_threads_are_set(bundle, inputs, name):
    backend = load_backend(bundle, name, threads=1)
    assert "threads 1" in backend.description
    assert backend.infer(inputs)["labels"].any()


def test_the_fake_labels_what_the_scan_hit(tmp_path):
    bundle = write_fake_bundle(tmp_path / "fake")
    inputs, expected = bundle.golden()
    outputs = load_backend(bundle, "fake").infer(inputs)
    assert np.array_equal(outputs["labels"], expected["labels"])
    assert np.array_equal(outputs["labels"] == 13, inputs["occupancy"] == 1)


def test_the_fake_of_a_camera_alone_labels_what_is_bright_as_far_off_as_the_depth_image_says(tmp_path):
    bundle = write_fake_bundle(tmp_path / "fake", camera_only=True)
    assert (bundle.needs_cloud, bundle.model) == (False, "monoocc")
    inputs, _ = bundle.golden()
    inputs["image"][:], inputs["depth"][:] = 1, 30
    labels = load_backend(bundle, "fake").infer(inputs)["labels"][0]
    lifted = inputs["voxel_depth"].reshape(64, 64, 8)[labels[::4, ::4, ::4] == 13]
    assert len(lifted) and abs(lifted - 30).max() < 1
    inputs["image"][:] = -1
    assert not load_backend(bundle, "fake").infer(inputs)["labels"].any()
