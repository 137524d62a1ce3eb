"""Convolution blocks, the ResNet image encoder (He et al. 2016), the U-Net decoder, and voxel grids as 2-D maps."""

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


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int = 1):
        super().__init__()
        self.body = nn.Sequential(
            conv_bn_relu(inputs, width, 3, stride), nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        )
        self.shortcut = _shortcut(inputs, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions and a shortcut; output width is four times `width`."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int = 1):
        super().__init__()
        self.body = nn.Sequential(
            conv_bn_relu(inputs, width, 1),
            conv_bn_relu(width, width, 3, stride),
            nn.Conv2d(width, 4 * width, 1, bias=False),
            nn.BatchNorm2d(4 * width),
        )
        self.shortcut = _shortcut(inputs, 4 * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    if inputs == outputs and stride == 1:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class ResNet(nn.Module):
    """Image -> features at strides 4, 8, 16 (and 32 where `depths` has four entries), narrowest stage `width` wide."""

    def __init__(self, width: int, depths: tuple[int, ...], bottleneck: bool = False):
        super().__init__()
        block = Bottleneck if bottleneck else BasicBlock
        self.stem = nn.Sequential(conv_bn_relu(3, width, 7, 2), nn.MaxPool2d(3, 2, 1))
        self.stages, self.channels = nn.ModuleList(), []
        inputs = width
        for level, depth in enumerate(depths):
            stage = []
            for n in range(depth):
                stage.append(block(inputs, width << level, 2 if level and n == 0 else 1))
                inputs = (width << level) * block.expansion
            self.stages.append(nn.Sequential(*stage))
            self.channels.append(inputs)

    def forward(self, image: Tensor) -> list[Tensor]:
        x, features = self.stem(image), []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


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


def upsample_to(x: Tensor, like: Tensor) -> Tensor:
    """Nearest-neighbour upsampling to the spatial size of `like`: cheap, and the same in every runtime."""
    return F.interpolate(x, size=like.shape[2:], mode="nearest")


def heights_as_channels(grid: Tensor) -> Tensor:
    """(B, C, X, Y, Z) -> (B, Z*C, X, Y), the map that 2-D convolutions take; no copy where channels lie innermost."""
    return grid.permute(0, 2, 3, 4, 1).flatten(3).permute(0, 3, 1, 2)


def grid_from_heights(x: Tensor, depth: int) -> Tensor:
    """(B, Z*C, X, Y) -> (B, C, X, Y, Z): the inverse of `heights_as_channels`."""
    return x.permute(0, 2, 3, 1).unflatten(3, (depth, -1)).permute(0, 4, 1, 2, 3)
