"""Make a trained network's confidence the probability that a voxel is free or occupied as it says.

examples:
  occ-train calibrate out/nano --drive synthetic:400:50 synthetic:401:50
  occ-train calibrate out/nano --dataset DATA --sequences 07 --offset 0.4

Take frames with voxel truth that the network was not trained on. For each class of the prediction, and for free, a
temperature and a shift of the occupancy logits are fitted. They go to FOLDER/confidence.yaml with what was measured,
and from there into the bundle at the next `occ-train export`, in every precision. Labels change only with --offset: a
voxel is occupied where its logit plus OFFSET is positive. The last line says which offset is best on these frames."""

import argparse
from pathlib import Path

from ..sources import add_drive_arguments, chosen_drives


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="with model.safetensors and config.yaml")
    add_drive_arguments(parser)
    parser.add_argument("--offset", type=float, default=0.0, help="of the occupancy logits (default: %(default)g)")


def command(arguments: argparse.Namespace) -> int:
    from tqdm import tqdm

    from occ_models.checkpoint import load_checkpoint
    from occ_models.confidence import write_confidence
    from occ_models.evaluation import count_logits
    from occ_models.frames import Frame
    from occ_models.temperature import best_offset, figures, fit, iou_by_offset

    from ..errors import CommandError

    drives = chosen_drives(arguments)
    frames = [Frame(drive, frame, True) for drive in drives for frame in drive.voxel_frames]
    if not frames:
        raise CommandError(f"{', '.join(str(d.path) for d in drives)}: no frame with voxel ground truth")
    model = load_checkpoint(arguments.folder)
    *_, counts = tqdm(count_logits(model, frames), "calibrate", len(frames), unit="frame")
    if not counts.voxels[..., 1].any():
        raise CommandError(f"{', '.join(str(d.path) for d in drives)}: no occupied voxel; expected some to fit with")
    confidence = fit(counts, arguments.offset)
    found = figures(counts, confidence)
    path = write_confidence(arguments.folder, confidence, {"drives": [drive.name for drive in drives], **found})
    for title, when in (("before", "before"), ("calibrated", "after")):
        print(f"{title}\n{confidence_table(found['occupancy'][when])}\n")
    of_class = found["class"]
    print(
        f"class of occupied voxels: calibration error {of_class['before']['ece']:.2f} %, "
        f"{of_class['after']['ece']:.2f} % with temperature {of_class['temperature']:g} (not in the engine)"
    )
    ious, best = iou_by_offset(counts), best_offset(counts)
    print(f"offset with the best IoU: {best:g} ({ious[best]:.2f}; {ious[0.0]:.2f} at 0)")
    print(path)
    return 0


def confidence_table(summary: dict) -> str:
    """`Reliability.summary` for people."""
    shares = list(summary["all"]["risk"])
    lines = [f"{'decisions':12}{'calibration error':>20}   wrong among the most confident {', '.join(shares)}"]
    for name, figures in summary.items():
        risks = "  ".join(f"{risk:.2f}" for risk in figures["risk"].values())
        lines.append(f"{name:12}{figures['ece']:18.2f} %   {risks} %")
    return "\n".join(lines)
