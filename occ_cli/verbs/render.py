"""Draw labelled voxels: 3D view, bird's-eye map, and camera overlay and comparison where there is more to show.

examples:
  occ-node render predictions/sequences/08/predictions/000000.label -o pictures
  occ-node render out/demo/outputs.mcap --frame 100 -o pictures
  occ-node render --dataset KITTI --sequence 08 --frame 000000 --predictions predictions -o pictures
  occ-node render --dataset KITTI --sequence 08 --frame 000000 -o pictures     the truth alone"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "input", type=Path, nargs="?", metavar="FILE", help="voxel .label file, or a recording's outputs"
    )
    parser.add_argument("--dataset", type=Path, metavar="ROOT", help="folder that holds sequences/, instead of FILE")
    parser.add_argument("--sequence", metavar="SS", help="such as 08")
    parser.add_argument("--frame", help="frame id of the sequence (default its first), or number in the recording")
    parser.add_argument("--predictions", type=Path, metavar="DIR", help="what `infer` wrote")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("out/render"), metavar="DIR", help="default out/render"
    )


def command(arguments: argparse.Namespace) -> int:
    from .. import drawing
    from ..errors import CommandError

    if (arguments.input is None) == (arguments.dataset is None):
        raise CommandError("expected either FILE, or --dataset ROOT --sequence SS [--frame NNNNNN]")
    pictures = _of_file(arguments) if arguments.input else _of_dataset(arguments)
    for name, picture in pictures.items():
        print(drawing.save_png(arguments.output / name, picture))
    return 0


def _of_file(arguments: argparse.Namespace) -> dict:
    from ..errors import CommandError
    from .evaluate import read_prediction

    path = arguments.input
    if not path.exists():
        raise CommandError(f"{path}: no such file")
    if path.suffix == ".label":
        return _views(path.stem, read_prediction(path))
    return _of_recording(path, arguments.frame or "0")


def _of_recording(path: Path, number: str) -> dict:
    from ..demo.recordings import read_grids
    from ..errors import CommandError

    if not number.isdigit():
        raise CommandError(f"--frame {number}: expected a number, 0 for the recording's first grid")
    for place, labels in read_grids(path, [int(number)]):
        return _views(f"{place:06d}", labels)
    raise CommandError(f"{path}: no grid number {int(number)} in it")


def _of_dataset(arguments: argparse.Namespace) -> dict:
    from occ_data.kitti import sequences

    from .. import drawing
    from ..errors import CommandError
    from .evaluate import read_prediction
    from .infer import prediction_file

    if not arguments.sequence:
        raise CommandError("--dataset goes with --sequence SS")
    drive = sequences(arguments.dataset, [arguments.sequence])[0]
    frames = drive.image_frames
    frame = arguments.frame or frames[0]
    if frame not in frames:
        raise CommandError(f"--frame {frame}: {drive.path} has {frames[0]} to {frames[-1]}")
    truth = drive.voxel_labels(frame) if drive.has_voxels(frame) else None
    labels = (
        read_prediction(prediction_file(arguments.predictions, drive.name, frame)) if arguments.predictions else truth
    )
    if labels is None:
        raise CommandError(
            f"{drive.file('voxels', frame, 'label')}: missing; give --predictions DIR, "
            f"or make the ground truth: occ-data ground-truth {arguments.dataset} --sequences {drive.name}"
        )
    pictures = frame_pictures(frame, labels, drive.image(frame), drive.calibration)
    if truth is not None and arguments.predictions:
        pictures[f"{frame}_truth_beside_prediction.png"] = drawing.truth_beside(labels, truth)
    return pictures


def frame_pictures(name: str, labels, image, calibration) -> dict:
    """Pictures of a frame with a camera image, (H, W, 3) uint8 RGB by file name."""
    from .. import drawing

    return {
        **_views(name, labels),
        f"{name}_camera_overlay.png": drawing.camera_overlay(image, labels, calibration),
    }


def _views(name: str, labels) -> dict:
    from .. import drawing

    return {
        f"{name}_voxels.png": drawing.voxel_picture(labels),
        f"{name}_birds_eye.png": drawing.birds_eye_picture(labels),
    }
