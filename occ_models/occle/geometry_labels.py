"""What the geometric teacher says of frames without labels (OccLE section 3.3.2).

One gray PNG a frame: the probability of being occupied times 254, feature grid (X, Y, Z) as (X, Y * Z) pixels. What is
too uncertain to learn from is decided when it is read, by thresholds from all frames together.
"""

from pathlib import Path

import numpy as np
import torch
import yaml
from torch.utils.data import DataLoader
from tqdm import tqdm

from occ_data.kitti import read_gray, write_png

from ..config import write_yaml
from ..data import Frame, FrameDataset, collate, inputs_of
from ..processes import shared_work
from ..targets import CERTAIN
from .geometric import occupancy_logit
from .model import OccLE

THRESHOLDS = "thresholds.yaml"


def label_geometry(model: OccLE, data: FrameDataset, folder: Path, tau: float, keep: float) -> list[Frame]:
    """Write the probabilities of a data set's frames without labels, where they are missing, and the thresholds.

    data: not augmented. Processes that train together share the work. Returns the data set's frames with their files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    frames = [f if f.labelled else f._replace(occupied=_file(folder, f)) for f in data.frames]
    unlabelled = [n for n, f in enumerate(frames) if f.occupied]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = model.to(device).eval()
    with shared_work(len(unlabelled)) as (mine, rank):
        missing = [unlabelled[n] for n in mine if not frames[unlabelled[n]].occupied.is_file()]
        loader = DataLoader(torch.utils.data.Subset(data, missing), collate_fn=collate)
        for n, batch in zip(missing, tqdm(loader, desc="teacher", unit="frame", disable=rank > 0), strict=True):
            with torch.no_grad():
                inputs = (tensor.to(device) for tensor in inputs_of(batch, model.config))
                logit = occupancy_logit(model.geometry(*inputs))[0]
            probability = (logit.float().sigmoid() * CERTAIN).round().byte().cpu().numpy()
            write_png(frames[n].occupied, probability.reshape(len(probability), -1))
    with shared_work(1) as (mine, _):
        if mine and not (folder / THRESHOLDS).is_file():
            _write_thresholds(folder, [f.occupied for f in frames if f.occupied], tau, keep)
    return frames


def read_thresholds(folder: Path) -> tuple[float, float]:
    """Least probability of "free" and of "occupied" that counts."""
    values = yaml.safe_load((folder / THRESHOLDS).read_text())
    return values["free"], values["occupied"]


def class_thresholds(histogram: np.ndarray, tau: float, keep: float) -> tuple[float, float]:
    """Thresholds for free and occupied from the counts of each probability (255,): tau, or less where fewer than the
    `keep` most certain share of a class's predictions would pass. 93 % of all voxels are free and easy: with one
    threshold for both, the student would learn of hardly anything occupied.
    """
    result = []
    for counts in (histogram[: CERTAIN // 2 + 1], histogram[: CERTAIN // 2 : -1]):  # most certain first
        share = np.cumsum(counts) / max(counts.sum(), 1)
        least = (CERTAIN - np.searchsorted(share, min(keep, share[-1]))) / CERTAIN if counts.sum() else tau
        result.append(float(min(tau, least)))
    return result[0], result[1]


def _write_thresholds(folder: Path, files: list[Path], tau: float, keep: float) -> None:
    histogram = sum((np.bincount(read_gray(file).ravel(), minlength=256)[:255] for file in files), np.zeros(255, int))
    free, occupied = class_thresholds(histogram, tau, keep)
    write_yaml({"free": free, "occupied": occupied, "tau": tau, "keep": keep}, folder / THRESHOLDS)


def _file(folder: Path, frame: Frame) -> Path:
    return folder / f"{frame.root}_{frame.sequence.name}" / f"{frame.id}.png"
