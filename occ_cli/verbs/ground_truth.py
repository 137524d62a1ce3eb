"""Make voxel ground truth from labelled scans and poses.

examples:
  occ-data ground-truth ~/kitti/dataset --sequences 00 01 --every 5
  occ-data ground-truth ~/kitti/dataset --workers 16
  occ-data ground-truth ~/mini --output ~/mini_with_voxels

Voxels are in the grid frame: a LiDAR that is not mounted as KITTI's needs a rig.yaml in its sequence, or --rig.
Writes voxels/NNNNNN.label .invalid .bin .occluded. Frames that have voxel files already are skipped."""

import argparse
import sys
from pathlib import Path

from ..arguments import add_rig, chosen_rig, count, positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("root", type=Path, help="data set, the folder that holds sequences/")
    parser.add_argument("--sequences", nargs="+", metavar="SS", help="default: all")
    add_rig(parser, "the sequence's rig.yaml, or KITTI's")
    parser.add_argument(
        "--output", type=Path, help="write a data set of its own, linked to the inputs (default: beside)"
    )
    parser.add_argument("--ahead", type=count, default=70, help="later scans to merge (default: %(default)s)")
    parser.add_argument("--behind", type=count, default=10, help="earlier scans to merge (default: %(default)s)")
    parser.add_argument("--every", type=positive, default=1, help="only frame ids divisible by this (default: 1)")
    parser.add_argument(
        "--workers", type=positive, default=1, help="processes that make frames at the same time (default: %(default)s)"
    )
    parser.add_argument("--force", action="store_true", help="replace voxel files that exist")


def command(arguments: argparse.Namespace) -> int:
    from tqdm import tqdm

    from occ_data.ground_truth import write_ground_truth
    from occ_data.kitti import sequences

    kept = 0
    for sequence in sequences(arguments.root, arguments.sequences, chosen_rig(arguments)):
        frames = [frame for frame in sequence.frames if int(frame) % arguments.every == 0]
        steps = write_ground_truth(
            sequence, arguments.output, arguments.ahead, arguments.behind, arguments.every, arguments.force,
            arguments.workers,
        )  # fmt: skip
        for _, written in tqdm(steps, total=len(frames), desc=f"voxels of {sequence.name}", unit="frame"):
            kept += not written
    if kept:
        print(
            f"occ-data ground-truth: {kept} frames had voxel files already and were skipped (--force replaces them)",
            file=sys.stderr,
        )
    return 0
