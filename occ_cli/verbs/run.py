"""Run the node on live topics until Ctrl-C.

examples:
  occ-node run --image /camera/image_raw --camera-info /camera/camera_info --points /velodyne_points
  occ-node run --bundle occle-nano --calibration calib.txt --points /velodyne_points ...
  occ-node run --bundle monoocc-nano --image /camera/image_raw --camera-info /camera/camera_info --frame lidar
  occ-node run --points /velodyne_points --rig vlp16 --frame base_link --height 0 ...
  occ-node run --param sync_tolerance:=0.03 --ros-args -r __ns:=/robot1

Everything after --ros-args goes to rclpy unchanged. Outputs: topics below the node's name, such as /occ_node/voxels,
and /diagnostics."""

import argparse
import sys
from pathlib import Path

from ..arguments import add_backend, add_rig, chosen_rig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bundle", help="engine bundle: a folder, or a name such as occle-nano")
    parser.add_argument("--fallback", metavar="BUNDLE", help="camera-only bundle for while the LiDAR is silent")
    add_backend(parser)
    parser.add_argument("--calibration", type=Path, metavar="FILE", help="extrinsics: KITTI calib.txt or YAML; else tf")
    parser.add_argument("--image", metavar="TOPIC", help="camera image (default /image)")
    parser.add_argument("--camera-info", metavar="TOPIC", help="its intrinsics (default /camera_info)")
    parser.add_argument("--points", metavar="TOPIC", help="LiDAR cloud (default /points)")
    parser.add_argument("--frame", help="frame of the robot, on tf, that the outputs are in (default: the clouds')")
    parser.add_argument("--height", type=float, metavar="METRES", help="of its origin above the ground (default 1.73)")
    add_rig(parser, "--height, intensities as they come")
    parser.add_argument("--compressed", action="store_true", help="the image topic carries CompressedImage")
    parser.add_argument("--param", nargs="+", default=[], metavar="NAME:=VALUE", help="further parameters of the node")
    parser.add_argument("--loopback", action="store_true", help="this machine only, for messages of any size")
    parser.add_argument(
        "--parameters", action="store_true", help="print all parameters with their defaults, as a --params-file"
    )
    parser.add_argument("--ros-args", nargs=argparse.REMAINDER, default=[], help="arguments for rclpy")


def command(arguments: argparse.Namespace) -> int:
    if arguments.parameters:
        from occ_node.parameters import parameter_yaml

        print(parameter_yaml(), end="")
        return 0
    from occ_node.signals import exit_on_signals

    exit_on_signals()
    from ..processes import need_rclpy

    ros_arguments = node_arguments(arguments)
    need_rclpy(arguments.loopback)
    from occ_node.node import main

    return main([sys.argv[0], *ros_arguments])


def node_arguments(arguments: argparse.Namespace) -> list[str]:
    """The options of the command line as `--ros-args` of the node. Raises CommandError, BundleError, RigError."""
    from occ_runtime import find_bundle

    from ..errors import CommandError

    given = []
    for name, bundle in (("bundle", arguments.bundle), ("fallback", arguments.fallback)):
        if bundle is not None:
            given.append((name, f'"{find_bundle(bundle).resolve()}"'))
    if arguments.backend is not None:
        given.append(("backend", arguments.backend))
    if arguments.calibration is not None:
        if not arguments.calibration.is_file():
            raise CommandError(f"--calibration {arguments.calibration}: no such file")
        given.append(("calibration_file", f'"{arguments.calibration.resolve()}"'))
    if arguments.frame is not None:
        given.append(("frame", f'"{arguments.frame}"'))
    if arguments.height is not None:
        given.append(("height", str(arguments.height)))
    if chosen_rig(arguments) is not None:
        file = Path(arguments.rig)
        given.append(("rig", f'"{file.resolve() if file.suffix else arguments.rig}"'))
    if arguments.compressed:
        given.append(("compressed", "true"))
    rules = [item for name, value in given for item in ("-p", f"{name}:={value}")]
    for rule in arguments.param:
        if ":=" not in rule:
            raise CommandError(f"--param {rule!r}: expected NAME:=VALUE, such as sync_tolerance:=0.03")
        rules += ["-p", rule]
    for name, topic in (
        ("image", arguments.image),
        ("camera_info", arguments.camera_info),
        ("points", arguments.points),
    ):
        if topic is not None:
            rules += ["-r", f"{name}:={topic}"]
    return ["--ros-args", *rules, *arguments.ros_args]
