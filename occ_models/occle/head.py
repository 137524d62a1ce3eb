"""Factorised head: occupancy at full resolution, the 19 classes at half of it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from occ_node.perception import NUM_CLASSES

from ..layers.conv import conv_bn_relu


class FactorisedHead(nn.Module):
    """Fused grid and half-resolution LiDAR map -> logits.

    P(class c) = P(occupied) P(c | occupied): a dense 20-class head at full resolution would cost more than the network.
    """

    def __init__(self, channels: int, depth: int, half_channels: int, height: int, factor: int, width: int):
        super().__init__()
        self.height = height
        self.up = factor // 2
        self.grid = conv_bn_relu(channels * depth, 2 * width)
        self.merge = nn.Sequential(conv_bn_relu(2 * width + half_channels, width, 1), conv_bn_relu(width, width))
        self.semantics = nn.Conv2d(width, (NUM_CLASSES - 1) * height // 2, 1)
        self.occupancy = nn.Conv2d(width, height * 4, 1)
        self.hit = nn.Parameter(torch.full((height, 1, 1), 2.0))  # a voxel that holds a point starts as occupied

    def forward(self, grid: Tensor, half: Tensor, occupancy: Tensor) -> tuple[Tensor, Tensor]:
        """grid (B, C, Z/f, X/f, Y/f), half (B, W, X/2, Y/2), occupancy (B, Z, X, Y).

        Returns occupancy logits (B, Z, X, Y) and class logits (B, 19, Z/2, X/2, Y/2).
        """
        x = self.grid(grid.flatten(1, 2))
        if self.up > 1:
            x = F.interpolate(x, scale_factor=float(self.up), mode="nearest")
        x = self.merge(torch.cat([x, half], 1))
        semantics = self.semantics(x).unflatten(1, (NUM_CLASSES - 1, self.height // 2))
        return F.pixel_shuffle(self.occupancy(x), 2) + self.hit * occupancy, semantics
