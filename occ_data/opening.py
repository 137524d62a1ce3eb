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


def open_drive(source: str | Path, bag_options: "BagOptions | None" = None, rig: Rig | None = None) -> Drive:
    """A SemanticKITTI sequence folder, a bag (ROS 1 or ROS 2), or "synthetic:SEED[:FRAMES[:RIG]]".

    bag_options : how to read a bag; sequences and synthetic drives do not need them
    rig : of a recording, in the place of what it says itself (`rig.yaml`, `base_footprint`); a synthetic street takes
        none: RIG in its name is a preset, a rig.yaml or "random", and KITTI's without it

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
    numbers, rig = source.removeprefix(_SYNTHETIC).split(":", 2), None
    if len(numbers) == 3:
        rig = numbers.pop()
    if not all(is_number(number) for number in numbers) or rig == "":
        expected = "synthetic:SEED, synthetic:SEED:FRAMES or synthetic:SEED:FRAMES:RIG, such as synthetic:7:100:random"
        raise DataError(f"{source}: expected {expected}")
    from .synthetic import SyntheticDrive  # needs optional packages

    seed, *frames = map(int, numbers)
    return SyntheticDrive(seed, *frames) if rig is None else SyntheticDrive(seed, frames[0], rig)
