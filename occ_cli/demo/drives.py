"""What `occ-node demo` plays: the user's own recording, or a synthetic street made on the spot."""

import argparse
import importlib.util
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from occ_core import Calibration
from occ_core.calibration_file import read_calibration_file, write_kitti_calibration
from occ_data.bags import BagOptions, bag_calibration, write_bag
from occ_data.kitti import Sequence

from ..errors import CommandError
from ..processes import Child, stops_like_ctrl_c
from .inputs import BagInputs, bag_inputs

_TRUTH_EVERY = 10


@dataclass(frozen=True)
class Drive:
    """What is played: the bag, its topics and calibration, and the sequence with the truth of its frames."""

    description: str
    bag: Path
    inputs: BagInputs
    calibration: Calibration
    calibration_file: Path
    truth: Sequence | None


def recorded_drive(arguments: argparse.Namespace, lidar_frame: str | None) -> Drive:
    """The user's own recording; with a lidar_frame, camera only.

    Raises BagError, CalibrationError, CommandError.
    """
    topics = {name: getattr(arguments, name) for name in ("image", "camera_info", "points")}
    inputs = bag_inputs(arguments.bag, BagOptions(**topics, lidar_frame=lidar_frame))
    file = arguments.calibration
    rig = read_calibration_file(file) if file else None
    calibration = bag_calibration(arguments.bag, inputs.chosen, lidar_frame, rig)
    if file is None:
        file = _write_calibration(arguments.output, calibration)
    truth = Sequence(arguments.truth) if arguments.truth else None
    if truth and len(truth) != inputs.frames:
        raise CommandError(
            f"--truth {truth.path}: {len(truth)} scans, the bag has {inputs.frames}; expected the one it was made from"
        )
    return Drive(f"{arguments.bag}, {inputs.frames} frames", arguments.bag, inputs, calibration, file, truth)


def synthetic_drive(output: Path, frames: int, seed: int, lidar_frame: str | None) -> Drive:
    """The street of a seed, made once and kept in the output folder; with a lidar_frame, camera only."""
    folder = output / f"drive-seed{seed}-{frames}"
    bag, name = folder / "bag", f"{seed:02d}"
    if not (bag / "metadata.yaml").is_file():
        for module in ("trimesh", "embreex"):
            if importlib.util.find_spec(module) is None:
                raise CommandError(
                    f"{module} is not installed, the synthetic drive needs it: pip install 'occ_node[synth]'"
                )
        shutil.rmtree(folder, ignore_errors=True)
        _generate(folder, name, frames, seed)
        write_bag(Sequence(folder / "sequences" / name), bag, progress=True)
    sequence = Sequence(folder / "sequences" / name)
    inputs = bag_inputs(bag, BagOptions(lidar_frame=lidar_frame))
    calibration = bag_calibration(bag, inputs.chosen, lidar_frame)
    file = _write_calibration(output, calibration)
    seconds = sequence.times[-1] - sequence.times[0]
    return Drive(f"synthetic street {seed}, {frames} frames, {seconds:.1f} s", bag, inputs, calibration, file, sequence)


def _write_calibration(output: Path, calibration: Calibration) -> Path:
    """As the node's parameter calibration_file takes it."""
    return write_kitti_calibration(output / "calib.txt", {"P2": calibration.P}, calibration.T_cam_lidar)


def _generate(folder: Path, name: str, frames: int, seed: int) -> None:
    """In a process group of its own, which ends with this process; its progress is the number of files written."""
    command = [sys.executable, "-m", "occ_cli.data", "synth", "--output", str(folder), "--sequences", name]
    command += ["--frames", str(frames), "--seed", str(seed), "--voxels-every", str(_TRUTH_EVERY)]
    scans, done = folder / "sequences" / name / "velodyne", 0
    with stops_like_ctrl_c(), tqdm(total=frames, desc="synthetic drive", unit="frame") as bar:
        child = Child("drive", command, dict(os.environ), folder.parent / "logs" / "drive.log")
        try:
            while child.exit_code is None:
                time.sleep(0.2)
                number = len(list(scans.glob("[0-9]*.bin")))
                bar.update(number - done)
                done = number
            if child.exit_code:
                child.check()
            bar.update(frames - done)
        finally:
            child.stop()
