"""InternImage (Wang et al. 2023): the image encoder of MonoOcc-L."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..layers.backbone import ImageBackbone
from ..layers.dcnv3 import DCNv3, Permute


class InternImageSize(NamedTuple):
    """Channels of the first stage (a multiple of 16, doubled by every stage), blocks a stage, and how blocks add up.

    post_norm: normalise a block's output, not its input; layer_scale: initial value of the learned factors on it;
    offset_scale: of DCNv3; drop_path: share of samples that skip the last block in training, 0 at the first.
    """

    channels: int
    depths: tuple[int, ...]
    post_norm: bool = True
    layer_scale: float = 1e-5
    offset_scale: float = 1.0
    drop_path: float = 0.4


# The paper's table 1; drop path as the public detection and segmentation settings have it. Tiny has no layer scale in
# classification and one that starts at 1 elsewhere, which is the same.
SIZES = {
    "tiny": InternImageSize(64, (4, 4, 18, 4), post_norm=False, layer_scale=1.0, drop_path=0.2),
    "small": InternImageSize(80, (4, 4, 21, 4), drop_path=0.3),
    "base": InternImageSize(112, (4, 4, 21, 4)),
    "large": InternImageSize(160, (5, 5, 22, 5), offset_scale=2.0),
    "xlarge": InternImageSize(192, (5, 5, 24, 5), offset_scale=2.0),
}


class InternImage(ImageBackbone):
    """Image (B, 3, H, W) -> features (B, C_i, H/s, W/s) at s = 4, 8, 16, 32, the first `stages` of them.

    Sizes that a stride does not divide are rounded up. Parameters are named as in the public checkpoints.
    """

    def __init__(self, size: InternImageSize, stages: int = 4):
        super().__init__()
        self.channels = [size.channels << level for level in range(stages)]
        self.patch_embed = Stem(size.channels)
        rates = torch.linspace(0, size.drop_path, sum(size.depths), device="cpu").split(size.depths)
        self.levels = nn.ModuleList(
            Level(channels, rates[level].tolist(), size, downsample=level + 1 < stages)
            for level, channels in enumerate(self.channels)
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        x, features = self.patch_embed(image), []
        for level in self.levels:
            x = level(x)
            features.append(x.permute(0, 3, 1, 2))
            if level.downsample is not None:
                x = level.downsample(x)
        return features

    def parts(self) -> list[nn.Module]:
        return [self.patch_embed, *self.levels]


class Stem(nn.Module):
    """(B, 3, H, W) -> (B, H/4, W/4, C): two convolutions of stride 2."""

    def __init__(self, channels: int):
        super().__init__()
        half = channels // 2
        self.conv1 = nn.Conv2d(3, half, 3, 2, 1)
        self.norm1 = nn.Sequential(Permute(0, 2, 3, 1), _norm(half), Permute(0, 3, 1, 2))
        self.act = nn.GELU()
        self.conv2 = nn.Conv2d(half, channels, 3, 2, 1)
        self.norm2 = nn.Sequential(Permute(0, 2, 3, 1), _norm(channels))

    def forward(self, image: Tensor) -> Tensor:
        return self.norm2(self.conv2(self.act(self.norm1(self.conv1(image)))))


class Level(nn.Module):
    """Blocks of one resolution, (B, H, W, C) -> the same; `downsample` halves the resolution for the next level."""

    def __init__(self, channels: int, drop_paths: list[float], size: InternImageSize, downsample: bool):
        super().__init__()
        self.blocks = nn.ModuleList(Block(channels, rate, size) for rate in drop_paths)
        self.norm = nn.Identity() if size.post_norm else nn.Sequential(_norm(channels))
        self.downsample = Downsample(channels) if downsample else None

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            # Several frames in a large backbone: activations inside blocks are computed again in the backward pass.
            x = checkpoint(block, x, use_reentrant=False) if self.training else block(x)
        return self.norm(x)


class Downsample(nn.Module):
    """(B, H, W, C) -> (B, H/2, W/2, 2C)."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, 2 * channels, 3, 2, 1, bias=False)
        self.norm = nn.Sequential(Permute(0, 2, 3, 1), _norm(2 * channels))

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x.permute(0, 3, 1, 2)))


class Block(nn.Module):
    """DCNv3 over 16 channels a group, then an MLP of four times the width, each added with a learned factor."""

    def __init__(self, channels: int, drop_path: float, size: InternImageSize):
        super().__init__()
        self.post_norm, self.drop_path = size.post_norm, drop_path
        self.norm1, self.norm2 = nn.Sequential(_norm(channels)), nn.Sequential(_norm(channels))
        self.dcn = DCNv3(channels, channels // 16, size.offset_scale)
        self.mlp = MLP(channels)
        self.gamma1 = nn.Parameter(torch.full((channels,), size.layer_scale))
        self.gamma2 = nn.Parameter(torch.full((channels,), size.layer_scale))

    def forward(self, x: Tensor) -> Tensor:
        for norm, layer, gamma in ((self.norm1, self.dcn, self.gamma1), (self.norm2, self.mlp, self.gamma2)):
            x = x + self._drop(gamma * (norm(layer(x)) if self.post_norm else layer(norm(x))))
        return x

    def _drop(self, branch: Tensor) -> Tensor:
        """Stochastic depth (Huang et al. 2016): leave the branch out for some samples of a training batch."""
        if not self.training or self.drop_path == 0:
            return branch
        keep = 1 - self.drop_path
        return branch * (torch.rand(len(branch), 1, 1, 1, device=branch.device) < keep) / keep


class MLP(nn.Module):
    """C -> 4C -> C."""

    def __init__(self, channels: int):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
        self.act = nn.GELU()
        for layer in (self.fc1, self.fc2):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


def _norm(channels: int) -> nn.LayerNorm:
    return nn.LayerNorm(channels, eps=1e-6)
