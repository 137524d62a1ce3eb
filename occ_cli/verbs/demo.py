"""Play a drive through the real node and show what it saw.

examples:
  occ-node demo                                         a synthetic drive of 22 s, made on the spot
  occ-node demo --bundle occle-nano --seed 3            other weights, another street
  occ-node demo --bundle monoocc-nano                   with the camera alone
  occ-node demo --bag drive.bag --loop 5                your own recording, ROS 1 or ROS 2, five times
  occ-node demo --bag drive --truth KITTI/sequences/07  with scores, where the bag was made from that sequence

Three processes take part: a player publishes the drive at the pace of its stamps, the node answers, a recorder notes
when each output arrives. OUTPUT then holds report.json, outputs.mcap (for Foxglove, RViz, occ-node render), the logs
and pictures: camera_overlay.png, birds_eye.png, voxels.png, truth_beside_prediction.png, animation.gif."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bag", type=Path, help="drive to play: rosbag2 folder, .mcap, .db3 or ROS 1 .bag")
    parser.add_argument("--truth", type=Path, metavar="SEQUENCE", help="sequence folder that the bag was made from")
    parser.add_argument("--bundle", help="engine bundle: a folder or a name (default occle-nano-synthetic)")
    parser.add_argument("--backend", default="auto", help="auto, tensorrt, openvino, onnxruntime (default auto)")
    parser.add_argument("--output", type=Path, default=Path("out/demo"), metavar="DIR", help="default out/demo")
    parser.add_argument("--frames", type=int, default=220, help="length of the synthetic drive, at 10 Hz (default 220)")
    parser.add_argument("--seed", type=int, default=101, help="which synthetic street (default 101)")
    parser.add_argument("--loop", type=int, default=1, metavar="N", help="times to play the drive (default 1)")
    parser.add_argument("--rate", type=float, default=1.0, help="2 plays twice as fast (default 1)")
    parser.add_argument(
        "--calibration", type=Path, metavar="FILE", help="KITTI calib.txt or YAML, for bags without transforms"
    )
    parser.add_argument(
        "--image", metavar="TOPIC", help="camera topic of the bag (default: kitti2bag's or the only one)"
    )
    parser.add_argument("--camera-info", metavar="TOPIC", help="its intrinsics")
    parser.add_argument("--points", metavar="TOPIC", help="LiDAR topic of the bag")
    parser.add_argument(
        "--lidar-frame", default="velo_link", metavar="FRAME",
        help="the LiDAR's frame in the bag's transforms, for camera-only bundles (default velo_link)",
    )  # fmt: skip


def command(arguments: argparse.Namespace) -> int:
    from ..demo.steps import run_demo
    from ..errors import CommandError

    for name, least in (("frames", 10), ("loop", 1)):
        if getattr(arguments, name) < least:
            raise CommandError(f"--{name}: expected at least {least}, got {getattr(arguments, name)}")
    if not arguments.rate > 0:
        raise CommandError(f"--rate: expected a positive number, got {arguments.rate:g}")
    if arguments.truth and not arguments.bag:
        raise CommandError("--truth goes with --bag; a synthetic drive has its own truth")
    return run_demo(arguments)
