"""A trained network on the frames of drives, without a bundle: also networks that cannot be exported."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch.utils.data import DataLoader

from occ_data.kitti import DepthFolder

from .data import FrameCache, FrameDataset, collate, inputs_of
from .frames import Frame, check_frames
from .layers.head import OccupancyNetwork


def predictions(
    model: OccupancyNetwork, frames: Sequence[Frame], depths: DepthFolder | None = None
) -> Iterator[tuple[Frame, np.ndarray, np.ndarray]]:
    """Each frame with its predicted classes and the true ones, (X, Y, Z) uint8 each on the network's grid; all IGNORE
    where the frame is not `labelled`.

    Runs on a GPU where there is one. Raises DataError before the first frame where a frame lacks something.
    """
    check_frames(frames, None, max(model.config.views) > 0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = model.to(device).eval()
    data = FrameDataset(list(frames), model.config, image_labels=None, cache=FrameCache(0), depths=depths)
    for frame, batch in zip(frames, DataLoader(data, collate_fn=collate), strict=True):
        with torch.no_grad():
            labels, _ = model.predict(*(tensor.to(device) for tensor in inputs_of(batch, model.config)))
        yield frame, labels[0].cpu().numpy(), batch["labels"][0].numpy()
