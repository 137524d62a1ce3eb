"""Play a recorded drive onto ROS topics.

examples:
  occ-node play drive.bag                        a ROS 1 or ROS 2 bag, at the speed of its stamps
  occ-node play out/demo/drive --loop 0 --clock  repeat until Ctrl-C, with /clock
  occ-node play drive.mcap --rate 0.5 --remap /kitti/velo/pointcloud:=/points

Stamps jump back at each loop, as with `ros2 bag play --loop`. Messages of packages that are not installed (tf2_msgs
without an apt ROS 2) are left out, with a line on stderr. Ctrl-C ends the playing, with exit code 0."""

import argparse
import signal
import sys
from functools import partial
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("bag", type=Path, metavar="BAG", help="rosbag2 folder, .mcap, .db3 or ROS 1 .bag")
    parser.add_argument("--rate", type=float, default=1.0, help="2 plays twice as fast (default 1)")
    parser.add_argument("--loop", type=int, default=1, metavar="N", help="times to play; 0 until Ctrl-C (default 1)")
    parser.add_argument("--clock", action="store_true", help="publish /clock, for nodes with use_sim_time")
    parser.add_argument("--topics", nargs="+", metavar="TOPIC", help="only these (default all)")
    parser.add_argument("--remap", nargs="+", default=[], metavar="FROM:=TO", help="publish under other names")
    parser.add_argument(
        "--wait", type=float, default=5.0, metavar="S", help="seconds to wait at most for a subscriber (default 5)"
    )
    parser.add_argument("--need", nargs="+", default=[], metavar="TOPIC", help="fail if one has no subscriber by then")
    parser.add_argument("--log", type=Path, metavar="FILE", help="JSON lines: when each message was due and published")
    parser.add_argument("--loopback", action="store_true", help="this machine only, for messages of any size")


def command(arguments: argparse.Namespace) -> int:
    try:
        _play(arguments)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal and `ros2 launch` both send it
    return 0


def _play(arguments: argparse.Namespace) -> None:
    from tqdm import tqdm

    from occ_data.bags import bag_topics, read_bag

    from ..errors import CommandError
    from ..processes import need_rclpy

    remap = dict(split_remap(rule) for rule in arguments.remap)
    topics = bag_topics(arguments.bag)
    wanted = arguments.topics or list(topics)
    if unknown := [t for t in [*wanted, *remap, *arguments.need] if t not in topics]:
        raise CommandError(f"{arguments.bag}: no topic {unknown[0]!r}; there are: {', '.join(topics) or 'none'}")
    need_rclpy(arguments.loopback)
    from occ_node.player import PlayOptions, Recording, play

    options = PlayOptions(
        arguments.rate, arguments.loop, arguments.clock, arguments.wait, tuple(arguments.need), remap, arguments.log
    )
    recording = Recording({t: topics[t][0] for t in wanted}, lambda: read_bag(arguments.bag, wanted))
    total = sum(topics[t][1] for t in wanted) * arguments.loop or None
    with tqdm(total=total, desc="play", unit="msg", disable=None) as bar:
        play(recording, options, partial(print, file=sys.stderr, flush=True), bar.update)


def split_remap(rule: str) -> tuple[str, str]:
    """("from", "to") of "from:=to". Raises CommandError."""
    from ..errors import CommandError

    source, sign, target = rule.partition(":=")
    if not (source and sign and target):
        raise CommandError(f"--remap {rule!r}: expected FROM:=TO, such as /kitti/velo/pointcloud:=/points")
    return source, target
