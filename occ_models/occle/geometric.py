"""Geometric branch (OccLE section 3.3): cross-plane synergy of image and LiDAR, eq. 3 and 4."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers.conv import conv_bn_relu
from ..layers.image import image_backbone, lift
from .config import OccLEConfig
from .headers import grid_header
from .lidar import LidarEncoder3d, own_voxel_features


class AxialAttention(nn.Module):
    """Eq. 3: self-attention among the tokens of each row, (R, T, C) -> (R, T, C), residual, LayerNorm."""

    def __init__(self, channels: int, heads: int = 4):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        self.norm = nn.LayerNorm(channels)

    def forward(self, tokens: Tensor) -> Tensor:
        rows, length, channels = tokens.shape
        # Heads first: with rows first, OpenVINO 2026.4 computes nonsense where a row has as many tokens as heads.
        q, k, v = self.qkv(tokens).reshape(rows, length, 3, self.heads, -1).permute(2, 3, 0, 1, 4).unbind(0)
        attended = F.scaled_dot_product_attention(q, k, v)  # (heads, R, T, C/heads)
        return self.norm(tokens + self.out(attended.permute(1, 2, 0, 3).reshape(rows, length, channels)))


class GeometricEncoders(nn.Module):
    """A grid of LiDAR features and one of lifted image features; `synergy` of a subclass makes F_geo from them."""

    def __init__(self, config: OccLEConfig):
        super().__init__()
        pre, c = config.preprocess, config.channels
        self.image = image_backbone(config.geometric_image)
        self.reduce = nn.ModuleList(
            nn.Conv2d(n, c, 1) for n in self.image.channels[(config.image_stride // 4).bit_length() - 1 :]
        )
        stride = pre.lifting_factor // pre.voxelizer.factor
        self.lidar = LidarEncoder3d(config.voxel_channels, c, stride, config.sparse)
        # Conv1D over the frame axis with a kernel of all N frames: a 1x1x1 convolution on the frames side by side.
        self.frames = config.frames
        self.voxel_features = own_voxel_features(config)
        self.fuse_image = nn.Conv3d(config.frames * c, c, 1) if config.frames > 1 else nn.Identity()
        self.fuse_lidar = nn.Conv3d(config.frames * c, c, 1) if config.frames > 1 else nn.Identity()

    def encode_image(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, C, H/s, W/s): the stages from stride s on, brought to it and added."""
        features = self.image(image)[-len(self.reduce) :]
        maps = [reduce(f) for reduce, f in zip(self.reduce, features, strict=True)]
        return sum(F.interpolate(m, size=maps[0].shape[2:], mode="nearest") for m in maps)

    def encode(self, image: Tensor, voxel_grid: Tensor, active: Tensor, lifting: Tensor) -> tuple[Tensor, Tensor]:
        """Arguments of `forward` -> LiDAR grid and lifted image grid, (B, C, X, Y, Z) each."""
        lidar = self.lidar(voxel_grid, active)
        lifted = lift(self.encode_image(image), lifting, lidar.shape[2:])
        return self.fuse_lidar(self._stack(lidar)), self.fuse_image(self._stack(lifted))

    def forward(self, image: Tensor, voxel_grid: Tensor, active: Tensor, lifting: Tensor) -> Tensor:
        """Several frames come along the batch axis, (B*N, ...), each with its own lifting table into the current grid.
        active: which voxels have points, as `LidarEncoder3d` takes it.

        Returns F_geo (B, C, X, Y, Z).
        """
        return self.synergy(*self.encode(image, voxel_grid, active, lifting))

    def _stack(self, grid: Tensor) -> Tensor:
        return grid.reshape(-1, self.frames * grid.shape[1], *grid.shape[2:])


class GeometricBranch(GeometricEncoders):
    """F_geo from three planes: LiDAR seen from above (xy) and from the side (xz), the image from the front (yz)."""

    def __init__(self, config: OccLEConfig):
        super().__init__(config)
        c = config.channels
        x, y, z = config.preprocess.grid.coarsen(config.preprocess.lifting_factor).shape
        self.plane_xy = conv_bn_relu(c * z, c)
        self.plane_xz = conv_bn_relu(c * y, c)
        self.plane_yz = conv_bn_relu(c * x, c)
        self.attend_y, self.attend_z = AxialAttention(c), AxialAttention(c)
        self.header = grid_header(config.grid_headers, c, c, 2)
        self.added_planes = config.added_planes

    def synergy(self, lidar: Tensor, lifted: Tensor) -> Tensor:
        """LiDAR grid and lifted image grid -> F_geo, (B, C, X, Y, Z) each."""
        f_xy = self.plane_xy(lidar.permute(0, 4, 1, 2, 3).flatten(1, 2))  # (B, C, X, Y)
        f_xz = self.plane_xz(lidar.permute(0, 3, 1, 2, 4).flatten(1, 2))  # (B, C, X, Z)
        f_yz = self.plane_yz(lifted.permute(0, 2, 1, 3, 4).flatten(1, 2))  # (B, C, Y, Z)
        along_y, along_z = self._attend(f_yz)  # eq. 3

        f_xy, f_xz = f_xy.unsqueeze(4), f_xz.unsqueeze(3)
        g_1 = f_xy * along_y.unsqueeze(2)  # eq. 4, (B, C, X, Y, Z)
        g_2 = f_xz * along_z.unsqueeze(2)
        return g_1 + g_2 + f_xy + f_xz if self.added_planes else g_1 + g_2

    def _attend(self, plane: Tensor) -> tuple[Tensor, Tensor]:
        """Eq. 3 on (B, C, Y, Z): once among the y of each z, once among the z of each y."""
        batch, c, y, z = plane.shape
        tokens = plane.permute(0, 3, 2, 1).reshape(batch * z, y, c)
        along_y = self.attend_y(tokens).reshape(batch, z, y, c).permute(0, 3, 2, 1)
        tokens = plane.permute(0, 2, 3, 1).reshape(batch * y, z, c)
        along_z = self.attend_z(tokens).reshape(batch, y, z, c).permute(0, 3, 1, 2)
        return along_y, along_z


def occupancy_logit(logits: Tensor) -> Tensor:
    """Two-class geometry logits (B, 2, ...) -> one logit of being occupied (B, ...)."""
    return torch.sub(logits[:, 1], logits[:, 0])
