"""What `occ-node demo` plays: the user's own recording, or a synthetic street made on the spot."""

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
from occ_core.rig import Rig, write_rig
from occ_data.bags import BagOptions, Topics, bag_calibration, bag_topics, choose_topics, write_bag
from occ_data.kitti import Sequence

from ..errors import CommandError
from ..processes import Child, stops_like_ctrl_c

_TRUTH_EVERY = 10


@dataclass(frozen=True)
class Drive:
    """What is played.

    topics : of one camera and one LiDAR; compressed : whether the images are
    frames : number of clouds, or of images where no cloud is needed
    calibration_file, rig_file : for the node; truth : the sequence that the bag was made from, where its truth is known
    """

    name: str
    bag: Path
    topics: Topics
    compressed: bool
    frames: int
    calibration: Calibration
    calibration_file: Path
    rig_file: Path
    truth: Sequence | None

    @property
    def description(self) -> str:
        """One line for the report."""
        return f"{self.name}, {self.frames} frames"


def recorded_drive(bag: Path, options: BagOptions, truth: Path | None, output: Path) -> Drive:
    """The user's own recording.

    options : a lidar_frame means camera only; truth : sequence folder that the bag was made from
    output : folder for the calibration and the rig found in the bag

    Raises BagError, CalibrationError, CommandError.
    """
    sequence = Sequence(truth) if truth else None
    drive = _drive(str(bag), bag, options, sequence, output)
    if sequence and len(sequence) != drive.frames:
        raise CommandError(
            f"--truth {truth}: {len(sequence)} scans, the bag has {drive.frames}; expected the one it was made from"
        )
    return drive


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
    seconds = sequence.times[-1] - sequence.times[0]
    return _drive(
        f"synthetic street {seed}, {seconds:.1f} s", bag, BagOptions(lidar_frame=lidar_frame), sequence, output
    )


def _drive(name: str, bag: Path, options: BagOptions, truth: Sequence | None, output: Path) -> Drive:
    topics = choose_topics(bag, options.image, options.camera_info, options.points, options.lidar_frame is None)
    in_bag = bag_topics(bag)
    file = options.calibration_file
    extrinsics = read_calibration_file(file) if file else None
    calibration = bag_calibration(bag, topics, options.lidar_frame, extrinsics, options.rig)
    rig = (options.rig or Rig()).completed(Rig.from_grid(calibration.T_grid_lidar))
    if file is None:
        file = write_kitti_calibration(output / "calib.txt", {"P2": calibration.P}, calibration.T_cam_lidar)
    compressed, frames = "Compressed" in in_bag[topics.image][0], in_bag[topics.frames][1]
    return Drive(name, bag, topics, compressed, frames, calibration, file, write_rig(output / "rig.yaml", rig), truth)


def _generate(folder: Path, name: str, frames: int, seed: int) -> None:
    """Run `occ-data synth` in a child process, which ends with this one; the files written show its progress."""
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
