"""Draw labelled voxels: 3D view, bird's-eye map, and where there is more to show camera overlay and comparison.

examples:
  occ-node render predictions/sequences/08/predictions/000000.label -o pictures
  occ-node render out/demo/outputs.mcap --frame 100 -o pictures
  occ-node render --dataset KITTI --sequences 08 --frame 000000 --predictions predictions -o pictures
  occ-node render --dataset KITTI --sequences 08 --frame 000000 -o pictures     the truth alone
  occ-node render --drive drive.bag --predictions predictions -o pictures"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..sources import add_drive_arguments, chosen_drives

if TYPE_CHECKING:
    from occ_data import Drive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "input", type=Path, nargs="?", metavar="FILE", help="voxel .label file, or a recording's outputs"
    )
    add_drive_arguments(parser)
    parser.add_argument("--frame", help="frame id of the sequence (default its first), or number in the recording")
    parser.add_argument("--predictions", type=Path, metavar="DIR", help="what `infer` wrote")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("out/render"), metavar="DIR", help="default out/render"
    )


def command(arguments: argparse.Namespace) -> int:
    from .. import drawing
    from ..errors import CommandError

    if sum(source is not None for source in (arguments.input, arguments.dataset, arguments.drive)) != 1:
        raise CommandError("expected one of FILE, --dataset ROOT --sequences SS, and --drive DRIVE")
    pictures = _of_file(arguments) if arguments.input else _of_drive(arguments)
    for name, picture in pictures.items():
        print(drawing.save_png(arguments.output / name, picture))
    return 0


def _of_file(arguments: argparse.Namespace) -> dict:
    from ..drawing import voxel_pictures
    from ..errors import CommandError
    from ..predictions import read_prediction

    path = arguments.input
    if not path.exists():
        raise CommandError(f"{path}: no such file")
    if path.suffix == ".label":
        return voxel_pictures(path.stem, *read_prediction(path))
    return _of_recording(path, arguments.frame or "0")


def _of_recording(path: Path, number: str) -> dict:
    from occ_data.drive import is_number

    from ..demo.recordings import read_grids, recorded_grid
    from ..drawing import voxel_pictures
    from ..errors import CommandError

    if not is_number(number):
        raise CommandError(f"--frame {number}: expected a number, 0 for the recording's first grid")
    for place, labels in read_grids(path, [int(number)]):
        return voxel_pictures(f"{place:06d}", labels, recorded_grid(path, labels.shape))
    raise CommandError(f"{path}: no grid number {int(number)} in it")


def _of_drive(arguments: argparse.Namespace) -> dict:
    from occ_core.labels import labels_on

    from ..drawing import frame_pictures, truth_beside
    from ..errors import CommandError
    from ..predictions import prediction_file, read_prediction

    drive = _drive(arguments)
    frames = drive.image_frames
    frame = arguments.frame or frames[0]
    if frame not in frames:
        raise CommandError(f"--frame {frame}: {drive.path} has {frames[0]} to {frames[-1]}")
    truth = drive.voxel_labels(frame) if drive.has_voxels(frame) else None
    labels, grid = truth, drive.grid
    if arguments.predictions:
        labels, grid = read_prediction(prediction_file(arguments.predictions, drive.name, frame))
    if labels is None:
        raise CommandError(
            f"{drive.path}, frame {frame}: no voxel ground truth; give --predictions DIR, "
            "or for a sequence make the truth: occ-data ground-truth"
        )
    pictures = frame_pictures(frame, drive.image(frame), labels, drive.calibration, grid)
    if truth is not None and arguments.predictions:
        on_grid = labels_on(grid, truth, drive.grid)
        pictures[f"{frame}_truth_beside_prediction.png"] = truth_beside(labels, on_grid, grid)
    return pictures


def _drive(arguments: argparse.Namespace) -> "Drive":
    from ..errors import CommandError

    drives = chosen_drives(arguments)
    if len(drives) > 1:
        option = "--drive" if arguments.drive else "--sequences"
        raise CommandError(f"{option}: expected one, got {len(drives)}")
    return drives[0]
