"""Write a sequence as a rosbag2 (mcap).

examples:
  occ-data to-bag ~/kitti/dataset --sequence 07 --output drive_07

Topics and frames are kitti2bag's, /tf_static included; stamps are those of times.txt from a fixed day on."""

import argparse
from pathlib import Path

from ..arguments import positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("root", type=Path, help="data set, the folder that holds sequences/")
    parser.add_argument("--sequence", required=True, metavar="SS")
    parser.add_argument("--output", type=Path, required=True, help="folder of the bag")
    parser.add_argument("--frames", type=positive, metavar="N", help="only the first N")
    parser.add_argument("--force", action="store_true", help="replace a bag that exists")


def command(arguments: argparse.Namespace) -> int:
    from occ_data.bags import sequence_to_bag
    from occ_data.kitti import sequences

    (sequence,) = sequences(arguments.root, [arguments.sequence])
    frames = sequence.frames[: arguments.frames]
    sequence_to_bag(sequence, arguments.output, frames, force=arguments.force, progress=True)
    print(f"{arguments.output}: {len(frames)} frames")
    return 0
