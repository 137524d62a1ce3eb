"""Semantic-geometric fusion by Dual Mamba (OccLE section 3.4, appendix A)."""

import torch
from torch import Tensor, nn

from occ_core.errors import InputError

from ..layers.conv import conv_bn_relu, grid_from_heights, heights_as_channels, upsample_to
from ..layers.hilbert import hilbert_order
from ..layers.ssd import Mamba2
from .config import FusionConfig


class PositionalEmbedding(nn.Module):
    """A learned function of the voxel's place in [-1, 1]^3, added to the features."""

    def __init__(self, channels: int, shape: tuple[int, int, int]):
        super().__init__()
        axes = [torch.linspace(-1, 1, n) for n in shape]
        self.register_buffer("places", torch.stack(torch.meshgrid(*axes, indexing="ij"), -1), persistent=False)
        self.mlp = nn.Sequential(nn.Linear(3, channels), nn.ReLU(), nn.Linear(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mlp(self.places).movedim(3, 0)


class DualMambaBlock(nn.Module):
    """Two branches embed positions, exchange half their channels and read the voxels along the Hilbert curve."""

    def __init__(self, channels: int, shape: tuple[int, int, int], config: FusionConfig):
        super().__init__()
        self.embed = nn.ModuleList(PositionalEmbedding(channels, shape) for _ in range(2))
        self.norm = nn.ModuleList(nn.LayerNorm(channels) for _ in range(2))
        self.mamba = nn.ModuleList(
            Mamba2(channels, config.expand, config.state, config.head, config.chunk) for _ in range(2)
        )
        order = torch.from_numpy(hilbert_order(shape))
        self.register_buffer("order", order, persistent=False)
        self.register_buffer("inverse", torch.argsort(order), persistent=False)

    def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        a, b = self.embed[0](a), self.embed[1](b)
        a, b = exchange(a, b)
        return self._scan(0, a), self._scan(1, b)

    def _scan(self, branch: int, grid: Tensor) -> Tensor:
        tokens = grid.flatten(2).transpose(1, 2).index_select(1, self.order)  # (B, L, C)
        x = self.norm[branch](tokens)
        forward, backward = self.mamba[branch](torch.cat([x, x.flip(1)])).chunk(2)
        tokens = tokens + forward + backward.flip(1)
        return tokens.index_select(1, self.inverse).transpose(1, 2).reshape(grid.shape)


class LocalBlock(nn.Module):
    """Where the sequence would be too long: exchange, then a horizontal depthwise convolution at each height and a
    pointwise one across heights and channels (3-D depthwise convolutions are slow everywhere)."""

    def __init__(self, channels: int, depth: int):
        super().__init__()
        width = channels * depth
        self.body = nn.ModuleList(
            nn.Sequential(conv_bn_relu(width, width, groups=width), nn.Conv2d(width, width, 1)) for _ in range(2)
        )

    def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        a, b = exchange(a, b)
        return tuple(
            x + grid_from_heights(body(heights_as_channels(x)), x.shape[4])
            for body, x in zip(self.body, (a, b), strict=True)
        )


def exchange(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Swap the second half of the channels."""
    half = a.shape[1] // 2
    return torch.cat([a[:, :half], b[:, half:]], 1), torch.cat([b[:, :half], a[:, half:]], 1)


class DualMambaFusion(nn.Module):
    """A U-Net of dual blocks over F_sem and F_geo, (B, C, X, Y, Z) each; returns the fused grid of the same shape."""

    def __init__(self, channels: int, shape: tuple[int, int, int], config: FusionConfig):
        super().__init__()
        levels = len(config.encoder)
        if len(config.decoder) != levels or config.encoder[-1] == "none" or levels < 1:
            raise InputError("fusion: encoder and decoder must name a block for the same levels, the coarsest included")
        if any(n % (1 << (levels - 1)) for n in shape):
            raise InputError(f"fusion: a grid of {shape} cannot be halved {levels - 1} times")
        shapes = [tuple(n >> level for n in shape) for level in range(levels)]

        def blocks(kinds):
            made = {
                "mamba": lambda s: DualMambaBlock(channels, s, config),
                "local": lambda s: LocalBlock(channels, s[2]),
            }
            unknown = set(kinds) - {*made, "none"}
            if unknown:
                raise InputError(f"fusion: unknown block {unknown.pop()!r}; known are mamba, local, none")
            return nn.ModuleList(
                made[k](s) if k != "none" else PassThrough() for k, s in zip(kinds, shapes, strict=True)
            )

        every = ("mamba",) * levels if config.mamba_everywhere else None
        self.encoder, self.decoder = blocks(every or config.encoder), blocks(every or config.decoder)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for _ in range(levels - 1):
            self.down.append(nn.ModuleList(conv_bn_relu(channels, channels, 3, 2, dims=3) for _ in range(2)))
            self.up.append(nn.ModuleList(conv_bn_relu(2 * channels, channels, 1, dims=3) for _ in range(2)))
        self.fuse = conv_bn_relu(2 * channels, channels, 1, dims=3)

    def forward(self, f_sem: Tensor, f_geo: Tensor) -> Tensor:
        pair, skips = (f_sem, f_geo), []
        for level, block in enumerate(self.encoder):
            if level:
                pair = tuple(down(x) for down, x in zip(self.down[level - 1], pair, strict=True))
            pair = block(*pair)
            skips.append(pair)
        pair = self.decoder[-1](*pair)
        for level in reversed(range(len(self.encoder) - 1)):
            pair = tuple(
                up(torch.cat([upsample_to(x, skip), skip], 1))
                for up, x, skip in zip(self.up[level], pair, skips[level], strict=True)
            )
            pair = self.decoder[level](*pair)
        return self.fuse(torch.cat(pair, 1))


class PassThrough(nn.Module):
    """No block at this level."""

    def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        return a, b
