"""Semantic branch (OccLE section 3.2): image and LiDAR features side by side, eq. 1 and 2."""

import torch
from torch import Tensor, nn

from occ_core import NUM_CLASSES

from ..layers.conv import conv_bn_relu
from ..layers.image import ImageUNet, image_backbone, image_header, lift
from .config import OccLEConfig
from .lidar import LidarUNet


class SemanticBranch(nn.Module):
    """F_sem from the lifted F_I^s and F_P^s, and the two headers through which the branch is trained on its own."""

    def __init__(self, config: OccLEConfig):
        super().__init__()
        c, pre = config.channels, config.preprocess
        self.image = ImageUNet(image_backbone(config.semantic_image), config.image_stride, c)
        self.lidar = LidarUNet(
            pre.grid.shape[2], pre.voxelizer.factor, config.voxel_channels, config.lidar_widths, pre.lifting_factor, c
        )
        self.combine = conv_bn_relu(2 * c, c, 1, dims=3)
        self.header_2d = image_header(c)
        self.header_3d = nn.Sequential(conv_bn_relu(c, 2 * c, 1, dims=3), nn.Conv3d(2 * c, NUM_CLASSES, 1))

    def forward(self, image: Tensor, voxel_grid: Tensor, columns: Tensor, lifting: Tensor):
        """Returns F_sem (B, C, X, Y, Z), F_I^s (B, C, h, w) and the half-resolution LiDAR map for the final head."""
        f_image = self.image(image)
        f_lidar, half = self.lidar(voxel_grid, columns)
        lifted = lift(f_image, lifting, f_lidar.shape[2:])
        return self.combine(torch.cat([lifted, f_lidar], 1)), f_image, half
