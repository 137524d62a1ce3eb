"""Scatter-accumulated projection (OccLE section 3.4, eq. 5): voxel features onto the image plane, for training."""

import torch
from torch import Tensor, nn

from occ_core import NUM_CLASSES, Grid

from ..layers.conv import conv_bn_relu
from ..losses import at_least_single


class Projection(nn.Module):
    """Eq. 5 and its 2-D header: fused grid -> class logits of the image at stride `shape`.

    by_distance: near voxels weigh more, 1 / distance from the LiDAR in metres (appendix C.1, Table C.2)
    plain: sums as they are, as in eq. 5; otherwise divided as `scatter_accumulate` does
    """

    def __init__(
        self, channels: int, grid: Grid, shape: tuple[int, int], by_distance: bool = False, plain: bool = False
    ):
        super().__init__()
        self.shape, self.plain = shape, plain
        distance = torch.from_numpy(grid.centers()).norm(dim=-1).clamp(min=1.0).flatten()
        weights = 1 / distance if by_distance else torch.ones_like(distance)
        self.register_buffer("weights", weights, persistent=False)
        self.header = nn.Sequential(conv_bn_relu(channels, channels), nn.Conv2d(channels, NUM_CLASSES, 1))

    def forward(self, fused: Tensor, lifting: Tensor) -> tuple[Tensor, Tensor]:
        """fused (B, C, X, Y, Z), lifting (B, X*Y, Z, 2) -> logits (B, 20, h, w) and hit (B, h, w) bool: cells on which
        a voxel falls; the logits of the others mean nothing.
        """
        features, hit = scatter_accumulate(fused, lifting, self.weights, self.shape, self.plain)
        return self.header(features.to(fused.dtype)), hit


def scatter_accumulate(
    fused: Tensor, lifting: Tensor, weights: Tensor, shape: tuple[int, int], plain: bool = False
) -> tuple[Tensor, Tensor]:
    """Sum the weighted features of all voxels whose centre falls into a cell. At least in float32.

    Unless `plain`, the sum is divided by the root of the sum of squared weights: sums run from one term to hundreds,
    and so keep about their scale.

    fused (B, C, X, Y, Z), lifting (B, X*Y, Z, 2), weights (X*Y*Z,) -> (B, C, h, w), hit (B, h, w) bool
    """
    height, width = shape
    batch, channels = fused.shape[:2]
    uv = lifting.reshape(batch, -1, 2)
    seen = (uv.abs() < 1).all(2)
    column = ((uv[..., 0] + 1) / 2 * width).long().clamp(0, width - 1)
    row = ((uv[..., 1] + 1) / 2 * height).long().clamp(0, height - 1)
    cell = torch.arange(batch, device=uv.device).unsqueeze(1) * (height * width) + row * width + column
    weights = weights.expand(batch, -1)[seen]
    features = at_least_single(fused.flatten(2).transpose(1, 2)[seen]) * weights.unsqueeze(1)
    sums = features.new_zeros(batch * height * width, channels).index_add(0, cell[seen], features)
    squares = weights.new_zeros(batch * height * width).index_add(0, cell[seen], weights.square())
    if not plain:
        sums = sums / squares.sqrt().clamp(min=1e-6).unsqueeze(1)
    return sums.reshape(batch, height, width, channels).permute(0, 3, 1, 2), (squares > 0).reshape(batch, height, width)


def scatter_accumulate_ref(
    fused: Tensor, lifting: Tensor, weights: Tensor, shape: tuple[int, int], plain: bool = False
) -> tuple[Tensor, Tensor]:
    """`scatter_accumulate` voxel by voxel."""
    height, width = shape
    batch, channels = fused.shape[:2]
    sums, squares = fused.new_zeros(batch, channels, height, width), fused.new_zeros(batch, height, width)
    for b in range(batch):
        for voxel, (u, v) in enumerate(lifting[b].reshape(-1, 2).tolist()):
            if abs(u) < 1 and abs(v) < 1:
                row, column = int((v + 1) / 2 * height), int((u + 1) / 2 * width)
                sums[b, :, row, column] += weights[voxel] * fused[b].flatten(1)[:, voxel]
                squares[b, row, column] += weights[voxel] ** 2
    return sums if plain else sums / squares.sqrt().clamp(min=1e-6).unsqueeze(1), squares > 0
