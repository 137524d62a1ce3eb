"""A trained network on the frames of drives, without a bundle: also networks that cannot be exported."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from occ_data.kitti import DepthFolder

from .data import FrameCache, FrameDataset, collate, inputs_of
from .frames import Frame, check_frames
from .layers.head import OccupancyNetwork, grid_of_cells
from .temperature import LogitCounts


class Predicted(NamedTuple):
    """Predicted classes, confidence 0..255 and true classes of one frame, (X, Y, Z) uint8 each on the network's grid;
    the truth is all IGNORE where the frame is not `labelled`.
    """

    frame: Frame
    labels: np.ndarray
    confidence: np.ndarray
    truth: np.ndarray


def predictions(
    model: OccupancyNetwork, frames: Sequence[Frame], depths: DepthFolder | None = None
) -> Iterator[Predicted]:
    """Each frame as the network labels it.

    Runs on a GPU where there is one. Raises DataError before the first frame where a frame lacks something.
    """
    for frame, inputs, truth in _inputs(model, frames, depths):
        labels, confidence = model.predict(*inputs)
        yield Predicted(frame, labels[0].cpu().numpy(), confidence[0].cpu().numpy(), truth)


def count_logits(model: OccupancyNetwork, frames: Sequence[Frame]) -> Iterator[LogitCounts]:
    """The counts of a network's logits after each frame: one object, which grows. Otherwise as `predictions`."""
    counts = LogitCounts()
    for _, inputs, truth in _inputs(model, frames, None):
        occupancy, semantics = (logits.float() for logits in model.logits(*inputs))
        counts.add(grid_of_cells(occupancy)[0].cpu().numpy(), semantics[0].cpu().numpy(), truth)
        yield counts


def _inputs(
    model: OccupancyNetwork, frames: Sequence[Frame], depths: DepthFolder | None
) -> Iterator[tuple[Frame, tuple[Tensor, ...], np.ndarray]]:
    """Each frame, its input tensors and true classes, without gradients."""
    check_frames(frames, None, max(model.config.views) > 0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device).eval()
    data = FrameDataset(list(frames), model.config, image_labels=None, cache=FrameCache(0), depths=depths)
    for frame, batch in zip(frames, DataLoader(data, collate_fn=collate), strict=True):
        with torch.no_grad():
            yield frame, tuple(t.to(device) for t in inputs_of(batch, model.config)), batch["labels"][0].numpy()
