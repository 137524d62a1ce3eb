"""One name for any drive."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from occ_core.rig import Rig

from .drive import DataError, Drive, is_number
from .kitti import Sequence

if TYPE_CHECKING:
    from .bags import BagOptions

_SYNTHETIC = "synthetic:"
_FRAMES, _RIG = "100", "hdl64-kitti"


def open_drive(source: str | Path, bag_options: "BagOptions | None" = None, rig: Rig | None = None) -> Drive:
    """A SemanticKITTI sequence folder, a bag (ROS 1 or ROS 2), or "synthetic:SEED[:FRAMES[:RIG[:varied]]]".

    bag_options : how to read a bag; sequences and synthetic drives do not need them
    rig : of a recording, in the place of what it says itself (`rig.yaml`, `base_footprint`); a synthetic street takes
        none: RIG in its name is a preset, a rig.yaml or "random", and KITTI's without it; `varied` as in `synthetic`

    Raises DataError.
    """
    if str(source).startswith(_SYNTHETIC):
        if rig is not None:
            raise DataError(f"{source}: has a rig of its own; expected synthetic:SEED:FRAMES:RIG for another one")
        return _synthetic(str(source))
    path = Path(source)
    if any((path / folder).is_dir() for folder in ("velodyne", "image_2")):
        return Sequence(path, rig)
    is_bag = path.suffix in (".bag", ".mcap", ".db3") or (path / "metadata.yaml").is_file()
    if not is_bag:
        found = "found another folder or file" if path.exists() else "there is none"
        raise DataError(
            f"{source}: expected a sequence folder (with velodyne/ or image_2/), a bag, or synthetic:SEED; {found}"
        )
    from .bags import BagDrive, BagOptions  # rosbags takes a while to import

    options = bag_options or BagOptions()
    return BagDrive(path, options if rig is None else replace(options, rig=rig))


def _synthetic(source: str) -> Drive:
    match source.removeprefix(_SYNTHETIC).split(":"):
        case [seed]:
            frames, rig, varied = _FRAMES, _RIG, False
        case [seed, frames]:
            rig, varied = _RIG, False
        case [seed, frames, rig]:
            varied = False
        case [seed, frames, rig, "varied"]:
            varied = True
        case _:
            seed = frames = rig = ""
    if not (is_number(seed) and is_number(frames) and rig):
        raise DataError(
            f"{source}: expected synthetic:SEED[:FRAMES[:RIG[:varied]]], such as synthetic:7, synthetic:7:100 or "
            "synthetic:7:100:random:varied"
        )
    from .synthetic import SyntheticDrive  # needs optional packages

    return SyntheticDrive(int(seed), int(frames), rig, varied)
