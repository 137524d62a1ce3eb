"""A calibrated network keeps its probabilities through the export, in float16 too."""

import copy

import numpy as np
import pytest

from export.float16 import to_f16
from export.onnx import LOGITS, run_torch, to_onnx, without_outputs
from export.operators import check_operators
from export.parity import onnxruntime_runner, random_inputs
from occ_models.confidence import Confidence

from .conftest import CONFIG


@pytest.fixture(scope="module")
def calibrated(model):
    """The network with another offset, temperature and shift than none."""
    changed = copy.deepcopy(model)
    changed.confidence = Confidence(0.3, tuple(1 + n / 10 for n in range(20)), tuple(n / 20 - 0.5 for n in range(20)))
    return changed


def test_graphs_have_the_calibrated_confidence(model, calibrated):
    graph = without_outputs(to_onnx(calibrated), LOGITS)
    assert check_operators(graph) == []
    inputs = random_inputs(CONFIG.preprocess, seed=1)
    expected = run_torch(calibrated, inputs)
    assert np.abs(expected["confidence"].astype(int) - run_torch(model, inputs)["confidence"]).mean() > 3
    for typed, most in ((graph, 0.05), (to_f16(graph), 2)):
        assert check_operators(typed) == []
        found = onnxruntime_runner(typed.SerializeToString())(inputs)
        assert np.abs(found["confidence"].astype(int) - expected["confidence"]).mean() < most
