"""Turn a drive into a bag, or a bag into a sequence folder.

examples:
  occ-node bag KITTI/sequences/07 -o drive                  rosbag2 folder (mcap) with kitti2bag's topics and frames
  occ-node bag synthetic:7:50 -o street                     50 frames of a synthetic street
  occ-node bag drive -o MYDATA/sequences/30                 SemanticKITTI's files from a ROS 2 or ROS 1 bag
  occ-node bag drive.bag -o MYDATA/sequences/31 --image /front/image --points /lidar/points

The direction follows from the input. Of a bag each cloud is paired with the nearest image; extrinsics and poses come
from /tf_static and /tf. Where the LiDAR is not mounted as KITTI's, a bag says so with the frame base_footprint, and a
sequence with rig.yaml. The stamps of a new bag are those of times.txt from a fixed day on."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..arguments import add_rig, chosen_rig, positive

if TYPE_CHECKING:
    from occ_data.bags import BagDrive

_OF_BAGS = ("image", "camera_info", "points", "tolerance", "calibration", "lidar_frame")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", metavar="INPUT", help="bag; or sequence folder, or synthetic:SEED[:FRAMES]")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="bag, or ROOT/sequences/NAME")
    parser.add_argument("--frames", type=positive, metavar="N", help="only the first N")
    add_rig(parser, "the sequence's rig.yaml, the bag's base_footprint, or KITTI's")
    parser.add_argument("--force", action="store_true", help="replace a bag that exists")
    of_bags = parser.add_argument_group("from a bag")
    of_bags.add_argument("--image", metavar="TOPIC", help="camera topic (default: kitti2bag's or the only one)")
    of_bags.add_argument("--camera-info", metavar="TOPIC", help="its intrinsics (default: the one beside the image)")
    of_bags.add_argument("--points", metavar="TOPIC", help="LiDAR topic (default: kitti2bag's or the only one)")
    of_bags.add_argument("--tolerance", type=float, metavar="S", help="between cloud and image (default 0.05)")
    of_bags.add_argument("--calibration", type=Path, metavar="FILE", help="extrinsics, for a bag without transforms")
    of_bags.add_argument("--lidar-frame", metavar="FRAME", help="for a bag without clouds: the frame of the voxels")


def command(arguments: argparse.Namespace) -> int:
    from occ_data import open_drive
    from occ_data.bags import BagDrive, BagOptions, write_bag

    from ..errors import CommandError

    given = {name: value for name in _OF_BAGS if (value := getattr(arguments, name)) is not None}
    options = {"calibration_file" if name == "calibration" else name: value for name, value in given.items()}
    drive = open_drive(arguments.input, BagOptions(**options), chosen_rig(arguments))
    if isinstance(drive, BagDrive):
        return _to_sequence(drive, arguments)
    if given:
        raise CommandError(f"--{next(iter(given)).replace('_', '-')} goes with a bag as INPUT")
    frames = drive.frames[: arguments.frames]
    number = write_bag(drive, arguments.output, frames, force=arguments.force, progress=True)
    print(f"{arguments.output}: {number} frames")
    return 0


def _to_sequence(drive: "BagDrive", arguments: argparse.Namespace) -> int:
    from occ_data import write_sequence

    from ..errors import CommandError

    output = arguments.output
    if output.parent.name != "sequences":
        raise CommandError(f"-o {output}: expected ROOT/sequences/NAME, where a bag's frames go")
    if arguments.force:
        raise CommandError("--force replaces bags only; remove a sequence that exists yourself")
    path = write_sequence(drive, output.parent.parent, output.name, arguments.frames, progress=True)
    print(f"{path}: {len(drive.image_frames[: arguments.frames])} frames")
    if drive.unpaired:
        print(f"{drive.path}: {drive.unpaired} clouds without an image near enough were left out", file=sys.stderr)
    if not drive.has_poses:
        print(
            f"{drive.path}: nothing moves above the LiDAR's frame in /tf; all poses are the identity", file=sys.stderr
        )
    return 0
