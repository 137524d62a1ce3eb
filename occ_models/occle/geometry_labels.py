"""The geometric teacher's labels for frames without voxel labels (OccLE section 3.3.2).

One gray PNG per frame: the probability of being occupied times 254, the header's grid (X, Y, Z) as (X, Y * Z) pixels.
Which voxels are certain enough is decided when the file is read, by thresholds from all frames together.
"""

from pathlib import Path

import numpy as np
from torch import Tensor

from occ_core.files import FileError, read_mapping, write_yaml
from occ_data.kitti import read_gray, write_png

from ..data import FrameDataset
from ..frames import Frame
from ..targets import CERTAIN
from ..teaching import shared_work, write_missing
from .geometric import occupancy_logit
from .model import OccLE

THRESHOLDS = "thresholds.yaml"


def label_geometry(teacher: OccLE, data: FrameDataset, folder: Path) -> list[Frame]:
    """Write the probabilities of a data set's frames without labels where they are missing.

    data: not augmented. Returns the data set's frames with their files.
    """
    frames = [f if f.labelled else f._replace(occupied=f.file_in(folder, ".png")) for f in data.frames]
    files = {n: frame.occupied for n, frame in enumerate(frames) if frame.occupied}
    write_missing(teacher, data, files, teacher.geometry, _write)
    return frames


def _write(path: Path, geometry: Tensor) -> None:
    logit = occupancy_logit(geometry)[0]
    probability = (logit.float().sigmoid() * CERTAIN).round().byte().cpu().numpy()
    write_png(path, probability.reshape(len(probability), -1))


def confidence_thresholds(frames: list[Frame], file: Path, tau: float, keep: float) -> tuple[float, float]:
    """Least probability of "free" and of "occupied" that is used as a label, for frames with files of probabilities:
    as the YAML file has it; where it is missing it is written.
    """
    with shared_work(1) as (mine, _):
        if mine and not file.is_file():
            _write_thresholds(file, [frame.occupied for frame in frames if frame.occupied], tau, keep)
    values = read_mapping(file)
    thresholds = tuple(values.get(name) for name in ("free", "occupied"))
    if not all(isinstance(value, float | int) and 0 <= value <= 1 for value in thresholds):
        raise FileError(f"{file}: expected the keys free and occupied, each in 0..1")
    return thresholds


def class_thresholds(histogram: np.ndarray, tau: float, keep: float) -> tuple[float, float]:
    """Thresholds for free and occupied from the counts of each probability (255,): tau, or less where fewer than the
    `keep` most certain share of a class's predictions would pass. 93 % of all voxels are free, and easy: with one
    threshold for both, the student would get hardly any occupied voxels.
    """
    result = []
    for counts in (histogram[: CERTAIN // 2 + 1], histogram[: CERTAIN // 2 : -1]):  # most certain first
        share = np.cumsum(counts) / max(counts.sum(), 1)
        least = (CERTAIN - np.searchsorted(share, min(keep, share[-1]))) / CERTAIN if counts.sum() else tau
        result.append(float(min(tau, least)))
    return result[0], result[1]


def _write_thresholds(path: Path, files: list[Path], tau: float, keep: float) -> None:
    histogram = sum((np.bincount(read_gray(file).ravel(), minlength=256)[:255] for file in files), np.zeros(255, int))
    free, occupied = class_thresholds(histogram, tau, keep)
    write_yaml(path, {"free": free, "occupied": occupied, "tau": tau, "keep": keep})
