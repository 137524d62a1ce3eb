"""Label the frames of a data set, a bag or a synthetic street, or one picture, in SemanticKITTI's format.

examples:
  occ-node infer --bundle occle-nano --dataset KITTI --sequences 08 --output predictions
  occ-node infer --dataset MYDATA --sequences 30 31 --output predictions --backend onnxruntime
  occ-node infer --bundle monoocc-nano --dataset KITTI --sequences 08 --output predictions     camera only
  occ-node infer --bundle monoocc-nano --dataset KITTI --sequences 08 --depth DEPTHS --output predictions
  occ-node infer --drive drive.bag --output predictions                                        ROS 1 and ROS 2 bags
  occ-node infer --drive drive/ --topics image:=/front/image points:=/lidar --calibration rig.yaml --output predictions
  occ-node infer --drive drive/ --rig rig.yaml --output predictions                            another LiDAR or height
  occ-node infer --drive synthetic:7:20 --output predictions                                   20 frames of street 7
  occ-node infer --image street.jpg --calibration calib.txt --output out                       one picture

A drive gives OUTPUT/sequences/NAME/predictions/NNNNNN.label (uint16 raw ids over the bundle's grid; a grid.yaml beside
them says which it is where it is not SemanticKITTI's) for every frame with a scan; with a camera-only bundle, for every
frame with an image. A bag's frames are its clouds with the nearest image, numbered from 000000. A picture gives
OUTPUT/NAME.label and pictures of it: the voxels on the image, in 3D and from above."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..arguments import add_backend
from ..sources import add_drive_arguments, benchmark_frames, chosen_drives

if TYPE_CHECKING:
    from occ_data.bags import BagOptions
    from occ_data.kitti import DepthFolder
    from occ_runtime import Bundle

_BAG_OPTIONS = ("topics", "lidar_frame")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--bundle", help="engine bundle: a folder or a name (default occle-nano; of --image monoocc-nano)"
    )
    add_drive_arguments(parser)
    parser.add_argument(
        "--image", type=Path, metavar="FILE", help="one PNG or JPEG picture instead (camera-only bundles)"
    )
    parser.add_argument(
        "--calibration", type=Path, metavar="FILE",
        help="KITTI calib.txt or YAML: of the picture; or extrinsics for a bag without transforms",
    )  # fmt: skip
    parser.add_argument(
        "--depth", type=Path, metavar="PATH",
        help="depth, if known: of the picture, a 16-bit PNG (256 a metre) or .npy (metres); of drives, a folder with "
        "SS/NNNNNN.png (camera-only bundles). Where a pixel has none, it is predicted",
    )  # fmt: skip
    parser.add_argument(
        "--topics", nargs="+", metavar="NAME:=TOPIC",
        help="of a bag: image, camera_info, points (default: kitti2bag's, or the only ones of their type)",
    )  # fmt: skip
    parser.add_argument("--lidar-frame", metavar="FRAME", help="of a bag without clouds: the frame of the voxels")
    parser.add_argument(
        "--voxel-frames", action="store_true", default=None,
        help="only the frames that SemanticKITTI's benchmark scores: those with voxels/NNNNNN.bin",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="where the predictions go")
    add_backend(parser, default="auto")
    parser.add_argument("--threads", type=int, help="CPU threads (default: all)")


def command(arguments: argparse.Namespace) -> int:
    from occ_runtime import MONOOCC, OCCLE, Bundle, find_bundle

    _check_combination(arguments)
    name = arguments.bundle or (MONOOCC if arguments.image else OCCLE)
    bundle = Bundle.load(find_bundle(name))
    if arguments.image:
        from .single_image import infer_image

        return infer_image(arguments, bundle)
    return _infer_drives(arguments, bundle)


def _check_combination(arguments: argparse.Namespace) -> None:
    from ..errors import CommandError

    if arguments.image is None:
        if arguments.dataset is None and arguments.drive is None:
            raise CommandError("expected --dataset ROOT --sequences SS, --drive DRIVE, or --image FILE")
        wrong = [] if arguments.drive else ["calibration", *_BAG_OPTIONS]
        beside = "drive" if arguments.drive else "dataset"
    else:
        if arguments.calibration is None:
            raise CommandError("--image goes with --calibration FILE: without it the pixels' directions are unknown")
        wrong, beside = ["dataset", "sequences", "drive", "voxel_frames", *_BAG_OPTIONS], "image"
    for option in wrong:
        if getattr(arguments, option) is not None:
            raise CommandError(f"--{option.replace('_', '-')} does not go with --{beside}")


def _infer_drives(arguments: argparse.Namespace, bundle: "Bundle") -> int:
    from tqdm import tqdm

    from occ_core import image_warnings
    from occ_runtime import Predictor, load_backend

    from ..predictions import Prediction, prediction_file, write_prediction

    drives = chosen_drives(arguments, _bag_options(arguments) if arguments.drive else None)
    of = benchmark_frames if arguments.voxel_frames else lambda d: d.frames if bundle.needs_cloud else d.image_frames
    frames = [(drive, frame) for drive in drives for frame in of(drive)]
    depths = _depths(arguments, bundle)
    for drive in drives:
        drive.calibration  # noqa: B018  an unusable calibration ends it before the engine loads
        if depths:
            depths.check(drive, [frame for own, frame in frames if own is drive])
    backend = load_backend(bundle, arguments.backend, arguments.threads)
    predictor, warned = Predictor(bundle, backend), set()
    for drive, frame in tqdm(frames, desc=f"{bundle.name} on {backend.name}", unit="frame"):
        image, scan = drive.image(frame), drive.scan(frame) if bundle.needs_cloud else None
        warnings = image_warnings(image, bundle.preprocess) + predictor.view_warnings(drive.calibration)
        for warning in warnings:
            if warning not in warned:
                tqdm.write(f"occ-node infer: warning: {drive.path}, frame {frame}: {warning}", sys.stderr)
            warned.add(warning)
        depth = depths.read(drive, frame) if depths else None
        occupancy = predictor.predict(image, scan, drive.calibration, depth)
        path = prediction_file(arguments.output, drive.name, frame)
        write_prediction(path, Prediction(occupancy.labels, bundle.grid))
    backend.close()
    stages = predictor.profiler.summary()
    timing = ", ".join(f"{name} {stage['p50_ms']:.0f} ms" for name, stage in stages.items())
    print(f"{len(frames)} frames in {arguments.output}/sequences; median {timing} ({backend.description})")
    return 0


def _depths(arguments: argparse.Namespace, bundle: "Bundle") -> "DepthFolder | None":
    from occ_data.kitti import DepthFolder

    from ..errors import CommandError

    if arguments.depth is None:
        return None
    if bundle.needs_cloud:
        raise CommandError(f"--depth: bundle {bundle.name} takes a LiDAR's cloud and no depth images")
    return DepthFolder(arguments.depth)


def _bag_options(arguments: argparse.Namespace) -> "BagOptions":
    from occ_data.bags import BagOptions

    from ..errors import CommandError

    topics = {}
    for rule in arguments.topics or ():
        name, _, topic = rule.partition(":=")
        if name not in ("image", "camera_info", "points") or not topic:
            raise CommandError(f"--topics {rule}: expected image:=TOPIC, camera_info:=TOPIC or points:=TOPIC")
        topics[name] = topic
    return BagOptions(**topics, calibration_file=arguments.calibration, lidar_frame=arguments.lidar_frame)
