"""Play a drive through the real node and show its answers.

examples:
  occ-node demo                                         a synthetic drive of 22 s, made on the spot
  occ-node demo --bundle occle-nano --seed 3            other weights, another street
  occ-node demo --bundle monoocc-nano                   camera only
  occ-node demo --bag drive.bag --loop 5                your own recording, ROS 1 or ROS 2, five times
  occ-node demo --bag drive --truth KITTI/sequences/07  with scores, where the bag was made from that sequence

There are three processes: a player publishes the drive at the speed of its stamps, the node answers, a recorder stores
each output with its time of arrival. OUTPUT then holds report.json, outputs.mcap (for Foxglove, RViz, occ-node render),
the logs and pictures: camera_overlay.png, birds_eye.png, voxels.png, truth_beside_prediction.png, animation.gif."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..arguments import add_backend, add_rig, chosen_rig, positive

if TYPE_CHECKING:
    from occ_runtime import Bundle

    from ..demo.drive import Drive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bag", type=Path, help="drive to play: rosbag2 folder, .mcap, .db3 or ROS 1 .bag")
    parser.add_argument("--truth", type=Path, metavar="SEQUENCE", help="sequence folder that the bag was made from")
    parser.add_argument("--bundle", help="engine bundle: a folder or a name (default occle-nano-synthetic)")
    add_backend(parser, default="auto")
    parser.add_argument("--output", type=Path, default=Path("out/demo"), metavar="DIR", help="default out/demo")
    parser.add_argument("--frames", type=int, default=220, help="length of the synthetic drive, at 10 Hz (default 220)")
    parser.add_argument("--seed", type=int, default=101, help="which synthetic street (default 101)")
    parser.add_argument("--loop", type=positive, default=1, metavar="N", help="times to play the drive (default 1)")
    parser.add_argument("--rate", type=float, default=1.0, help="2 plays twice as fast (default 1)")
    parser.add_argument(
        "--calibration", type=Path, metavar="FILE", help="KITTI calib.txt or YAML, for bags without transforms"
    )
    parser.add_argument(
        "--image", metavar="TOPIC", help="camera topic of the bag (default: kitti2bag's or the only one)"
    )
    parser.add_argument("--camera-info", metavar="TOPIC", help="its intrinsics")
    add_rig(parser, "the bag's base_footprint, or KITTI's")
    parser.add_argument("--points", metavar="TOPIC", help="LiDAR topic of the bag")
    parser.add_argument(
        "--lidar-frame", default="velo_link", metavar="FRAME",
        help="the LiDAR's frame in the bag's transforms, for camera-only bundles (default velo_link)",
    )  # fmt: skip


def command(arguments: argparse.Namespace) -> int:
    from ..processes import need_rclpy

    _check(arguments)
    need_rclpy()
    from occ_core.files import write_json

    from ..demo.live_run import LiveRun, live_run
    from ..demo.pictures import PICTURES, draw_pictures
    from ..demo.report import make_report, match, table

    output = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    for name in ("report.json", "outputs.mcap", *PICTURES):
        (output / name).unlink(missing_ok=True)
    bundle = _bundle(arguments)
    drive = _drive(arguments, None if bundle.needs_cloud else arguments.lidar_frame)
    parameters = {
        "bundle": str(bundle.path.resolve()), "backend": arguments.backend,
        "calibration_file": str(drive.calibration_file.resolve()), "compressed": drive.compressed,
        "frame": "" if bundle.needs_cloud else arguments.lidar_frame, "rig": str(drive.rig_file.resolve()),
    }  # fmt: skip
    run = LiveRun(drive, parameters, output, arguments.rate, arguments.loop)
    recorded = live_run(run)
    frames = match(recorded, run.frame_topic)
    report = make_report(run, recorded, frames, bundle)
    report["pictures"] = draw_pictures(output, drive, recorded.outputs, frames, bundle.grid)
    write_json(output / "report.json", report)
    print(table(report))
    print(f"\n  {output}/: report.json, outputs.mcap, {', '.join(report['pictures'])}, logs/")
    if not report["frames_out"]:
        print(f"  No frame was answered: {report['node']['status']}; see {output}/logs/node.log")
    return 0 if report["frames_out"] else 1


def _check(arguments: argparse.Namespace) -> None:
    from ..errors import CommandError

    if arguments.frames < 10:
        raise CommandError(f"--frames: expected at least 10, got {arguments.frames}")
    if not arguments.rate > 0:
        raise CommandError(f"--rate: expected a positive number, got {arguments.rate:g}")
    if arguments.truth and not arguments.bag:
        raise CommandError("--truth goes with --bag; a synthetic drive has its own truth")
    if arguments.rig and not arguments.bag:
        raise CommandError("--rig goes with --bag; a synthetic drive has KITTI's rig")


def _bundle(arguments: argparse.Namespace) -> "Bundle":
    """The bundle asked for, if its backend loads here, or the default. For the fake backend one is made."""
    from occ_runtime import DEFAULT_BUNDLE, Bundle, find_bundle, load_backend
    from occ_runtime.fake_backend import FakeBackend, write_fake_bundle

    fake = arguments.backend == FakeBackend.name
    if fake and arguments.bundle is None:
        return write_fake_bundle(arguments.output / "fake-bundle")
    bundle = Bundle.load(find_bundle(arguments.bundle or DEFAULT_BUNDLE))
    if not fake:
        load_backend(bundle, arguments.backend).close()
    return bundle


def _drive(arguments: argparse.Namespace, lidar_frame: str | None) -> "Drive":
    from occ_data.bags import BagOptions

    from ..demo.drive import recorded_drive, synthetic_drive

    if not arguments.bag:
        return synthetic_drive(arguments.output, arguments.frames, arguments.seed, lidar_frame)
    options = BagOptions(
        image=arguments.image, camera_info=arguments.camera_info, points=arguments.points,
        calibration_file=arguments.calibration, lidar_frame=lidar_frame,
        rig=chosen_rig(arguments),
    )  # fmt: skip
    return recorded_drive(arguments.bag, options, arguments.truth, arguments.output)
