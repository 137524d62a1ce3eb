"""Depth of one image as a distribution over distances, and the evidence for each voxel that follows from it.

Released systems back-project one depth per pixel into points and voxelise those. Sampling from the voxel's side - with
which probability does the ray through its centre end inside it - needs no scatter, and keeps the uncertainty of the
depth. Distances are canonical metres throughout (`Calibration.canonical`).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers.conv import UNetDecoder, conv_bn_relu

NEAREST, FARTHEST = 2.0, 64.0
"""Centres of the first and the last bin, canonical metres; those between lie evenly in the logarithm."""


class DepthHead(nn.Module):
    """Image features -> logits over distances, (B, D, H/8, W/8)."""

    def __init__(self, widths: list[int], width: int, bins: int):
        """widths : of the encoder's features at strides 4, 8, ...; those from 8 on are used"""
        super().__init__()
        self.decoder = UNetDecoder(widths[1:])
        self.out = nn.Sequential(conv_bn_relu(widths[1], width), nn.Conv2d(width, bins, 1))

    def forward(self, features: list[Tensor]) -> Tensor:
        return self.out(self.decoder(features[1:]))


def bin_of(depth: Tensor, bins: int) -> Tensor:
    """Canonical metres -> place among the bins' centres, 0 to D-1; they are spaced evenly in the logarithm."""
    scale = (bins - 1) / math.log(FARTHEST / NEAREST)
    return (depth.clamp(NEAREST, FARTHEST) / NEAREST).log() * scale


def centers(bins: int, device=None) -> Tensor:
    """(D,) canonical metres."""
    return NEAREST * (FARTHEST / NEAREST) ** torch.linspace(0, 1, bins, device=device)


def shares(depth: Tensor, bins: int) -> Tensor:
    """Canonical metres (B, h, w) -> (B, D, h, w): all weight on the two nearest centres, by distance."""
    place = bin_of(depth, bins).unsqueeze(1)
    index = torch.arange(bins, device=depth.device, dtype=depth.dtype).reshape(1, -1, 1, 1)
    return (1 - (place - index).abs()).clamp(min=0)


def distribution(logits: Tensor, depth: Tensor) -> Tensor:
    """Probabilities over distances (B, D, h, w); where a depth image (B, h, w) has a value
    (> 0), that replaces the prediction."""
    known = (depth > 0).unsqueeze(1)
    return torch.where(known, shares(depth, logits.shape[1]), logits.softmax(1))


def metric_depth(probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """(B, D, h, w) -> the most likely distance (B, h, w) in canonical metres, averaged over the two bins on each side
    of the best one, and the probability that these hold: its confidence.
    """
    bins = probabilities.shape[1]
    best = probabilities.argmax(1, keepdim=True)
    index = torch.arange(bins, device=best.device).reshape(1, -1, 1, 1)
    near = probabilities * ((index - best).abs() <= 2)
    confidence = near.sum(1)
    metres = (near * centers(bins, best.device).reshape(1, -1, 1, 1)).sum(1) / confidence.clamp(min=1e-6)
    return metres, confidence


def depth_loss(logits: Tensor, depth: Tensor) -> Tensor:
    """Cross entropy with the two bins around the true depth (B, h, w), 0 where unknown; mean over known pixels."""
    known = (depth > 0).float()
    terms = -(shares(depth, logits.shape[1]) * logits.float().log_softmax(1)).sum(1)
    return (terms * known).sum() / known.sum().clamp(min=1)


def voxel_evidence(probabilities: Tensor, lifting: Tensor, voxel_depth: Tensor, thickness: float) -> Tensor:
    """Evidence for the voxels from depth, (B, 3, N, Z): the probability that the ray through the centre ends within
    `thickness` metres around it, the probability that it continues behind it, and whether the voxel is in view.

    probabilities (B, D, h, w), lifting (B, N, Z, 2), voxel_depth (B, N, Z). The D slices of the volume of
    distances are laid on one sheet and sampled twice per voxel, in the slice before and behind it: trilinear sampling
    by 4-D GridSamples. `voxel_evidence_ref` is the plain form.
    """
    batch, bins, height, width = probabilities.shape
    place = bin_of(voxel_depth, bins)
    low = place.floor().clamp(max=bins - 2)
    share = (place - low).unsqueeze(1)
    in_view = (lifting[..., 0].abs() <= 1).to(probabilities.dtype).unsqueeze(1)

    sheet = torch.stack([probabilities, behind(probabilities)], 1).reshape(batch, 2, bins * height, width)
    u = lifting[..., 0].clamp(1 / width - 1, 1 - 1 / width)
    row = ((lifting[..., 1] + 1) * (height / 2) - 0.5).clamp(0, height - 1) + low * height
    sampled = [
        F.grid_sample(sheet, torch.stack([u, (row + step + 0.5) * (2 / (bins * height)) - 1], -1), align_corners=False)
        for step in (0, height)
    ]
    ends, continues = ((1 - share) * sampled[0] + share * sampled[1]).split(1, 1)
    ends = ends * bins_in(voxel_depth, thickness, bins).unsqueeze(1)
    return torch.cat([ends * in_view, continues * in_view, in_view], 1)


def behind(probabilities: Tensor) -> Tensor:
    """(B, D, h, w): the probability that the ray ends beyond the centre of each bin."""
    bins = probabilities.shape[1]
    later = torch.ones(bins, bins, device=probabilities.device, dtype=probabilities.dtype).triu(1)
    later = later + 0.5 * torch.eye(bins, device=later.device, dtype=later.dtype)
    return F.conv2d(probabilities, later[:, :, None, None])


def bins_in(depth: Tensor, thickness: float, bins: int) -> Tensor:
    """How many bins an interval of `thickness` canonical metres around a depth covers, at most one."""
    scale = thickness * (bins - 1) / math.log(FARTHEST / NEAREST)
    return (scale / depth.clamp(NEAREST, FARTHEST)).clamp(max=1)


def voxel_evidence_ref(probabilities: Tensor, lifting: Tensor, voxel_depth: Tensor, thickness: float) -> Tensor:
    """`voxel_evidence` with a 5-D grid_sample."""
    bins = probabilities.shape[1]
    volume = torch.stack([probabilities, behind(probabilities)], 1)
    along = bin_of(voxel_depth, bins) / (bins - 1) * 2 - 1
    # A 5-D grid_sample has one convention for all three axes: ends of the volume are the centres of the outer bins.
    height, width = volume.shape[3:]
    u, v = (lifting[..., n] * size / (size - 1) for n, size in ((0, width), (1, height)))
    grid = torch.stack([u, v, along], -1).unsqueeze(3)
    sampled = F.grid_sample(volume, grid, padding_mode="border", align_corners=True).squeeze(4)
    in_view = (lifting[..., 0].abs() <= 1).to(sampled.dtype).unsqueeze(1)
    scale = bins_in(voxel_depth, thickness, bins).unsqueeze(1)
    return torch.cat([sampled[:, :1] * scale * in_view, sampled[:, 1:] * in_view, in_view], 1)
