"""Turn a sequence folder into a bag, or a bag into a sequence folder.

examples:
  occ-node bag KITTI/sequences/07 -o drive                  rosbag2 folder (mcap) with kitti2bag's topics and frames
  occ-node bag drive -o MYDATA/sequences/30                 SemanticKITTI's files from a ROS 2 or ROS 1 bag

The direction follows from what the input is."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", type=Path, metavar="INPUT", help="sequence folder (with velodyne/), or bag")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="bag, or ROOT/sequences/NAME")
    parser.add_argument("--force", action="store_true", help="replace a bag that is there")
    parser.add_argument(
        "--image", metavar="TOPIC", help="camera topic of the bag (default: kitti2bag's or the only one)"
    )
    parser.add_argument("--camera-info", metavar="TOPIC", help="its intrinsics")
    parser.add_argument("--points", metavar="TOPIC", help="LiDAR topic of the bag")


def command(arguments: argparse.Namespace) -> int:
    from occ_data.bags import bag_to_sequence, sequence_to_bag
    from occ_data.kitti import Sequence

    from ..errors import CommandError

    source, output = arguments.input, arguments.output
    if not source.exists():
        raise CommandError(f"{source}: no such file or folder; expected a sequence folder or a bag")
    if (source / "velodyne").is_dir():
        number = sequence_to_bag(Sequence(source), output, force=arguments.force, progress=True)
        print(f"{output}: {number} frames")
        return 0
    if output.parent.name != "sequences":
        raise CommandError(f"-o {output}: expected ROOT/sequences/NAME, where a bag's frames go")
    made = bag_to_sequence(
        source, output.parent.parent, output.name, arguments.image, arguments.camera_info, arguments.points,
        progress=True,
    )  # fmt: skip
    unpaired = f", {made.unpaired} clouds without an image left out" if made.unpaired else ""
    poses = "" if made.has_poses else ", without poses (nothing moves above the LiDAR in /tf)"
    print(f"{made.path}: {made.frames} frames{unpaired}{poses}")
    return 0
