"""Score predictions against voxel ground truth, as SemanticKITTI's own evaluation does.

examples:
  occ-node evaluate --dataset KITTI --predictions predictions --sequences 08
  occ-node evaluate --dataset KITTI --predictions predictions --sequences 08 --json scores.json

Every frame with voxels/NNNNNN.label counts; counts are summed over all frames before dividing. mIoU is the mean of all
19 classes; beside it stands the mean of the classes that occur in the truth. The raw scan taken as prediction is scored
too, to show how much was completed."""

import argparse
import json
import os
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dataset", type=Path, required=True, metavar="ROOT", help="folder that holds sequences/")
    parser.add_argument("--predictions", type=Path, required=True, metavar="DIR", help="what `infer` wrote")
    parser.add_argument("--sequences", nargs="+", required=True, metavar="SS", help="such as 08")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")


def command(arguments: argparse.Namespace) -> int:
    scores = evaluate(arguments.dataset, arguments.predictions, arguments.sequences, progress=True)
    print(table(scores))
    if arguments.json:
        write_json(arguments.json, scores)
    return 0


def evaluate(dataset: Path, predictions: Path, names: list[str], progress: bool = False) -> dict:
    """Percentages over all frames with truth: `CompletionMetrics.summary`, frames, class_voxels of the truth, and
    scan_baseline {iou, precision, recall}, None where a frame has no scan.

    Raises CommandError where there is no truth or a prediction is missing, DataError for files that cannot be used.
    """
    from tqdm import tqdm

    from occ_core import CLASS_NAMES, KITTI_GRID, CompletionMetrics
    from occ_core.voxelizer import occupancy_grid
    from occ_data.kitti import sequences

    from ..errors import CommandError
    from .infer import prediction_file

    frames = [(drive, f) for drive in sequences(dataset, names) for f in _frames_with_truth(drive)]
    for drive, frame in frames:
        if not (path := prediction_file(predictions, drive.name, frame)).is_file():
            raise CommandError(f"{path}: missing; expected a prediction for every frame with voxels/*.label")
    has_scans = all(drive.file("velodyne", frame, "bin").is_file() for drive, frame in frames)
    metrics, scans = CompletionMetrics(), CompletionMetrics() if has_scans else None
    for drive, frame in tqdm(frames, desc="evaluate", unit="frame", disable=not progress):
        truth = drive.voxel_labels(frame)
        metrics.add(read_prediction(prediction_file(predictions, drive.name, frame)), truth)
        if scans is not None:
            scans.add(occupancy_grid(drive.scan(frame), KITTI_GRID), truth)
    counts = metrics.confusion.sum(0)[1:]
    baseline = {key: scans.summary()[key] for key in ("iou", "precision", "recall")} if scans else None
    return {
        "dataset": str(dataset), "predictions": str(predictions), "sequences": list(names), "frames": len(frames),
        **metrics.summary(),
        "class_voxels": {name: int(count) for name, count in zip(CLASS_NAMES[1:], counts, strict=True)},
        "scan_baseline": baseline,
    }  # fmt: skip


def _frames_with_truth(drive) -> list[str]:
    from ..errors import CommandError

    frames = sorted(file.stem for file in (drive.path / "voxels").glob("*.label"))
    if not frames:
        raise CommandError(
            f"{drive.path / 'voxels'}: no .label files; make the ground truth first: "
            f"occ-data ground-truth {drive.path.parent.parent} --sequences {drive.name}"
        )
    return frames


def read_prediction(path: Path):
    """(256, 256, 32) uint8 classes 0..19 of a prediction; as officially, raw ids without a class count as empty."""
    from occ_core import IGNORE
    from occ_core.taxonomy import voxels_from_raw
    from occ_data.kitti import read_voxel_labels

    classes = voxels_from_raw(read_voxel_labels(path))
    classes[classes == IGNORE] = 0
    return classes


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


def write_json(path: Path, content: dict) -> None:
    """Write a JSON file that appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".tmp")
    part.write_text(json.dumps(content, indent=2) + "\n")
    os.replace(part, path)
