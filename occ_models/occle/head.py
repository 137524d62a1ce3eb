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
    """

    def __init__(self, channels: int, depth: int, half_channels: int, height: int, factor: int, width: int):
        super().__init__()
        self.up = factor // 2
        self.grid = conv_bn_relu(channels * depth, 2 * width)
        self.merge = nn.Sequential(conv_bn_relu(2 * width + half_channels, width, 1), conv_bn_relu(width, width))
        self.semantics = nn.Conv2d(width, height // 2 * (NUM_CLASSES - 1), 1)
        self.occupancy = nn.Conv2d(width, 4 * height, 1)
        self.hit = nn.Parameter(torch.full((height,), 2.0))  # a voxel that holds a point starts as occupied

    def forward(self, grid: Tensor, half: Tensor, occupancy: Tensor) -> tuple[Tensor, Tensor]:
        """grid (B, C, X/f, Y/f, Z/f), half (B, W, X/2, Y/2), occupancy (B, X, Y, Z).

        Returns occupancy logits (B, X, Y, Z) and class logits (B, X/2, Y/2, Z/2, 19).
        """
        x = self.grid(heights_as_channels(grid))
        if self.up > 1:
            x = F.interpolate(x, scale_factor=float(self.up), mode="nearest")
        # Channels innermost from here on: the two wide results then have their final order in memory without a copy.
        x = self.merge(torch.cat([x, half], 1)).contiguous(memory_format=torch.channels_last)
        semantics = self.semantics(x).permute(0, 2, 3, 1).unflatten(3, (-1, NUM_CLASSES - 1))
        return self._full_resolution(self.occupancy(x).permute(0, 2, 3, 1)) + self.hit * occupancy, semantics

    @staticmethod
    def _full_resolution(x: Tensor) -> Tensor:
        """(B, X/2, Y/2, 2*2*Z) -> (B, X, Y, Z): each cell's channels are its four columns."""
        b, i, j, c = x.shape
        x = x.reshape(b, i, j, 2, c // 2)  # (B, X/2, Y/2, 2, 2*Z)
        return x.transpose(2, 3).reshape(b, 2 * i, 2 * j, c // 4)
