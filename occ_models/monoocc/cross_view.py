"""Cross-view transformer of MonoOcc-L: neighbouring frames attend to each other.

Every block attends inside windows of half the height and half the width, first within a view, then to the same window
of the other view. Odd blocks move the windows by half a window, so that pixels on both sides of a border in one block
share a window in the next. The paper leaves the following open; chosen here:
- Views (1, 2), (2, 3), ... are taken in this order; both of a pair are updated at once, and the result goes into the
  next pair. A view that belongs to two pairs gets the position encoding twice, as in the released code.
- A view attends to the other as it was before the block.
- Odd heights and widths are padded by a last row or column that no other pixel attends to.
- The mask separates the two parts of a window that a shift wraps around the image.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from occ_core.errors import InputError


class CrossViewTransformer(nn.Module):
    """Features (B, V, C, h, w) of V views in temporal order -> the same shape; a single view is returned unchanged."""

    def __init__(self, channels: int, blocks: int = 6):
        super().__init__()
        if channels % 4:
            raise InputError(f"CrossViewTransformer: {channels} channels; expected a multiple of 4")
        self.blocks = nn.ModuleList(CrossViewBlock(channels) for _ in range(blocks))

    def forward(self, features: Tensor) -> Tensor:
        height, width = features.shape[3:]
        padded = F.pad(features, (0, width % 2, 0, height % 2)).permute(0, 1, 3, 4, 2)  # (B, V, H, W, C)
        position = window_positions(*padded.shape[2:], device=features.device).to(features.dtype)
        plain, shifted = (window_mask(height, width, shift, features.device) for shift in (False, True))
        views = list(padded.unbind(1))
        for n in range(len(views) - 1):
            pair = torch.cat([views[n], views[n + 1]]) + position  # (2B, H, W, C)
            for index, block in enumerate(self.blocks):
                odd = index % 2 == 1
                pair = block(pair, pair.roll(len(pair) // 2, 0), shifted if odd else plain, odd)
            views[n], views[n + 1] = pair.chunk(2)
        return torch.stack(views, 1)[:, :, :height, :width].permute(0, 1, 4, 2, 3)


class CrossViewBlock(nn.Module):
    """Self-attention, then cross-attention and a feed-forward network on source and message side by side."""

    def __init__(self, channels: int):
        super().__init__()
        self.self_attention, self.cross_attention = WindowAttention(channels), WindowAttention(channels)
        self.ffn = nn.Sequential(
            nn.Linear(2 * channels, 8 * channels, bias=False), nn.GELU(), nn.Linear(8 * channels, channels, bias=False)
        )
        self.norm = nn.LayerNorm(channels)

    def forward(self, source: Tensor, target: Tensor, mask: Tensor, shifted: bool) -> Tensor:
        source = source + self.self_attention(source, source, mask, shifted)
        message = self.cross_attention(source, target, mask, shifted)
        return source + self.norm(self.ffn(torch.cat([source, message], -1)))


class WindowAttention(nn.Module):
    """Message (N, H, W, C) to each pixel of `source` from those of `target` in its window that `mask` allows.

    One head, as in the released code.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.query, self.key, self.value, self.merge = (nn.Linear(channels, channels, bias=False) for _ in range(4))
        self.norm = nn.LayerNorm(channels)
        for layer in (self.query, self.key, self.value, self.merge):
            nn.init.xavier_uniform_(layer.weight)

    def forward(self, source: Tensor, target: Tensor, mask: Tensor, shifted: bool) -> Tensor:
        height, width = source.shape[1:3]
        shift = _shift(height, width) if shifted else (0, 0)
        query, key, value = (
            split_windows(x.roll((-shift[0], -shift[1]), (1, 2)))
            for x in (self.query(source), self.key(target), self.value(target))
        )  # (N, 4, H*W/4, C)
        message = F.scaled_dot_product_attention(query, key, value, mask)
        message = join_windows(message, height, width).roll(shift, (1, 2))
        return self.norm(self.merge(message))


def split_windows(x: Tensor) -> Tensor:
    """(N, H, W, C) with H, W even -> (N, 4, H*W/4, C): the quarters of the image, row by row."""
    n, height, width, channels = x.shape
    return x.reshape(n, 2, height // 2, 2, width // 2, channels).transpose(2, 3).reshape(n, 4, -1, channels)


def join_windows(windows: Tensor, height: int, width: int) -> Tensor:
    """The inverse of `split_windows`."""
    n, _, _, channels = windows.shape
    x = windows.reshape(n, 2, 2, height // 2, width // 2, channels).transpose(2, 3)
    return x.reshape(n, height, width, channels)


def window_mask(height: int, width: int, shifted: bool, device: torch.device | None = None) -> Tensor:
    """Which pixel may attend to which, (4, T, T) bool with queries first, for an image that is padded to even sizes.

    Padding attends only to itself: a row without any key would be NaN. Real pixels attend to the real ones of their
    window, and in a window wrapped around the image to those on their side.
    """
    padded = height + height % 2, width + width % 2
    shift = _shift(*padded) if shifted else (0, 0)
    y, x = torch.meshgrid(*(torch.arange(n, device=device) for n in padded), indexing="ij")
    real = (y < height) & (x < width)
    side = (y < shift[0]) * 2 + (x < shift[1])  # what the shift wraps to the far end
    seen = torch.stack([side, real], -1).unsqueeze(0).roll((-shift[0], -shift[1]), (1, 2))
    side, real = split_windows(seen)[0].unbind(-1)  # (4, T) each
    same = side.unsqueeze(2) == side.unsqueeze(1)
    return same & real.bool().unsqueeze(1) | torch.eye(side.shape[1], dtype=torch.bool, device=device)


def _shift(height: int, width: int) -> tuple[int, int]:
    """Half a window, rounded down."""
    return height // 4, width // 4


def window_positions(height: int, width: int, channels: int, device: torch.device | None = None) -> Tensor:
    """Sine position encoding (Carion et al. 2020) of each window, (H, W, C): half the channels for y, half for x.

    Positions run from just above 0 to 2 pi across a window; sine and cosine alternate.
    """
    pairs = channels // 4
    frequency = 10000 ** (-torch.arange(pairs, device=device) / pairs)

    def encode(n: int) -> Tensor:
        angle = 2 * math.pi / n * torch.arange(1, n + 1, device=device).unsqueeze(1) * frequency
        return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)  # (n, C/2)

    y, x = encode(height // 2), encode(width // 2)
    window = torch.cat([y.unsqueeze(1).expand(-1, len(x), -1), x.expand(len(y), -1, -1)], -1)
    return window.repeat(2, 2, 1)
