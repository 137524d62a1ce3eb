"""Semantic branch (OccLE section 3.2): image and LiDAR features side by side, eq. 1 and 2."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from occ_core import NUM_CLASSES

from ..layers.conv import conv_bn_relu
from ..layers.image import ImageUNet, image_backbone, image_header, lift
from .config import OccLEConfig
from .headers import grid_header
from .lidar import LidarUNet, SparseUNet3d, own_voxel_features


class SemanticFeatures(NamedTuple):
    """grid : F_sem, both sensors, and lidar : F_P^s, (B, C, X, Y, Z) each; image : F_I^s (B, C, h, w)
    half : LiDAR map at half resolution for the final head, where the U-Net has one
    """

    grid: Tensor
    image: Tensor
    lidar: Tensor
    half: tuple[Tensor, ...]


class SemanticBranch(nn.Module):
    """F_sem from the lifted F_I^s and F_P^s, and the two headers through which the branch is trained on its own."""

    def __init__(self, config: OccLEConfig):
        super().__init__()
        c, pre = config.channels, config.preprocess
        self.image = ImageUNet(image_backbone(config.semantic_image), config.image_stride, c)
        height, factor, lifting = pre.grid.shape[2], pre.voxelizer.factor, pre.lifting_factor
        self.sparse = config.sparse_layers > 0
        if self.sparse:
            self.lidar = SparseUNet3d(config.voxel_channels, config.sparse_widths, lifting // factor, c)
        else:
            self.lidar = LidarUNet(height, factor, config.voxel_channels, config.lidar_widths, lifting, c)
        self.combine = conv_bn_relu(2 * c, c, 1, dims=3)
        self.header_2d = image_header(c)
        self.header_3d = grid_header(config.grid_headers, c, 2 * c, NUM_CLASSES)
        self.voxel_features = own_voxel_features(config)
        self.header_on_lidar = config.semantic_header == "lidar"

    @property
    def beyond_headers(self) -> tuple[nn.Module, ...]:
        """Parts that the headers do not see: L_sem alone does not train them."""
        return (self.combine,) if self.header_on_lidar else ()

    def forward(
        self, image: Tensor, voxel_grid: Tensor, active: Tensor, columns: Tensor, lifting: Tensor
    ) -> SemanticFeatures:
        """voxel_grid, active : as `LidarEncoder3d` takes them; columns : as `LidarUNet` does"""
        f_image, half = self.image(image), ()
        if self.sparse:
            f_lidar = self.lidar(voxel_grid, active)
        else:
            f_lidar, *half = self.lidar(voxel_grid, columns)
        lifted = lift(f_image, lifting, f_lidar.shape[2:])
        return SemanticFeatures(self.combine(torch.cat([lifted, f_lidar], 1)), f_image, f_lidar, tuple(half))

    def maps(self, features: SemanticFeatures) -> tuple[Tensor, Tensor]:
        """Class logits in the image (B, 20, h, w) and in the grid (B, 20, X, Y, Z), or at twice its resolution."""
        grid = features.lidar if self.header_on_lidar else features.grid
        return self.header_2d(features.image), self.header_3d(grid)
