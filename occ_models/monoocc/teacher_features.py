"""The privileged teacher's voxel features on disk, so that its student can learn from them without it.

One safetensors file a frame, `features` (1, C, x, y, z) float16.
"""

import os
from pathlib import Path

import torch
from safetensors.torch import save
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from ..data import Frame, FrameDataset, collate, inputs_of
from ..processes import shared_work
from .model import MonoOcc


def cache_features(model: MonoOcc, data: FrameDataset, folder: Path) -> list[Frame]:
    """Write the features of a data set's frames, where they are missing; returns the frames with their files.

    data: not augmented. Processes that train together share the work.
    """
    frames = [f._replace(features=folder / f"{f.root}_{f.sequence.name}" / f"{f.id}.safetensors") for f in data.frames]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = model.to(device).eval()
    with shared_work(len(frames)) as (mine, rank):
        missing = [n for n in mine if not frames[n].features.is_file()]
        loader = DataLoader(Subset(data, missing), collate_fn=collate)
        for n, batch in zip(missing, tqdm(loader, desc="teacher", unit="frame", disable=rank > 0), strict=True):
            with torch.no_grad():
                features = model.voxels(*(tensor.to(device) for tensor in inputs_of(batch, model.config)))
            path = frames[n].features
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(".tmp")
            part.write_bytes(save({"features": features.half().contiguous().cpu()}))
            os.replace(part, path)
    return frames
