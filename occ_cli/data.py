"""`occ-data`: make, complete and convert data sets."""

import argparse
import os
import sys
from pathlib import Path

EXIT_BAD_INPUT = 2


def main(argv: list[str] | None = None) -> int:
    """Run one verb; 0 when done, 2 with one line on stderr for input that cannot be used."""
    os.environ.setdefault("TQDM_MININTERVAL", "0.1" if sys.stderr.isatty() else "10")  # a log wants few lines
    arguments = _parser().parse_args(argv)
    try:
        return arguments.verb(arguments)
    except (ValueError, OSError) as error:  # DataError, BagError, CalibrationError are ValueErrors
        print(f"occ-data: error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="occ-data", description="Make, complete and convert SemanticKITTI-style data sets (ROOT/sequences/SS)."
    )
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    _add_ground_truth(verbs)
    _add_synth(verbs)
    _add_pseudo_labels(verbs)
    _add_to_bag(verbs)
    _add_from_bag(verbs)
    return parser


def _verb(verbs, name: str, run, description: str, examples: str) -> argparse.ArgumentParser:
    parser = verbs.add_parser(
        name,
        help=description.split(".")[0],
        description=description,
        epilog="examples:\n" + examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(verb=run)
    return parser


def _add_ground_truth(verbs) -> None:
    parser = _verb(
        verbs, "ground-truth", _ground_truth,
        "Voxel ground truth from labelled scans and poses.\n\n"
        "Writes voxels/NNNNNN.label .invalid .bin .occluded. Frames that have voxel files already are left alone.",
        "  occ-data ground-truth ~/kitti/dataset --sequences 00 01 --every 5\n"
        "  occ-data ground-truth ~/mini --output ~/mini_with_voxels\n",
    )  # fmt: skip
    parser.add_argument("root", type=Path, help="data set, the folder that holds sequences/")
    parser.add_argument("--sequences", nargs="+", metavar="SS", help="default: all")
    parser.add_argument(
        "--output", type=Path, help="write a data set of its own, linked to the inputs (default: beside)"
    )
    parser.add_argument("--ahead", type=_count, default=70, help="later scans that take part (default: %(default)s)")
    parser.add_argument("--behind", type=_count, default=10, help="earlier scans that take part (default: %(default)s)")
    parser.add_argument("--every", type=_positive, default=1, help="only frame ids divisible by this (default: 1)")
    parser.add_argument("--force", action="store_true", help="replace voxel files that exist")


def _ground_truth(arguments) -> int:
    from tqdm import tqdm

    from occ_data.ground_truth import write_ground_truth
    from occ_data.kitti import sequences

    kept = 0
    for sequence in sequences(arguments.root, arguments.sequences):
        frames = [frame for frame in sequence.frames if int(frame) % arguments.every == 0]
        steps = write_ground_truth(
            sequence, arguments.output, arguments.ahead, arguments.behind, arguments.every, arguments.force
        )
        for _, written in tqdm(steps, total=len(frames), desc=f"voxels of {sequence.name}", unit="frame"):
            kept += not written
    if kept:
        print(
            f"occ-data: {kept} frames had voxel files already and were left alone (--force replaces)", file=sys.stderr
        )
    return 0


def _add_synth(verbs) -> None:
    parser = _verb(
        verbs, "synth", _synth,
        "Drives through a synthetic street: images, scans, labels, poses and exact voxel truth.",
        "  occ-data synth --output data/synthetic --sequences 90 91 --frames 100 --seed 7\n"
        "  occ-data synth --output data/demo --sequences 90 --frames 200 --voxels-every 5\n",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, required=True, help="data set to write, ROOT/sequences/SS")
    parser.add_argument("--sequences", nargs="+", required=True, metavar="SS", help="one drive each")
    parser.add_argument("--frames", type=_positive, default=100, help="frames a drive, at 10 Hz (default: %(default)s)")
    parser.add_argument(
        "--seed", type=_count, default=0, help="of the first drive, the next ones count up (default: 0)"
    )
    parser.add_argument("--voxels-every", type=_positive, default=1, metavar="N", help="voxel truth of every Nth frame")
    parser.add_argument("--pixel-labels", action="store_true", help="the images' exact classes too, in pixel_labels/")


def _synth(arguments) -> int:
    try:
        from occ_data.synthetic import generate
    except ModuleNotFoundError as error:
        raise ValueError(
            f"the synthetic world needs {error.name}; install it with: pip install 'occ_node[synth]'"
        ) from None

    for n, name in enumerate(arguments.sequences):
        generate(
            arguments.output, name, arguments.frames, arguments.seed + n,
            voxels_every=arguments.voxels_every, pixel_labels=arguments.pixel_labels,
        )  # fmt: skip
    return 0


def _add_pseudo_labels(verbs) -> None:
    from .verbs import pseudo_labels as verb

    verb.add_arguments(_verb(verbs, "pseudo-labels", verb.command, verb.DESCRIPTION, verb.EXAMPLES))


def _add_to_bag(verbs) -> None:
    parser = _verb(
        verbs, "to-bag", _to_bag,
        "A sequence as a rosbag2 (mcap).\n\n"
        "Topics and frames are kitti2bag's, /tf_static included; stamps are those of times.txt from a fixed day on.",
        "  occ-data to-bag ~/kitti/dataset --sequence 07 --output drive_07\n",
    )  # fmt: skip
    parser.add_argument("root", type=Path, help="data set, the folder that holds sequences/")
    parser.add_argument("--sequence", required=True, metavar="SS")
    parser.add_argument("--output", type=Path, required=True, help="folder of the bag")
    parser.add_argument("--frames", type=_positive, metavar="N", help="only the first N")
    parser.add_argument("--force", action="store_true", help="replace a bag that exists")


def _to_bag(arguments) -> int:
    from occ_data.bags import sequence_to_bag
    from occ_data.kitti import sequences

    (sequence,) = sequences(arguments.root, [arguments.sequence])
    frames = sequence.frames[: arguments.frames]
    sequence_to_bag(sequence, arguments.output, frames, force=arguments.force, progress=True)
    print(f"{arguments.output}: {len(frames)} frames")
    return 0


def _add_from_bag(verbs) -> None:
    parser = _verb(
        verbs, "from-bag", _from_bag,
        "A bag (ROS 2 or ROS 1) as a sequence.\n\n"
        "Each cloud is paired with the nearest image; extrinsics and poses come from /tf_static and /tf.",
        "  occ-data from-bag kitti_2011_09_26_drive_0002.bag --output data/mine --sequence 30\n"
        "  occ-data from-bag drive/ --output data/mine --sequence 31 --image /front/image --points /lidar/points\n",
    )  # fmt: skip
    parser.add_argument("bag", type=Path, help="rosbag2 folder, .mcap, .db3 or ROS 1 .bag")
    parser.add_argument("--output", type=Path, required=True, help="data set to write, ROOT/sequences/SS")
    parser.add_argument("--sequence", required=True, metavar="SS", help="a new name in it")
    parser.add_argument("--image", metavar="TOPIC", help="default: kitti2bag's, or the only one of its type")
    parser.add_argument("--camera-info", metavar="TOPIC", help="default: the one beside the image")
    parser.add_argument("--points", metavar="TOPIC", help="default: kitti2bag's, or the only one of its type")
    parser.add_argument(
        "--tolerance", type=float, default=0.05, help="s between cloud and image (default: %(default)s)"
    )


def _from_bag(arguments) -> int:
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


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {text}")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"expected 0 or more, got {text}")
    return value


if __name__ == "__main__":
    sys.exit(main())
