"""The drives that a verb works on: sequences of a data set, bags, synthetic streets."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .arguments import add_rig, chosen_rig

if TYPE_CHECKING:
    from occ_data import Drive
    from occ_data.bags import BagOptions


def add_drive_arguments(parser: argparse.ArgumentParser) -> None:
    """`--dataset` with `--sequences`, or `--drive`; and `--rig`."""
    parser.add_argument("--dataset", type=Path, metavar="ROOT", help="folder that holds sequences/")
    parser.add_argument("--sequences", nargs="+", metavar="SS", help="of the data set, such as 08")
    parser.add_argument(
        "--drive", nargs="+", metavar="DRIVE",
        help="instead: a sequence folder, a bag (ROS 1 or ROS 2), or synthetic:SEED[:FRAMES[:RIG[:varied]]]",
    )  # fmt: skip
    add_rig(parser, "the sequence's rig.yaml, the bag's base_footprint, or KITTI's")


def chosen_drives(arguments: argparse.Namespace, bag_options: "BagOptions | None" = None) -> "list[Drive]":
    """What `add_drive_arguments` was given. Raises CommandError, DataError, RigError."""
    from occ_data import open_drive, sequences

    from .errors import CommandError

    if (arguments.dataset is None) == (arguments.drive is None):
        raise CommandError("expected either --dataset ROOT --sequences SS, or --drive DRIVE")
    if (arguments.dataset is None) != (arguments.sequences is None):
        raise CommandError("--dataset and --sequences go together")
    rig = chosen_rig(arguments)
    if arguments.dataset is not None:
        return list(sequences(arguments.dataset, arguments.sequences, rig))
    drives = [open_drive(source, bag_options, rig) for source in arguments.drive]
    names = [drive.name for drive in drives]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise CommandError(f"--drive: two drives are called {twice!r}, and would write the same files")
    return drives


def benchmark_frames(drive: "Drive") -> list[str]:
    """The frames that SemanticKITTI's benchmark scores: those with voxels/NNNNNN.bin, which test sequences have too; of
    other drives than sequences those with voxel ground truth.
    """
    from occ_data import Sequence

    return drive.benchmark_frames if isinstance(drive, Sequence) else drive.voxel_frames
