"""A bundle in several precisions: the measured quality of each, and which of them may ship."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from tqdm import tqdm

from occ_core import CompletionMetrics, FramePreprocessor
from occ_core.errors import InputError
from occ_data import Drive, open_drive
from occ_runtime import BackendError, Bundle, load_backend, with_typed_models
from occ_runtime.predictor import LABELS_ALLOWED, golden_test

from .float16 import to_f16
from .operators import check_operators
from .quantisation import to_int8

MIOU_POINTS_LOST = 1.0
"""A precision that loses more than this against f32, in any runtime, is not shipped."""
RUNS = (
    ("f32", "onnxruntime"), ("f32", "openvino"), ("bf16", "openvino"), ("f16", "onnxruntime"), ("f16", "openvino"),
    ("int8", "onnxruntime"), ("int8", "openvino"),
)  # fmt: skip
"""Precision and runtime; the first is the reference."""


@dataclass(frozen=True)
class Quality:
    """One precision in one runtime over all frames of the evaluation; shares and IoU in percent.

    labels_agree and occupied_agree: with the first of `RUNS`, over all voxels and over those occupied by either.
    """

    precision: str
    runtime: str
    megabytes: float
    iou: float
    miou: float
    labels_agree: float
    occupied_agree: float


def add_precisions(
    bundle: Bundle, calibration: Sequence[str | Path], evaluation: Sequence[str | Path], progress: bool = False
) -> tuple[list[Quality], dict[str, str]]:
    """Make the f16 and int8 models of a bundle's f32 one, measure them, and write those that pass into the bundle.

    Parameters
    ----------
    calibration : drives (as `open_drive` takes them) whose frames give int8 its ranges
    evaluation : drives with voxel ground truth, not among those trained on

    Returns the table, and the reason by precision for each that was refused (and is not in the bundle now).
    Raises BundleError, DataError; InputError where there is no frame to calibrate with or to measure on.
    """
    calibrating = [(drive, frame) for drive in map(open_drive, calibration) for frame in _frames(bundle, drive)]
    measuring = [
        (drive, f) for drive in map(open_drive, evaluation) for f in _frames(bundle, drive) if drive.has_voxels(f)
    ]
    if not measuring:
        raise InputError(f"{', '.join(map(str, evaluation))}: no voxel labels; expected ground truth to measure on")
    preprocess = _Preprocessor(bundle)
    graph = onnx.load(bundle.model_file)
    if findings := check_operators(graph):
        first, number = findings[0], len(findings)
        raise InputError(f"{bundle.model_file}: does not fit TensorRT, export it again: {first} ({number} findings)")
    inputs = (preprocess(drive, frame) for drive, frame in calibrating)
    bar = tqdm(inputs, "calibrate int8", len(calibrating), unit="frame", disable=not progress)
    typed = {"f16": to_f16(graph), "int8": to_int8(graph, bar)}

    serialised = {precision: model.SerializeToString(deterministic=True) for precision, model in typed.items()}
    with tempfile.TemporaryDirectory() as folder:
        candidate = with_typed_models(bundle, Path(folder) / bundle.name, serialised)
        table = measure(candidate, measuring, progress)
        refused = {precision: reason for precision in typed if (reason := _refusal(candidate, precision, table))}
    with_typed_models(bundle, bundle.path, {p: content for p, content in serialised.items() if p not in refused})
    return table, refused


def _frames(bundle: Bundle, drive: Drive) -> list[str]:
    return drive.frames if bundle.needs_cloud else drive.image_frames


class _Preprocessor:
    """A bundle's inputs from the files of a frame."""

    def __init__(self, bundle: Bundle):
        self._needs_cloud, self._preprocess = bundle.needs_cloud, FramePreprocessor(bundle.preprocess)

    def __call__(self, drive: Drive, frame: str) -> dict[str, np.ndarray]:
        scan = drive.scan(frame) if self._needs_cloud else None
        return self._preprocess(drive.image(frame), scan, drive.calibration)


def measure(bundle: Bundle, frames: list[tuple[Drive, str]], progress: bool = False) -> list[Quality]:
    """The bundle's precisions on frames with ground truth, in the order of `RUNS`, where this CPU can run them."""
    preprocess = _Preprocessor(bundle)
    table, reference = [], []
    with tqdm(total=len(RUNS) * len(frames), desc="measure", unit="frame", disable=not progress) as bar:
        for precision, runtime in RUNS:
            bar.set_postfix_str(f"{precision} {runtime}")
            try:
                backend = load_backend(bundle, runtime, precision=precision)
            except BackendError:  # bf16 on a CPU that has none
                bar.update(len(frames))
                continue
            metrics, agreeing = CompletionMetrics(), np.zeros(4, np.int64)
            for n, (drive, frame) in enumerate(frames):
                labels = backend.infer(preprocess(drive, frame))["labels"]
                if len(reference) == n:
                    reference.append(labels)
                metrics.add(labels[0], drive.voxel_labels(frame))
                agreeing += _agreement(labels, reference[n])
                bar.update()
            backend.close()
            same, voxels, same_occupied, occupied = agreeing
            scores = metrics.summary()
            table.append(
                Quality(
                    precision,
                    runtime,
                    bundle.model_file_of(precision).stat().st_size / 1e6,
                    scores["iou"],
                    scores["miou"],
                    float(100 * same / voxels),
                    float(100 * same_occupied / max(occupied, 1)),
                )
            )
    return table


def _agreement(labels: np.ndarray, reference: np.ndarray) -> tuple[int, int, int, int]:
    """Numbers of voxels: equal, all, equal and occupied in either, occupied in either."""
    same, occupied = labels == reference, (labels > 0) | (reference > 0)
    return same.sum(), same.size, (same & occupied).sum(), occupied.sum()


def _refusal(bundle: Bundle, precision: str, table: list[Quality]) -> str:
    """Why a precision must not ship; empty where it may."""
    if findings := check_operators(onnx.load(bundle.model_file_of(precision))):
        return f"it does not fit TensorRT: {'; '.join(findings)}"
    for row in table:
        lost = table[0].miou - row.miou
        if row.precision == precision and not lost <= MIOU_POINTS_LOST:
            return f"{row.runtime} loses {lost:.2f} points of mIoU, at most {MIOU_POINTS_LOST:.0f} may be lost"
    for wanted, runtime in RUNS:
        if wanted == precision:
            result = golden_test(bundle, load_backend(bundle, runtime, precision=precision).infer)
            if not result.agrees:
                return f"{runtime}: {result}; {LABELS_ALLOWED}"
    return ""


def table_text(table: list[Quality]) -> str:
    """The table as text."""
    head = f"{'precision':10}{'runtime':13}{'MB':>7}{'IoU':>8}{'mIoU':>8}{'labels as f32':>15}{'where occupied':>16}"
    return "\n".join(
        [head]
        + [
            f"{r.precision:10}{r.runtime:13}{r.megabytes:7.1f}{r.iou:8.2f}{r.miou:8.2f}{r.labels_agree:14.3f}%"
            f"{r.occupied_agree:15.2f}%"
            for r in table
        ]
    )
