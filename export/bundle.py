"""Checkpoint folder -> bundle folder."""

from pathlib import Path
from typing import Any

import numpy as np

from occ_core import CLOUD_TENSORS, FramePreprocessor
from occ_core.errors import InputError
from occ_core.files import read_bytes, read_mapping
from occ_data import Drive
from occ_models.confidence import confidence_figures
from occ_models.layers.head import OccupancyNetwork
from occ_runtime import Bundle, BundleInfo, input_specs, output_specs, write_bundle
from occ_runtime.manifest import CARD, CHECKPOINT, FAILURES

from .model_card import model_card
from .onnx import LOGITS, run_torch, to_onnx, without_outputs
from .operators import check_operators
from .parity import Parity, check_parity, random_inputs

TRAINING = "training.yaml"
MAX_CHECKPOINT_BYTES = 20_000_000
"""A larger checkpoint is not put into the bundle."""


class ExportError(InputError):
    """A checkpoint or graph that cannot become a bundle."""


def training_recipe(folder: str | Path) -> dict[str, Any]:
    """The effective training configuration in a checkpoint folder; empty where there is none."""
    path = Path(folder) / TRAINING
    return read_mapping(path) if path.is_file() else {}


def checkpoint_files(folder: str | Path) -> dict[str, bytes]:
    """The files of a checkpoint folder that go into a bundle, by name; none where they are larger than
    MAX_CHECKPOINT_BYTES.
    """
    found = [path for name in CHECKPOINT if (path := Path(folder) / name).is_file()]
    small = sum(path.stat().st_size for path in found) <= MAX_CHECKPOINT_BYTES
    return {path.name: path.read_bytes() for path in found} if small else {}


def golden_inputs(model: OccupancyNetwork, drive: Drive, frame: str) -> dict[str, np.ndarray]:
    """Input tensors of one frame of a drive."""
    scan = drive.scan(frame) if any(name in CLOUD_TENSORS for name in model.config.inputs) else None
    return FramePreprocessor(model.config.preprocess)(drive.image(frame), scan, drive.calibration)


def export_bundle(
    model: OccupancyNetwork,
    folder: str | Path,
    golden: dict[str, np.ndarray],
    *,
    version: str,
    license: str,
    training: dict[str, Any],
    metrics: dict[str, Any],
    name: str | None = None,
    checkpoint: str | Path | None = None,
    picture: Path | None = None,
) -> tuple[Bundle, list[Parity]]:
    """Export, prove and write; nothing is written where a runtime disagrees or the graph is not deployable.

    golden: input tensors of the golden frame; its expected outputs are torch's. checkpoint: folder of the model, whose
    files go into the bundle (`checkpoint_files`), and the figures of its calibration into the metrics. picture: PNG of
    failures, for the model card.
    """
    if (views := len(model.config.views)) != 1:
        raise ExportError(f"frames: {views}; a bundle's inputs are one frame, as the node makes them")
    config = model.config.preprocess
    whole = to_onnx(model)
    shipped = without_outputs(whole, LOGITS)
    if refused := check_operators(shipped):
        raise ExportError(f"the graph does not fit TensorRT: {'; '.join(refused)}")
    samples = {"the golden frame": golden, "noise": random_inputs(config, seed=0)}
    parity = check_parity(model, shipped, whole, samples)
    expected = run_torch(model, golden)
    inputs, outputs = input_specs(config, model.config.inputs), output_specs(config.grid)
    files = checkpoint_files(checkpoint) if checkpoint else {}
    figures = confidence_figures(checkpoint) if checkpoint else {}
    info = BundleInfo(
        name=name or Path(folder).name,
        model=model.config.model,
        size=model.config.name,
        version=version,
        preprocess=config,
        inputs=inputs,
        training=training,
        license=license,
        metrics=metrics | ({"confidence": figures} if figures else {}),
    )
    shown = {FAILURES: read_bytes(picture)} if picture else {}
    beside = {**files, **shown, CARD: model_card(info, bool(files), bool(shown)).encode()}
    sample = ({spec.name: golden[spec.name] for spec in inputs}, {spec.name: expected[spec.name] for spec in outputs})
    content = shipped.SerializeToString(deterministic=True)
    return write_bundle(folder, info, content, sample, beside=beside), parity
