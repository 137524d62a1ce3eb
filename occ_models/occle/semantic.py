"""Semantic branch (OccLE section 3.2): image and LiDAR features side by side, eq. 1 and 2."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from occ_node.perception import NUM_CLASSES

from ..config import OccLEConfig
from ..layers.conv import ResNet, UNetDecoder, conv_bn_relu
from .lidar import LidarUNet


def lift(features: Tensor, lifting: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Eq. 2: image features (B, C, h, w) onto the voxels of an (X, Y, Z) grid, zero out of view.

    lifting : (B, X*Y, Z, 2) normalised image coordinates. One 4-D GridSample, bilinear.
    """
    sampled = F.grid_sample(features, lifting, padding_mode="zeros", align_corners=False)
    return sampled.reshape(*sampled.shape[:2], *shape)


class ImageUNet(nn.Module):
    """G_s2d of eq. 1: image -> (B, C, H/stride, W/stride)."""

    def __init__(self, width: int, depths: tuple[int, ...], bottleneck: bool, stride: int, channels: int):
        super().__init__()
        self.encoder = ResNet(width, depths, bottleneck)
        self.first = (stride // 4).bit_length() - 1
        widths = self.encoder.channels[self.first :]
        self.decoder = UNetDecoder(widths)
        self.out = nn.Conv2d(widths[0], channels, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.out(self.decoder(self.encoder(image)[self.first :]))


class SemanticBranch(nn.Module):
    """F_sem from the lifted F_I^s and F_P^s, and the two headers that teach the branch on its own."""

    def __init__(self, config: OccLEConfig):
        super().__init__()
        c, pre = config.channels, config.preprocess
        image = config.semantic_image
        self.image = ImageUNet(image.width, image.depths, image.bottleneck, config.image_stride, c)
        self.lidar = LidarUNet(
            pre.grid.shape[2], pre.voxelizer.factor, config.voxel_channels, config.lidar_widths, pre.lifting_factor, c
        )
        self.combine = conv_bn_relu(2 * c, c, 1, dims=3)
        self.header_2d = nn.Sequential(conv_bn_relu(c, c), nn.Conv2d(c, NUM_CLASSES, 1))
        self.header_3d = nn.Sequential(conv_bn_relu(c, 2 * c, 1, dims=3), nn.Conv3d(2 * c, NUM_CLASSES, 1))

    def forward(self, image: Tensor, voxel_grid: Tensor, columns: Tensor, lifting: Tensor):
        """Returns F_sem (B, C, X, Y, Z), F_I^s (B, C, h, w) and the half-resolution LiDAR map for the final head."""
        f_image = self.image(image)
        f_lidar, half = self.lidar(voxel_grid, columns)
        lifted = lift(f_image, lifting, f_lidar.shape[2:])
        return self.combine(torch.cat([lifted, f_lidar], 1)), f_image, half
