"""The torch model behind the backend protocol; on the CPU here, on a GPU where there is one."""

import sys

import numpy as np
import pytest
import torch

from export.onnx import run_torch
from export.torch_engine import TorchBackend, random_model
from export.torch_frame import TorchFramePreprocessor
from occ_core import Calibration, FramePreprocessor
from occ_models.occle.model import OccLE
from occ_runtime import BackendError, Predictor
from occ_runtime.fake_backend import write_fake_bundle
from occ_runtime.predictor import LABELS_AGREE, compare_outputs

from .conftest import CONFIG

T_CAM_LIDAR = np.array([(0, -1, 0, 0), (0, 0, -1, 0), (1, 0, 0, 0), (0, 0, 0, 1)])


@pytest.fixture
def copy(model) -> OccLE:
    """The engine changes what it is given."""
    twin = OccLE(CONFIG)
    twin.load_state_dict(model.state_dict())
    return twin


def frame(seed: int):
    random = np.random.default_rng(seed)
    points = random.uniform((0, -6, -3, 0), (12, 6, 3, 1), (5000, 4)).astype(np.float32)
    rig = Calibration([(48, 0, 48, 0), (0, 48, 16, 0), (0, 0, 1, 0)], T_CAM_LIDAR, (96, 32))
    return random.integers(0, 256, (32, 96, 3), np.uint8), points, rig


@pytest.fixture(scope="module")
def sample(model):
    inputs = FramePreprocessor(CONFIG.preprocess)(*frame(3))
    return inputs, run_torch(model, inputs)


def agreement(backend, sample) -> float:
    inputs, expected = sample
    result = compare_outputs(backend.infer(inputs), expected)
    return 1 - result.differing / result.voxels


def test_the_golden_outputs_in_f32(copy, sample):
    backend = TorchBackend(copy, "eager", device="cpu")
    outputs = backend.infer(sample[0])
    assert set(outputs) == {"labels", "confidence"}
    assert all((a.dtype, a.shape) == (np.uint8, (1, *CONFIG.preprocess.grid.shape)) for a in outputs.values())
    assert agreement(backend, sample) == 1
    assert backend.name == "torch" and "cpu, f32, eager" in backend.description


def test_half_precision_passes_the_golden_sample(copy, sample):
    backend = TorchBackend(copy, "eager", "f16", device="cpu")
    assert next(copy.parameters()).dtype == torch.float16
    assert LABELS_AGREE <= agreement(backend, sample) < 1


def test_outputs_stay_as_they_are_when_the_next_frame_runs(copy, sample):
    backend = TorchBackend(copy, "eager", device="cpu")
    first = backend.infer(sample[0])["labels"]
    kept = first.copy()
    backend.infer(FramePreprocessor(CONFIG.preprocess)(*frame(4)))
    assert np.array_equal(first, kept)


def test_the_runtimes_predictor_takes_it(copy, tmp_path):
    bundle = write_fake_bundle(tmp_path / "tiny", CONFIG.preprocess)
    predictor = Predictor(bundle, TorchBackend(copy, "eager", device="cpu"))
    occupancy = predictor.predict(*frame(4))
    assert occupancy.labels.shape == CONFIG.preprocess.grid.shape


def test_it_takes_tensors_that_lie_on_the_device(copy, model):
    tensors = TorchFramePreprocessor(CONFIG.preprocess, "cpu")(*frame(4))
    expected = run_torch(model, {name: tensor.numpy() for name, tensor in tensors.items()})
    assert agreement(TorchBackend(copy, "eager", device="cpu"), (tensors, expected)) == 1


def test_a_missing_or_wrong_input_is_named(copy, sample):
    backend, inputs = TorchBackend(copy, "eager", device="cpu"), dict(sample[0])
    with pytest.raises(ValueError, match=r"image is float64\[1, 3, 32, 96\], expected float32\[1, 3, 32, 96\]"):
        backend.infer(inputs | {"image": inputs["image"].astype(np.float64)})
    del inputs["occupancy"]
    with pytest.raises(ValueError, match="'occupancy' is missing"):
        backend.infer(inputs)


@pytest.mark.parametrize(("mode", "precision"), [("fast", "f32"), ("graph", "int8")])
def test_an_unknown_mode_is_refused(copy, mode, precision):
    with pytest.raises(BackendError, match=f"mode {mode!r} in {precision!r} is unknown; expected one of eager, graph"):
        TorchBackend(copy, mode, precision, device="cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_without_cuda_there_is_one_sentence(copy):
    with pytest.raises(BackendError, match=r"^torch .* sees no CUDA device; this engine needs one$"):
        TorchBackend(copy)


def test_torch_tensorrt_that_is_not_installed_is_named(copy, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_tensorrt", None)
    with pytest.raises(BackendError, match="torch_tensorrt cannot be imported"):
        TorchBackend(copy, "tensorrt", device="cpu")


def test_what_the_kernels_did_stands_in_the_description(copy, monkeypatch):
    monkeypatch.setattr("export.torch_engine.use_kernels", lambda model: ["mamba_ssm in 2 layers", "no spconv (why)"])
    backend = TorchBackend(copy, "eager", kernels=True, device="cpu")
    assert backend.description.endswith("mamba_ssm in 2 layers, no spconv (why)")


def test_random_weights_are_the_same_at_every_call_and_leave_the_generator_alone():
    state = torch.random.get_rng_state()
    one, other = random_model("nano").state_dict(), random_model("nano").state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["f32", "f16"])
@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_the_gpu_passes_the_golden_sample(copy, sample, mode, precision):
    backend = TorchBackend(copy, mode, precision)
    assert "no CUDA graph" not in backend.description
    assert agreement(backend, sample) >= LABELS_AGREE
    inputs = FramePreprocessor(CONFIG.preprocess)(*frame(4))  # a graph replayed on another frame
    assert not np.array_equal(backend.infer(inputs)["labels"], sample[1]["labels"])
    backend.close()
