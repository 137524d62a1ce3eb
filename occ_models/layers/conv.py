"""Convolution blocks, the U-Net decoder, group normalisation, and voxel grids as 2-D maps."""

import math
from collections.abc import Collection
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv_bn_relu(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, dims: int = 2, groups: int = 1):
    """Convolution, batch normalisation, ReLU; `dims` 2 or 3; same padding for odd kernels, none for even ones."""
    conv, norm = ((nn.Conv2d, nn.BatchNorm2d), (nn.Conv3d, nn.BatchNorm3d))[dims - 2]
    padding = kernel // 2 if kernel % 2 else 0
    return nn.Sequential(
        conv(inputs, outputs, kernel, stride, padding, groups=groups, bias=False), norm(outputs), nn.ReLU(inplace=True)
    )


class UNetDecoder(nn.Module):
    """From the coarsest of several feature maps up to the first of them: upsample, concatenate, convolve."""

    def __init__(self, channels: list[int]):
        super().__init__()
        self.steps = nn.ModuleList(
            nn.Sequential(conv_bn_relu(fine + coarse, fine, 1), conv_bn_relu(fine, fine))
            for fine, coarse in pairwise(channels)
        )

    def forward(self, features: list[Tensor]) -> Tensor:
        x = features[-1]
        for step, skip in zip(reversed(self.steps), reversed(features[:-1]), strict=True):
            x = step(torch.cat([upsample_to(x, skip), skip], 1))
        return x


def use_group_norm(module: nn.Module, kept: Collection[nn.Module] = ()) -> None:
    """Put group normalisation (Wu & He 2018) in the place of every batch normalisation inside a module: it does not
    depend on the batch, which may be one frame. Groups: 32, or as many as also divide the channels.

    kept : modules inside it that stay as they are
    """
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d | nn.BatchNorm3d):
            setattr(module, name, nn.GroupNorm(math.gcd(32, child.num_features), child.num_features))
        elif child not in kept:
            use_group_norm(child, kept)


def upsample_to(x: Tensor, like: Tensor) -> Tensor:
    """Nearest-neighbour upsampling to the spatial size of `like`: cheap, and the same in every runtime."""
    return F.interpolate(x, size=like.shape[2:], mode="nearest")


def heights_as_channels(grid: Tensor) -> Tensor:
    """(B, C, X, Y, Z) -> (B, Z*C, X, Y), the map that 2-D convolutions take; no copy where channels lie innermost."""
    return grid.permute(0, 2, 3, 4, 1).flatten(3).permute(0, 3, 1, 2)


def grid_from_heights(x: Tensor, depth: int) -> Tensor:
    """(B, Z*C, X, Y) -> (B, C, X, Y, Z): the inverse of `heights_as_channels`."""
    return x.permute(0, 2, 3, 1).unflatten(3, (depth, -1)).permute(0, 4, 1, 2, 3)
