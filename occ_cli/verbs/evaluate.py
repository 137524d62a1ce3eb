"""Score predictions against voxel ground truth, as SemanticKITTI's own evaluation does.

examples:
  occ-node evaluate --dataset KITTI --predictions predictions --sequences 08
  occ-node evaluate --dataset KITTI --predictions predictions --sequences 08 --json scores.json
  occ-node evaluate --drive synthetic:7:20 --predictions predictions

Every frame with voxels/NNNNNN.label counts; counts are summed over all frames before dividing. mIoU is the mean of all
19 classes; beside it stands the mean of the classes that occur in the truth. The raw scan taken as prediction is scored
too, to show how much was completed. Predictions on a coarser grid (`grid.yaml` beside them) are scored against the
downscaled truth."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..sources import add_drive_arguments, chosen_drives

if TYPE_CHECKING:
    from occ_core import CompletionMetrics
    from occ_data import Drive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_drive_arguments(parser)
    parser.add_argument("--predictions", type=Path, required=True, metavar="DIR", help="what `infer` wrote")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")


def command(arguments: argparse.Namespace) -> int:
    from occ_core.files import write_json

    scores = evaluate(chosen_drives(arguments), arguments.predictions, progress=True)
    print(table(scores))
    if arguments.json:
        write_json(arguments.json, scores)
    return 0


def evaluate(drives: "list[Drive]", predictions: Path, progress: bool = False) -> dict:
    """Percentages over all frames with truth: `CompletionMetrics.summary`, frames, class_voxels of the truth, and
    scan_baseline {iou, precision, recall}, None where a frame has no scan.

    Raises CommandError where there is no truth or a prediction is missing, DataError for files that cannot be used,
    InputError for predictions on a grid that the truth cannot be downscaled to.
    """
    from tqdm import tqdm

    from occ_core import CompletionMetrics
    from occ_core.labels import labels_on
    from occ_core.transforms import move_points
    from occ_core.voxelizer import occupancy_grid

    from ..errors import CommandError
    from ..predictions import prediction_file, read_prediction

    frames = [(drive, frame) for drive in drives for frame in _frames_with_truth(drive)]
    for drive, frame in frames:
        if not (path := prediction_file(predictions, drive.name, frame)).is_file():
            raise CommandError(f"{path}: missing; expected a prediction for every frame with voxel truth")
    has_scans = all(drive.has_scan(frame) for drive, frame in frames)
    metrics, scans = CompletionMetrics(), CompletionMetrics() if has_scans else None
    for drive, frame in tqdm(frames, desc="evaluate", unit="frame", disable=not progress):
        labels, grid = read_prediction(prediction_file(predictions, drive.name, frame))
        truth = labels_on(grid, drive.voxel_labels(frame), drive.grid)
        metrics.add(labels, truth)
        if scans is not None:
            points = move_points(drive.scan(frame), drive.rig.T_grid_lidar)
            scans.add(occupancy_grid(points, grid), truth)
    baseline = {key: scans.summary()[key] for key in ("iou", "precision", "recall")} if scans else None
    return summary(drives, str(predictions), len(frames), metrics, baseline)


def summary(
    drives: "list[Drive]", source: str, frames: int, metrics: "CompletionMetrics", baseline: dict | None = None
) -> dict:
    """The figures of `evaluate`. source : what was scored: folder of predictions, or of a network"""
    from occ_core import CLASS_NAMES

    counts = metrics.confusion.sum(0)[1:]
    return {
        "drives": [str(drive.path) for drive in drives], "predictions": source,
        "sequences": [drive.name for drive in drives], "frames": frames,
        **metrics.summary(),
        "class_voxels": {name: int(count) for name, count in zip(CLASS_NAMES[1:], counts, strict=True)},
        "scan_baseline": baseline,
    }  # fmt: skip


def _frames_with_truth(drive: "Drive") -> list[str]:
    from occ_data import Sequence

    from ..errors import CommandError

    if drive.voxel_frames:
        return drive.voxel_frames
    if isinstance(drive, Sequence):
        raise CommandError(
            f"{drive.path / 'voxels'}: no .label files; make the ground truth first: "
            f"occ-data ground-truth {drive.path.parent.parent} --sequences {drive.name}"
        )
    raise CommandError(f"{drive.path}: has no voxel ground truth")


def table(scores: dict) -> str:
    """The figures for people."""
    lines = [
        f"{scores['frames']} frames of sequences {', '.join(scores['sequences'])}; {scores['voxels']:,} voxels scored",
        "",
        f"{'':24}{'IoU':>8}{'precision':>11}{'recall':>8}",
        _row("prediction", scores),
    ]
    if baseline := scores["scan_baseline"]:
        lines.append(_row("raw scan, for reference", baseline))
        if baseline["iou"]:
            lines.append(f"The prediction has {scores['iou'] / baseline['iou']:.2f} times the IoU of the raw scan.")
    lines += [
        "",
        f"mIoU {scores['miou']:6.2f} over all 19 classes",
        f"mIoU {scores['miou_present']:6.2f} over the {scores['classes_present']} classes that occur in the truth",
        "",
        f"{'class':16}{'IoU':>8}{'true voxels':>14}",
    ]
    for name, iou in scores["class_iou"].items():
        lines.append(f"{name:16}{iou:8.2f}{scores['class_voxels'][name]:14,}")
    return "\n".join(lines)


def _row(name: str, scores: dict) -> str:
    return f"{name:<24}{scores['iou']:8.2f}{scores['precision']:11.2f}{scores['recall']:8.2f}"
