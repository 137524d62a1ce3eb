"""Score a trained network, without a bundle: any checkpoint, also of several frames, and teachers.

examples:
  occ-train evaluate out/base --dataset KITTI --sequences 08
  occ-train evaluate out/mono/teacher --dataset KITTI --sequences 08 --json teacher.json
  occ-train evaluate out/base/joint --drive synthetic:7:20
  occ-train evaluate out/base --dataset KITTI --sequences 11 12 --predictions out/test

FOLDER holds a network's weights, or a training that is not complete (last.ckpt): its averaged weights are taken. The
figures are those of `occ-node evaluate`, over every frame with voxels/NNNNNN.label, and how far the confidence is from
the probability that a voxel is free or occupied as decided. With --predictions, frames that
have only voxels/NNNNNN.bin, as those of the test sequences, are predicted too; `occ-node submission` packs them."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..sources import add_drive_arguments, benchmark_frames, chosen_drives
from .calibrate import confidence_table
from .evaluate import summary, table

if TYPE_CHECKING:
    from occ_data import Drive
    from occ_data.kitti import DepthFolder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="of a network or a phase, such as out/base")
    add_drive_arguments(parser)
    parser.add_argument(
        "--depth", type=Path, metavar="DIR", help="depth images, SS/NNNNNN.png, for a camera-only network"
    )
    parser.add_argument("--predictions", type=Path, metavar="DIR", help="write the predictions there, as `infer` does")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")


def command(arguments: argparse.Namespace) -> int:
    from occ_core.files import write_json
    from occ_data.kitti import DepthFolder

    drives = chosen_drives(arguments)
    depths = DepthFolder(arguments.depth) if arguments.depth else None
    scores = evaluate_network(arguments.folder, drives, depths, arguments.predictions, progress=True)
    if arguments.predictions:
        print(f"predictions in {arguments.predictions}")
    if scores["frames"]:
        print(table(scores))
        print(f"\n{confidence_table(scores['confidence'])}")
    if arguments.json:
        write_json(arguments.json, scores)
    return 0


def evaluate_network(
    folder: Path,
    drives: "list[Drive]",
    depths: "DepthFolder | None" = None,
    output: Path | None = None,
    progress: bool = False,
) -> dict:
    """What `evaluate.evaluate` gives, for a trained network, and `Reliability.summary` as confidence; its scan_baseline
    is None.

    output : folder for the predictions, None: they are not kept. Raises CommandError where there is no frame to score
    or to predict.
    """
    from tqdm import tqdm

    from occ_core import CompletionMetrics
    from occ_core.reliability import Reliability
    from occ_models.checkpoint import trained_network
    from occ_models.evaluation import predictions
    from occ_models.frames import Frame

    from ..errors import CommandError
    from ..predictions import Prediction, prediction_file, write_prediction

    model = trained_network(folder)
    if depths and "depth" not in model.config.inputs:
        raise CommandError(f"--depth: {model.config.model} takes no depth images")
    frames = [Frame(drive, frame, True) for drive in drives for frame in drive.voxel_frames]
    if output:
        known = {(id(frame.drive), frame.id) for frame in frames}
        frames += [Frame(d, f, False) for d in drives for f in benchmark_frames(d) if (id(d), f) not in known]
    if not frames:
        names = ", ".join(str(drive.path) for drive in drives)
        raise CommandError(f"{names}: no frame with voxel ground truth")
    metrics, reliability = CompletionMetrics(), Reliability()
    results = predictions(model, frames, depths)
    for found in tqdm(results, "evaluate", len(frames), unit="frame", disable=not progress):
        metrics.add(found.labels, found.truth)
        reliability.add(found.labels, found.confidence, found.truth)
        if output:
            path = prediction_file(output, found.frame.drive.name, found.frame.id)
            write_prediction(path, Prediction(found.labels, model.config.preprocess.grid))
    scores = summary(drives, str(folder), sum(frame.labelled for frame in frames), metrics)
    return scores | {"confidence": reliability.summary()}
