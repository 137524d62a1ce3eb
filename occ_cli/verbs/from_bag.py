"""Write a bag (ROS 2 or ROS 1) as a sequence.

examples:
  occ-data from-bag kitti_2011_09_26_drive_0002.bag --output data/mine --sequence 30
  occ-data from-bag drive/ --output data/mine --sequence 31 --image /front/image --points /lidar/points

Each cloud is paired with the nearest image; extrinsics and poses come from /tf_static and /tf."""

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bag", type=Path, help="rosbag2 folder, .mcap, .db3 or ROS 1 .bag")
    parser.add_argument("--output", type=Path, required=True, help="data set to write, ROOT/sequences/SS")
    parser.add_argument("--sequence", required=True, metavar="SS", help="a new name in it")
    parser.add_argument("--image", metavar="TOPIC", help="default: kitti2bag's, or the only one of its type")
    parser.add_argument("--camera-info", metavar="TOPIC", help="default: the one beside the image")
    parser.add_argument("--points", metavar="TOPIC", help="default: kitti2bag's, or the only one of its type")
    parser.add_argument(
        "--tolerance", type=float, default=0.05, help="s between cloud and image (default: %(default)s)"
    )


def command(arguments: argparse.Namespace) -> int:
    from occ_data.bags import bag_to_sequence

    made = bag_to_sequence(
        arguments.bag, arguments.output, arguments.sequence, arguments.image, arguments.camera_info, arguments.points,
        arguments.tolerance, progress=True,
    )  # fmt: skip
    print(f"{made.path}: {made.frames} frames")
    if made.unpaired:
        print(f"occ-data: {made.unpaired} clouds had no image within {arguments.tolerance:g} s", file=sys.stderr)
    if not made.has_poses:
        print("occ-data: nothing moves above the LiDAR's frame in /tf; all poses are the identity", file=sys.stderr)
    return 0
