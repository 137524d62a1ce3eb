"""Factorised head: occupancy at full resolution, the 19 classes at half of it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from occ_node.perception import NUM_CLASSES

from ..layers.conv import conv_bn_relu
from .lidar import heights_as_channels


class FactorisedHead(nn.Module):
    """Fused grid and half-resolution LiDAR map -> logits.

    P(class c) = P(occupied) P(c | occupied): a dense 20-class head at full resolution would cost more than the network.
    Occupancy is refined at full resolution by what the scan hit around each voxel, which half resolution blurs.
    """

    def __init__(self, channels: int, depth: int, half_channels: int, height: int, factor: int, width: int):
        super().__init__()
        self.up = factor // 2
        self.grid = conv_bn_relu(channels * depth, 2 * width)
        self.merge = nn.Sequential(conv_bn_relu(2 * width + half_channels, width, 1), conv_bn_relu(width, width))
        self.semantics = nn.Conv2d(width, (NUM_CLASSES - 1) * height // 2, 1)
        self.occupancy = nn.Conv2d(width, 4 * height, 1)
        self.hits = nn.Sequential(nn.Conv2d(height, height, 3, 1, 1, bias=False), nn.BatchNorm2d(height))
        self.context = nn.Conv2d(height, height, 1)
        self.refine = nn.Conv2d(height, height, 1)
        nn.init.zeros_(self.refine.weight)
        nn.init.zeros_(self.refine.bias)
        self.hit = nn.Parameter(torch.full((height,), 2.0))  # a voxel that holds a point starts as occupied

    def forward(self, grid: Tensor, half: Tensor, occupancy: Tensor) -> tuple[Tensor, Tensor]:
        """grid (B, C, X/f, Y/f, Z/f), half (B, W, X/2, Y/2), occupancy (B, X, Y, Z).

        Returns occupancy logits (B, X, Y, Z) and class logits (B, X/2, Y/2, 19, Z/2).
        """
        x = self.grid(heights_as_channels(grid))
        if self.up > 1:
            x = F.interpolate(x, scale_factor=float(self.up), mode="nearest")
        # Channels innermost from here on: the two wide results then have their final order in memory without a copy.
        x = self.merge(torch.cat([x, half], 1)).contiguous(memory_format=torch.channels_last)
        semantics = self.semantics(x).permute(0, 2, 3, 1).unflatten(3, (NUM_CLASSES - 1, -1))
        coarse = self._full_resolution(self.occupancy(x).permute(0, 2, 3, 1))
        return coarse + self.hit * occupancy + self._refined(coarse, occupancy), semantics

    def _refined(self, coarse: Tensor, occupancy: Tensor) -> Tensor:
        """Correction (B, X, Y, Z) of the coarse logits, heights as channels on the way."""
        coarse, occupancy = coarse.permute(0, 3, 1, 2), occupancy.permute(0, 3, 1, 2)
        return self.refine(F.relu(self.hits(occupancy) + self.context(coarse))).permute(0, 2, 3, 1)

    @staticmethod
    def _full_resolution(x: Tensor) -> Tensor:
        """(B, X/2, Y/2, 2*2*Z) -> (B, X, Y, Z): each cell's channels are its four columns."""
        b, i, j, c = x.shape
        x = x.reshape(b, i, j, 2, c // 2)  # (B, X/2, Y/2, 2, 2*Z)
        return x.transpose(2, 3).reshape(b, 2 * i, 2 * j, c // 4)
