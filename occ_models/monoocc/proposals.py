"""Query proposals (VoxFormer's stage 1): which voxels become queries of the cross-attention."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers.conv import UNetDecoder, conv_bn_relu, heights_as_channels


class ProposalNetwork(nn.Module):
    """After LMSCNet: a 2-D U-Net with heights as channels completes the evidence from depth to occupancy.

    Input and output have the resolution of the feature grid; a U-Net decoder and a 1x1 convolution replace LMSCNet's
    transposed convolutions and its 3-D head.
    """

    def __init__(self, depth: int, widths: tuple[int, ...], channels: int = 3):
        super().__init__()
        self.first = nn.Sequential(conv_bn_relu(channels * depth, widths[0]), conv_bn_relu(widths[0], widths[0]))
        self.stages = nn.ModuleList(
            nn.Sequential(conv_bn_relu(fine, coarse, 3, 2), conv_bn_relu(coarse, coarse))
            for fine, coarse in pairwise(widths)
        )
        self.decoder = UNetDecoder(list(widths))
        self.out = nn.Conv2d(widths[0], depth, 1)

    def forward(self, evidence: Tensor) -> Tensor:
        """evidence (B, 3, X, Y, Z) -> logits of being occupied (B, X, Y, Z)."""
        features = [self.first(heights_as_channels(evidence))]
        for stage in self.stages:
            features.append(stage(features[-1]))
        return self.out(self.decoder(features)).permute(0, 2, 3, 1)


def choose(logits: Tensor, number: int, rule: str = "soft") -> tuple[Tensor, Tensor]:
    """The `number` most likely voxels of each slice of equal x, 0 for all of them, and their weights.

    logits : (B, X, Y, Z). Returns indices (B, X, K) into the Y*Z voxels of the slice, and weights (B, X, K) in [0, 1].
    A fixed number per slice keeps shapes fixed, spreads the queries over all distances and stays below TensorRT's limit
    on TopK. By the rule "soft" a weight starts at zero at probability 1/2, or at that of the last voxel chosen where it
    is higher, so the result stays continuous when other voxels are chosen. By "threshold" it is 1 above probability 1/2
    and 0 below, as VoxFormer takes its proposals.
    """
    scores = logits.flatten(2)
    if number:
        best, indices = scores.topk(min(number, scores.shape[2]), dim=2)
    else:
        best, indices = scores, torch.arange(scores.shape[2], device=scores.device).expand(scores.shape)
    if rule == "threshold":
        return indices, (best > 0).to(best.dtype)
    probability = best.sigmoid()
    return indices, (4 * (probability - probability[:, :, -1:].clamp(min=0.5))).clamp(0, 1)


def cut_off(logits: Tensor, number: int) -> Tensor:
    """Which voxels are above probability 1/2 but not among the `number` of their slice (0: no limit), (B, X, Y, Z)."""
    scores = logits.flatten(2)
    if not number:
        return torch.zeros_like(logits, dtype=torch.bool)
    least = scores.topk(min(number, scores.shape[2]), dim=2).values[:, :, -1:]
    return ((scores > 0) & (scores < least)).reshape(logits.shape)


def gather_rows(table: Tensor, indices: Tensor) -> Tensor:
    """table (B, X, N, C), indices (B, X, K) into N -> (B, X, K, C), as one Gather of rows."""
    batch, slices, rows, channels = table.shape
    start = rows * torch.arange(batch * slices, device=indices.device).reshape(batch, slices, 1)
    return F.embedding(indices + start, table.reshape(-1, channels))


def spread_rows(rows: Tensor, indices: Tensor, other: Tensor, number: int) -> Tensor:
    """The inverse: rows (B, X, K, C) to their places among `number` in each slice, (B, X, N, C); `other` (C,) fills
    the other places.
    """
    batch, slices, chosen, channels = rows.shape
    ranks = torch.arange(chosen, device=rows.device).expand(batch, slices, chosen)
    place = torch.full((batch, slices, number), chosen, device=rows.device, dtype=ranks.dtype)
    place = place.scatter(2, indices, ranks)
    table = torch.cat([rows, other.expand(batch, slices, 1, channels)], 2)
    return gather_rows(table, place)
