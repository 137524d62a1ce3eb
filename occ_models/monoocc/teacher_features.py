"""The privileged teacher's voxel features on disk, so that its student is trained without running it.

One safetensors file per frame, `features` (1, C, x, y, z) float16.
"""

from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from occ_core.files import write_bytes

from ..data import FrameDataset
from ..frames import Frame
from ..teaching import write_missing
from .model import MonoOcc


def cache_features(teacher: MonoOcc, data: FrameDataset, folder: Path) -> list[Frame]:
    """Write the features of a data set's frames where they are missing; returns the frames with their files.

    data: not augmented.
    """
    frames = [frame._replace(features=frame.file_in(folder, ".safetensors")) for frame in data.frames]
    write_missing(teacher, data, {n: frame.features for n, frame in enumerate(frames)}, teacher.voxels, _write)
    return frames


def _write(path: Path, features: Tensor) -> None:
    write_bytes(path, save({"features": features.half().contiguous().cpu()}))
