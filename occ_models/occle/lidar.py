"""LiDAR parts: learned voxel features, their placement on the grid, and the two LiDAR encoders."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from occ_core import Grid

from ..layers.conv import UNetDecoder, conv_bn_relu, grid_from_heights, upsample_to
from ..layers.sparse import MaskedConv3d
from .config import OccLEConfig


def point_scale(grid: Grid) -> tuple[float, ...]:
    """Factors (7,) that bring a point's features to about one: its place by half the grid's width and half its height,
    as the origin is in the middle of one side; intensity; offsets in the voxel by 0.2 m.

    VoxelNet leaves this to batch statistics, which padded rows would distort.
    """
    _, width, height = (2 / (grid.voxel_size * n) for n in grid.shape)
    return width, width, height, 1.0, 5.0, 5.0, 5.0


class VoxelFeatureEncoder(nn.Module):
    """VoxelNet's learned features (OccLE section 3.2): pointwise layer, maximum over the voxel, twice."""

    def __init__(self, channels: int, grid: Grid):
        super().__init__()
        self.register_buffer("scale", torch.tensor(point_scale(grid)), persistent=False)
        self.first = nn.Linear(7, channels)
        self.second = nn.Linear(2 * channels, channels)

    def forward(self, voxels: Tensor, counts: Tensor) -> Tensor:
        """voxels : (V, K, 7), counts : (V,) -> (V, C); rows without points are zero."""
        slots = torch.arange(voxels.shape[1], device=voxels.device)
        mask = (slots < counts.unsqueeze(1)).to(voxels.dtype).unsqueeze(2)  # (V, K, 1)
        x = self.first(voxels * self.scale).relu() * mask  # ReLU first: the zeros of padding never win the maximum
        # A layer over each point beside its voxel's maximum, as two products: that of the maximum once per voxel.
        of_point, of_voxel = self.second.weight.chunk(2, 1)
        x = F.linear(x, of_point) + F.linear(x.amax(1, keepdim=True), of_voxel, self.second.bias)
        return (x.relu() * mask).amax(1)


def own_voxel_features(config: OccLEConfig) -> VoxelFeatureEncoder | None:
    """A branch's own encoder, or None where both branches use that of the whole network."""
    return VoxelFeatureEncoder(config.voxel_channels, config.preprocess.grid) if config.own_voxel_features else None


def spread(features: Tensor, table: Tensor) -> Tensor:
    """Rows (V, C) onto the grid by one Gather: table (B, X, Y, Z) -> (B, X, Y, Z, C). Row 0 is the empty voxel."""
    return F.embedding(table, features)


class LidarUNet(nn.Module):
    """G_s3d of eq. 1 in its dense form: a 2-D U-Net with heights as channels, from half resolution down.

    Returns the feature grid (B, C, X/f, Y/f, Z/f) and the half-resolution map (B, widths[0], X/2, Y/2) for the head.
    """

    def __init__(
        self, height: int, voxel_factor: int, voxel_channels: int, widths: tuple[int, ...], factor: int, channels: int
    ):
        super().__init__()
        patch = 2 // voxel_factor
        self.voxels = nn.Conv2d(height // voxel_factor * voxel_channels, widths[0], patch, patch, bias=False)
        self.columns = nn.Conv2d(4 * height, widths[0], 1, bias=False)
        self.stem = nn.Sequential(nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True), conv_bn_relu(widths[0], widths[0]))
        self.stages = nn.ModuleList(
            nn.Sequential(conv_bn_relu(fine, coarse, 3, 2), conv_bn_relu(coarse, coarse))
            for fine, coarse in pairwise(widths)
        )
        self.level = (factor // 2).bit_length() - 1  # of the feature grid in the pyramid
        self.decoder = UNetDecoder(list(widths[self.level :]))
        self.depth = height // factor
        self.out = conv_bn_relu(widths[self.level], channels * self.depth, 1)

    def forward(self, voxel_grid: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        """voxel_grid (B, X/v, Y/v, Z/v, Cv), columns (B, X/2, Y/2, 4*Z) of the scan's occupancy, 0 or 1."""
        voxels = self.voxels(voxel_grid.flatten(3).permute(0, 3, 1, 2))
        columns = self.columns(columns.to(voxels.dtype).permute(0, 3, 1, 2))
        features = [self.stem(voxels + columns)]
        for stage in self.stages:
            features.append(stage(features[-1]))
        grid = self.out(self.decoder(features[self.level :]))
        return grid_from_heights(grid, self.depth), features[0]


class SparseUNet3d(nn.Module):
    """G_s3d of eq. 1: a U-Net of sparse 3-D convolutions, only at voxels with points (Table 3: in 1, 2 or 3 layers).

    The way up restores the active voxels of each level on the way down.
    """

    def __init__(self, voxel_channels: int, widths: tuple[int, ...], stride: int, channels: int):
        super().__init__()
        first = MaskedConv3d(voxel_channels, widths[0], stride if stride > 1 else 3, stride)
        self.down = nn.ModuleList([first, *(MaskedConv3d(fine, coarse, 2, 2) for fine, coarse in pairwise(widths))])
        self.levels = nn.ModuleList(MaskedConv3d(width, width) for width in widths)
        self.merge = nn.ModuleList(MaskedConv3d(fine + coarse, fine, 1) for fine, coarse in pairwise(widths))
        self.up = nn.ModuleList(MaskedConv3d(width, width) for width in widths[:-1])
        self.out = MaskedConv3d(widths[0], channels, 1)

    def forward(self, voxel_grid: Tensor, active: Tensor) -> Tensor:
        """Arguments and result as those of `LidarEncoder3d`."""
        x, mask = voxel_grid.permute(0, 4, 1, 2, 3), active.permute(0, 4, 1, 2, 3)
        skips = []
        for down, level in zip(self.down, self.levels, strict=True):
            x, mask = level(*down(x, mask))
            skips.append((x, mask))
        for merge, up, (skip, at) in zip(reversed(self.merge), reversed(self.up), reversed(skips[:-1]), strict=True):
            x, _ = up(*merge(torch.cat([upsample_to(x, skip), skip], 1) * at, at))
        return self.out(x, skips[0][1])[0]


class LidarEncoder3d(nn.Module):
    """The geometric branch's two-layer convolution over the voxel grid (section 4.2).

    sparse: only at active voxels, as the paper's sparse convolutions; otherwise dense.
    """

    def __init__(self, voxel_channels: int, channels: int, stride: int, sparse: bool):
        super().__init__()
        self.sparse = sparse
        first = stride if stride > 1 else 3
        if sparse:
            layers = MaskedConv3d(voxel_channels, channels, first, stride), MaskedConv3d(channels, channels)
        else:
            layers = conv_bn_relu(voxel_channels, channels, first, stride, 3), conv_bn_relu(channels, channels, dims=3)
        self.layers = nn.ModuleList(layers)

    def forward(self, voxel_grid: Tensor, active: Tensor) -> Tensor:
        """voxel_grid (B, X/v, Y/v, Z/v, Cv), active (B, X/v, Y/v, Z/v, 1): 1 in voxels with points, else 0.

        Returns (B, C, X/f, Y/f, Z/f).
        """
        x, mask = voxel_grid.permute(0, 4, 1, 2, 3), active.permute(0, 4, 1, 2, 3)
        for layer in self.layers:
            if self.sparse:
                x, mask = layer(x, mask)
            else:
                x = layer(x)
        return x
