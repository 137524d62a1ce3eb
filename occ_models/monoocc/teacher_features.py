"""The privileged teacher's voxel features on disk, so that its student is trained without running it.

One safetensors file per frame, `features` (1, C, x, y, z) float16.
"""

import math
import shutil
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from occ_core.files import write_bytes

from ..config import ConfigError
from ..data import FrameDataset
from ..frames import Frame
from ..phases import log
from ..teaching import write_missing
from .config import MonoOccConfig
from .model import MonoOcc


def cache_features(teacher: MonoOcc, data: FrameDataset, folder: Path) -> list[Frame]:
    """Write the features of a data set's frames where they are missing; returns the frames with their files.

    data: not augmented.
    """
    frames = _with_files(data.frames, folder)
    write_missing(teacher, data, {n: frame.features for n, frame in enumerate(frames)}, teacher.voxels, _write)
    return frames


def check_room(config: MonoOccConfig, frames: list[Frame], folder: Path) -> None:
    """Print what the files that are still missing will take on the disk. Raises ConfigError where it has less room.

    config : the teacher's
    """
    missing = sum(not frame.features.is_file() for frame in _with_files(frames, folder))
    if not missing:
        return
    grid = config.preprocess.grid.coarsen(config.preprocess.lifting_factor)
    each = 2 * config.channels * math.prod(grid.shape)  # float16
    disk = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(disk).free
    cost = f"{missing} files of {_size(each)}, {_size(missing * each)} in {folder}"
    if missing * each > free:
        raise ConfigError(
            f"teacher_features: cached takes {cost}, where {_size(free)} are free; make room, or take online"
        )
    log(f"teacher features: {cost}; {_size(free)} are free")


def _size(number: int) -> str:
    return f"{number / 1e9:,.0f} GB" if number >= 1e10 else f"{number / 1e6:,.1f} MB"


def _with_files(frames: list[Frame], folder: Path) -> list[Frame]:
    return [frame._replace(features=frame.file_in(folder, ".safetensors")) for frame in frames]


def _write(path: Path, features: Tensor) -> None:
    write_bytes(path, save({"features": features.half().contiguous().cpu()}))
