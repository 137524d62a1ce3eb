"""What OccLE compares its cross-plane synergy with (its table 4a): Conv3D and 3-D deformable attention."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers.conv import conv_bn_relu
from .config import OccLEConfig
from .dual_mamba import PositionalEmbedding
from .geometric import GeometricEncoders
from .headers import grid_header


def deformable_attention(values: Tensor, places: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of trilinear samples; what lies outside the grid is zero.

    values : (N, C, X, Y, Z), places : (N, Q, P, 3) in voxels, whole numbers at their centres, weights : (N, Q, P).
    Returns (N, Q, C).
    """
    size = torch.tensor(values.shape[2:], dtype=places.dtype, device=places.device)
    grid = ((2 * places + 1) / size - 1).flip(-1).unsqueeze(2)  # the last axis first, as grid_sample has it
    sampled = F.grid_sample(values, grid, padding_mode="zeros", align_corners=False)[:, :, :, 0]  # (N, C, Q, P)
    return (sampled * weights.unsqueeze(1)).sum(-1).transpose(1, 2)


def deformable_attention_ref(values: Tensor, places: Tensor, weights: Tensor) -> Tensor:
    """`deformable_attention` one corner of one sample at a time."""
    shape = values.shape[2:]
    out = values.new_zeros(*places.shape[:2], values.shape[1])
    for n, q, p in torch.cartesian_prod(*(torch.arange(s) for s in weights.shape)).tolist():
        low = places[n, q, p].floor()
        for corner in torch.cartesian_prod(*[torch.arange(2)] * 3):
            at = [int(i) for i in low + corner]
            if all(0 <= i < s for i, s in zip(at, shape, strict=True)):
                share = (1 - (places[n, q, p] - low - corner).abs()).prod()
                out[n, q] += weights[n, q, p] * share * values[n, :, at[0], at[1], at[2]]
    return out


class DeformableAttention3d(nn.Module):
    """Deformable DETR's attention (Zhu et al. 2021, eq. 2) on a voxel grid: each voxel is a query at its own place."""

    def __init__(self, channels: int, shape: tuple[int, int, int], heads: int = 4, points: int = 8):
        super().__init__()
        self.heads, self.points = heads, points
        axes = [torch.arange(n, dtype=torch.float32) for n in shape]
        self.register_buffer("places", torch.cartesian_prod(*axes).unsqueeze(1), persistent=False)  # (Q, 1, 3)
        self.offsets = nn.Linear(channels, heads * points * 3)
        self.weights = nn.Linear(channels, heads * points)
        self.values = nn.Conv3d(channels, channels, 1)
        self.out = nn.Linear(channels, channels)
        for layer in (self.offsets, self.weights):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        # Initially the heads sample along a horizontal ring of directions, the points 1, 2, ... voxels away.
        angle = torch.arange(heads) * (2 * math.pi / heads)
        ring = torch.stack([angle.cos(), angle.sin(), torch.zeros(heads)], 1)
        ring = ring / ring.abs().amax(1, keepdim=True)
        with torch.no_grad():
            self.offsets.bias.copy_((ring[:, None] * torch.arange(1, points + 1)[:, None]).flatten())

    def forward(self, query: Tensor, grid: Tensor) -> Tensor:
        """query : (B, Q, C), one a voxel, grid : (B, C, X, Y, Z) -> (B, Q, C)."""
        batch, count, channels = query.shape
        offsets = self.offsets(query).reshape(batch, count, self.heads, self.points, 3)
        weights = self.weights(query).reshape(batch, count, self.heads, self.points).softmax(-1)
        places = self.places + offsets.transpose(1, 2).flatten(0, 1)  # (B*heads, Q, P, 3)
        values = self.values(grid).reshape(batch * self.heads, -1, *grid.shape[2:])
        found = deformable_attention(values, places, weights.transpose(1, 2).flatten(0, 1))  # (B*heads, Q, C/heads)
        return self.out(found.reshape(batch, self.heads, count, -1).transpose(1, 2).reshape(batch, count, channels))


class DenseSynergy(GeometricEncoders):
    """The branch with `synergy: dense`: encoders, arguments and result of `GeometricBranch`.

    A 3-D convolution over each grid, then one layer in which the voxels of the LiDAR grid attend to the image grid.
    """

    def __init__(self, config: OccLEConfig):
        super().__init__(config)
        c = config.channels
        shape = config.preprocess.grid.coarsen(config.preprocess.lifting_factor).shape
        self.conv_lidar, self.conv_image = conv_bn_relu(c, c, dims=3), conv_bn_relu(c, c, dims=3)
        self.embed = PositionalEmbedding(c, shape)
        self.attention = DeformableAttention3d(c, shape)
        self.norm_attention, self.norm_ffn = nn.LayerNorm(c), nn.LayerNorm(c)
        self.ffn = nn.Sequential(nn.Linear(c, 2 * c), nn.ReLU(inplace=True), nn.Linear(2 * c, c))
        self.header = grid_header(config.grid_headers, c, c, 2)

    def synergy(self, lidar: Tensor, lifted: Tensor) -> Tensor:
        """LiDAR grid and lifted image grid -> F_geo, (B, C, X, Y, Z) each."""
        tokens = self.embed(self.conv_lidar(lidar)).flatten(2).transpose(1, 2)  # (B, Q, C)
        tokens = self.norm_attention(tokens + self.attention(tokens, self.conv_image(lifted)))
        tokens = self.norm_ffn(tokens + self.ffn(tokens))
        return tokens.transpose(1, 2).reshape(lidar.shape)
