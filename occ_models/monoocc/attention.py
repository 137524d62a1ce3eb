"""Deformable attention (Zhu et al. 2021) of voxels on images and among themselves (MonoOcc eq. 1, 3 and 6).

Every layer is an attention, a norm, a feed-forward network and a norm, as in the released code.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers.deformable import deformable_attention


def _split(x: Tensor, heads: int, points: int) -> Tensor:
    """(B, Q, heads*points) -> (B, heads, points, Q)"""
    return x.transpose(1, 2).unflatten(1, (heads, points))


def _split_places(x: Tensor, heads: int, points: int) -> Tensor:
    """(B, Q, heads*points*2) -> (B, heads, points, Q, 2)"""
    return x.unflatten(2, (heads, points, 2)).permute(0, 2, 3, 1, 4)


def _ring(heads: int, points: int, axes: int) -> Tensor:
    """Initial offsets: each head samples in its own direction, each of its points farther out."""
    angle = 2 * math.pi / heads * torch.arange(heads)
    ring = torch.stack([angle.cos(), angle.sin()], 1)
    ring = ring / ring.abs().amax(1, keepdim=True)
    if axes == 3:  # heads sample down, level and up in turn
        ring = torch.cat([ring, (torch.arange(heads) % 3 - 1.0).unsqueeze(1)], 1)
    return (ring.unsqueeze(1) * torch.arange(1, points + 1).reshape(1, -1, 1)).flatten()


class _Layer(nn.Module):
    """Attention, norm, feed-forward, norm; a subclass has the attention, `attend`."""

    def __init__(self, channels: int, heads: int, points: int, axes: int, dropout: float):
        super().__init__()
        self.heads, self.points = heads, points
        self.offsets = nn.Linear(channels, heads * points * axes)
        self.weights = nn.Linear(channels, heads * points)
        self.values = nn.Linear(channels, channels)
        self.out = nn.Linear(channels, channels)
        for layer in (self.offsets, self.weights):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        for layer in (self.values, self.out):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        with torch.no_grad():
            self.offsets.bias.copy_(_ring(heads, points, axes))
        self.dropout = nn.Dropout(dropout)
        self.norm_1, self.norm_2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.feed = nn.Sequential(
            nn.Linear(channels, 2 * channels), nn.ReLU(inplace=True), nn.Dropout(dropout),
            nn.Linear(2 * channels, channels), nn.Dropout(dropout),
        )  # fmt: skip

    def _finish(self, queries: Tensor, attended: Tensor) -> Tensor:
        x = self.norm_1(queries + self.dropout(attended))
        return self.norm_2(x + self.feed(x))


class CrossAttention(_Layer):
    """Voxels attend to the image around the pixel of their centre (eq. 1 and 6)."""

    def __init__(self, channels: int, heads: int, points: int, dropout: float = 0.0):
        super().__init__(channels, heads, points, 2, dropout)

    def forward(self, queries: Tensor, features: Tensor, reference: Tensor) -> Tensor:
        """Arguments of `attend` -> (B, Q, C)."""
        return self._finish(queries, self.attend(queries, features, reference))

    def attend(self, queries: Tensor, features: Tensor, reference: Tensor) -> Tensor:
        """queries (B, Q, C), features (B*V, C, h, w), reference (B*V, Q, 2): the pixel of each query in [-1, 1],
        outside that range where it is not in view. Several views: the mean over those in which it is in view (eq. 2).
        """
        batch = len(queries)
        height, width = features.shape[2:]
        step = features.new_tensor((2 / width, 2 / height))
        offsets = _split_places(self.offsets(queries), self.heads, self.points) * step
        weights = _split(self.weights(queries), self.heads, self.points).softmax(2)
        values = F.conv2d(features, self.values.weight[:, :, None, None], self.values.bias)
        values = values.unflatten(1, (self.heads, -1)).unflatten(0, (batch, -1))  # (B, V, H, c, h, w)
        reference = reference.unflatten(0, (batch, -1))  # (B, V, Q, 2)
        in_view = (reference[..., :1].abs() <= 1).to(features.dtype)
        attended = sum(
            deformable_attention(values[:, view], reference[:, view, None, None] + offsets, weights) * in_view[:, view]
            for view in range(values.shape[1])
        )  # (B, Q, C)
        if values.shape[1] > 1:
            attended = attended / in_view.sum(1).clamp(min=1)
        return self.out(attended)


class SpaceAttention(_Layer):
    """Voxels attend to voxels around them, in all three directions (eq. 3; VoxFormer's 3-D form).

    Heights are laid side by side on one sheet, and each sample is taken twice, in the heights below and above it:
    trilinear sampling by 4-D GridSamples. Beyond its borders the grid continues with its outermost values.
    """

    def __init__(self, channels: int, heads: int, points: int, shape: tuple[int, int, int], dropout: float = 0.0):
        super().__init__(channels, heads, points, 3, dropout)
        self.shape = shape
        places = torch.stack(torch.meshgrid(*(torch.arange(float(n)) for n in shape), indexing="ij"))
        self.register_buffer("places", places.reshape(3, -1), persistent=False)

    def forward(self, voxels: Tensor, position: Tensor) -> Tensor:
        """Arguments of `attend` -> (B, X*Y*Z, C)."""
        return self._finish(voxels, self.attend(voxels, position))

    def attend(self, voxels: Tensor, position: Tensor) -> Tensor:
        """voxels (B, X*Y*Z, C), position (X*Y*Z, C): where each is, for the queries -> (B, X*Y*Z, C)."""
        queries = voxels + position
        nx, ny, nz = self.shape
        weights = _split(self.weights(queries), self.heads, self.points).softmax(2)
        values = self.values(voxels).unflatten(2, (self.heads, -1)).unflatten(1, self.shape)  # (B, X, Y, Z, H, c)
        values = values.permute(0, 4, 5, 3, 1, 2).flatten(3, 4)  # (B, H, c, Z*X, Y)
        x, y, z = (
            (place + _split(F.linear(queries, weight, bias), self.heads, self.points)).clamp(0, size - 1)
            for place, weight, bias, size in zip(
                self.places,
                self._by_axis(self.offsets.weight),
                self._by_axis(self.offsets.bias),
                self.shape,
                strict=True,
            )
        )  # (B, H, P, Q) each
        low = z.floor().clamp(max=max(nz - 2, 0))
        share = z - low
        column = (y + 0.5) * (2 / ny) - 1
        row = low * nx + x
        # With a single height there is no row "above" on the sheet, and its share is zero.
        attended = sum(
            deformable_attention(values, _interleaved(column, (row + step + 0.5) * (2 / (nz * nx)) - 1), weights * part)
            for step, part in ((0, 1 - share), (nx, share))
        )
        return self.out(attended)

    def _by_axis(self, parameter: Tensor) -> tuple[Tensor, ...]:
        """Rows (heads*points*3, ...) -> those of x, of y and of z, which are multiplied separately."""
        return parameter.unflatten(0, (-1, 3)).unbind(1)


def _interleaved(column: Tensor, row: Tensor) -> Tensor:
    """(...) each -> (..., 2); runtimes transpose two long rows faster than they join pairs."""
    return torch.stack([column, row]).permute(*range(1, column.ndim + 1), 0)


def sheet_of(shape: tuple[int, int, int]) -> tuple[int, int]:
    """Height and width of the sheet that the flat order of a grid's voxels is folded into, about as high as wide."""
    nx, ny, nz = shape
    fold = 1
    while nx * fold * 2 <= ny * nz // (fold * 2) and ny % (fold * 2) == 0:
        fold *= 2
    return nx * fold, ny * nz // fold


class SheetPosition(nn.Module):
    """A learned vector for each row and each column of the sheet, half of the channels each (VoxFormer)."""

    def __init__(self, shape: tuple[int, int, int], channels: int):
        super().__init__()
        height, width = sheet_of(shape)
        self.rows = nn.Parameter(torch.rand(height, 1, channels - channels // 2))
        self.columns = nn.Parameter(torch.rand(1, width, channels // 2))

    def forward(self) -> Tensor:
        """(height, width, C): flattened, the voxels' order."""
        height, width = len(self.rows), self.columns.shape[1]
        return torch.cat([self.columns.expand(height, -1, -1), self.rows.expand(-1, width, -1)], 2)


class SheetAttention(_Layer):
    """Voxels attend to their neighbours on a sheet, the flat order of the voxels folded into rows: the released code.

    A step to the side is a step in height, or to the lowest voxel of the next column.
    """

    def __init__(self, channels: int, heads: int, points: int, shape: tuple[int, int, int], dropout: float = 0.0):
        super().__init__(channels, heads, points, 2, dropout)
        self.sheet = sheet_of(shape)
        rows, columns = ((torch.arange(n) + 0.5) * (2 / n) - 1 for n in self.sheet)
        places = torch.stack(torch.meshgrid(rows, columns, indexing="ij")[::-1], -1)
        self.register_buffer("places", places.reshape(-1, 2), persistent=False)

    def forward(self, voxels: Tensor, position: Tensor) -> Tensor:
        """As `SpaceAttention`."""
        return self._finish(voxels, self.attend(voxels, position))

    def attend(self, voxels: Tensor, position: Tensor) -> Tensor:
        """As `SpaceAttention`."""
        queries = voxels + position
        height, width = self.sheet
        step = voxels.new_tensor((2 / width, 2 / height))
        offsets = _split_places(self.offsets(queries), self.heads, self.points) * step
        weights = _split(self.weights(queries), self.heads, self.points).softmax(2)
        values = self.values(voxels).transpose(1, 2).unflatten(1, (self.heads, -1)).unflatten(3, self.sheet)
        return self.out(deformable_attention(values, self.places + offsets, weights))
