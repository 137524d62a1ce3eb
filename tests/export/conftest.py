"""A small OccLE with every part of the large one, its checkpoint, and its bundle."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs torch (the train extra)")
pytest.importorskip("onnx", reason="needs onnx (the train extra)")

import onnx
import torch
from safetensors.torch import save_file

from export.onnx import LOGITS, to_onnx, without_outputs
from occ_core import Grid, PreprocessConfig, VoxelizerConfig
from occ_models.config import ImageEncoderConfig, save_config
from occ_models.occle.config import FusionConfig, OccLEConfig
from occ_models.occle.model import OccLE

CONFIG = OccLEConfig(
    name="tiny",
    preprocess=PreprocessConfig(
        grid=Grid((32, 32, 16), 0.4, (0.0, -6.4, -3.2)),
        image_size=(96, 32),
        voxelizer=VoxelizerConfig(factor=2, max_points=4, max_voxels=256),
    ),
    channels=8,
    voxel_channels=4,
    semantic_image=ImageEncoderConfig(8, (1, 1, 1, 1)),
    geometric_image=ImageEncoderConfig(8, (1, 1, 1)),
    lidar_widths=(16, 16, 16),
    fusion=FusionConfig(("local", "mamba"), ("local", "none"), head=8, chunk=32),
    head_width=16,
)


def decisive(config: OccLEConfig) -> OccLE:
    """Random weights, made so that all decisions occur: statistics off their start, class logits far apart."""
    torch.manual_seed(0)
    model = OccLE(config).eval()
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(0, 0.1)
            elif name.endswith("running_var"):
                buffer.uniform_(0.3, 1)
        model.head.semantics.weight.mul_(5)
    return model


@pytest.fixture(scope="session")
def model() -> OccLE:
    """A network with every part of the large one."""
    return decisive(CONFIG)


@pytest.fixture(scope="session")
def checkpoint(model, tmp_path_factory) -> Path:
    """The model's checkpoint folder."""
    folder = tmp_path_factory.mktemp("checkpoint")
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / "model.safetensors")
    save_config(model.config, folder / "config.yaml")
    (folder / "training.yaml").write_text("steps: 3\n")
    return folder


@pytest.fixture(scope="session")
def whole(model) -> onnx.ModelProto:
    """The export with its logits: made once, it takes seconds."""
    return to_onnx(model)


@pytest.fixture(scope="session")
def shipped(whole) -> onnx.ModelProto:
    """What a bundle holds."""
    return without_outputs(whole, LOGITS)
