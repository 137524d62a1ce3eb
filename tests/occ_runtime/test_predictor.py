import numpy as np
import pytest

from occ_core.voxelizer import occupancy_grid
from occ_runtime import Backend, BundleError, Predictor, load_backend
from occ_runtime.predictor import compare_outputs

from .conftest import PREPROCESS, frame, make_bundle, network


@pytest.fixture(params=["openvino", "onnxruntime", "fake"])
def predictor(bundle, request):
    return Predictor(bundle, load_backend(bundle, request.param))


def test_a_frame_becomes_labelled_voxels(predictor):
    occupancy = predictor.predict(*frame())
    expected = occupancy_grid(frame()[1], PREPROCESS.grid) * 13
    assert np.array_equal(occupancy.labels, expected)
    assert occupancy.labels.dtype == occupancy.confidence.dtype == np.uint8
    assert occupancy.grid == PREPROCESS.grid


def test_both_stages_are_timed(predictor):
    predictor.predict(*frame())
    assert {name: stage["count"] for name, stage in predictor.profiler.summary().items()} == {
        "preprocess": 1,
        "inference": 1,
    }


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_a_healthy_engine_passes_its_self_test(bundle, name):
    result = Predictor(bundle, load_backend(bundle, name)).self_test()
    assert result.differing == 0
    assert result.confidence_deviation <= 1


def test_an_engine_that_disagrees_with_the_golden_sample_is_refused(tmp_path):
    bundle = make_bundle(tmp_path / "tiny", network(kind=13), golden_class=9)
    predictor = Predictor(bundle, load_backend(bundle, "onnxruntime"))
    with pytest.raises(BundleError, match=r"backend onnxruntime disagrees.* labels differ \(\d.*at most 0\.5 % may"):
        predictor.self_test()


class OneClass:
    """A backend of the user's own, in no table."""

    name, precision, description = "one-class", "int8", "one class everywhere"

    def infer(self, inputs):
        labels = inputs["occupancy"] * np.uint8(13)
        return {"labels": labels, "confidence": np.full_like(labels, 7)}

    def close(self):
        pass


def test_an_own_backend_can_be_handed_in(bundle):
    backend = OneClass()
    assert isinstance(backend, Backend)
    predictor = Predictor(bundle, backend)
    assert predictor.self_test().differing == 0
    assert predictor.predict(*frame()).confidence.max() == 7


@pytest.mark.parametrize(("precision", "hint"), [("int8", True), ("f32", False)])
def test_a_refusal_names_f32_where_another_precision_ran(tmp_path, precision, hint):
    backend = OneClass()
    backend.precision = precision
    with pytest.raises(BundleError, match="backend one-class disagrees") as caught:
        Predictor(make_bundle(tmp_path / "tiny", network(), golden_class=9), backend).self_test()
    assert ("precision f32 is exact" in str(caught.value)) is hint


def test_what_differs_is_counted():
    golden = {"labels": np.array([0, 0, 3, 3], np.uint8), "confidence": np.array([255, 0, 10, 10], np.uint8)}
    found = {"labels": np.array([0, 1, 3, 0], np.uint8), "confidence": np.array([0, 255, 10, 12], np.uint8)}
    result = compare_outputs(found, golden)
    assert (result.voxels, result.differing, result.occupied, result.differing_occupied) == (4, 2, 3, 2)
    assert result.confidence_deviation == (255 + 255 + 0 + 2) / 4
