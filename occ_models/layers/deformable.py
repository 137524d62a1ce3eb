"""The core of deformable attention (Zhu et al. 2021) and of DCNv3: samples at positions that a network predicts.

Plain PyTorch: every sample is taken by a 4-D GridSample, so no compiled operator is needed and every runtime can run
the graph. `deformable_attention_ref` computes the same sample by sample.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

_KEPT = 64_000_000
"""Most samples that are kept for the backward pass; where there are more, they are computed again, head by head."""


def deformable_attention(values: Tensor, positions: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum of bilinear samples.

    values (B, H, c, h, w), positions (B, H, P, Q, 2) in [-1, 1] (align_corners=False; zero outside), weights
    (B, H, P, Q) -> (B, Q, H*c). Queries are innermost, so that sums over the points run along contiguous memory.
    """
    if torch.is_grad_enabled() and weights.numel() * values.shape[2] > _KEPT:
        # At the papers' size the samples of one layer take a gigabyte per image.
        parts = zip(values.split(1, 1), positions.split(1, 1), weights.split(1, 1), strict=True)
        return torch.cat([checkpoint(_sample_and_sum, *part, use_reentrant=False) for part in parts], 2)
    return _sample_and_sum(values, positions, weights)


def _sample_and_sum(values: Tensor, positions: Tensor, weights: Tensor) -> Tensor:
    batch, heads, channels, height, width = values.shape
    points, queries = weights.shape[2:]
    sampled = F.grid_sample(
        values.reshape(batch * heads, channels, height, width),
        positions.reshape(batch * heads, points, queries, 2),
        align_corners=False,
    )  # (B*H, c, P, Q)
    summed = (sampled * weights.reshape(batch * heads, 1, points, queries)).sum(2)
    return summed.reshape(batch, heads * channels, queries).transpose(1, 2)


def deformable_attention_ref(values: Tensor, positions: Tensor, weights: Tensor) -> Tensor:
    """`deformable_attention` in a loop over heads, points, queries and corners."""
    batch, heads, channels, height, width = values.shape
    result = values.new_zeros(batch, positions.shape[3], heads, channels)
    for b, h, p, q in torch.cartesian_prod(*(torch.arange(n) for n in positions.shape[:4])).tolist():
        u = (positions[b, h, p, q, 0].item() + 1) / 2 * width - 0.5
        v = (positions[b, h, p, q, 1].item() + 1) / 2 * height - 0.5
        for column in (math.floor(u), math.floor(u) + 1):
            for row in (math.floor(v), math.floor(v) + 1):
                if 0 <= column < width and 0 <= row < height:
                    share = (1 - abs(u - column)) * (1 - abs(v - row)) * weights[b, h, p, q]
                    result[b, q, h] += share * values[b, h, :, row, column]
    return result.flatten(2)
