"""DCNv3, the deformable convolution of InternImage (Wang et al. 2023, section 3.1), in plain PyTorch.

Every output pixel samples each group of channels bilinearly at K points around it, moved by offsets that the network
predicts, and sums the samples with weights that are a softmax over the K points. The conventions are those of the
public operator, so that public weights fit: K = k*k points, the column of the kernel outside and the row inside;
offsets as (x, y) in pixels; `offset_scale` stretches the kernel together with its offsets; zero outside the image.
"""

import math

import torch
from torch import Tensor, nn

from occ_core.errors import InputError

from .deformable import deformable_attention


def dcnv3_ref(value: Tensor, offset: Tensor, weight: Tensor, offset_scale: float = 1.0) -> Tensor:
    """`dcnv3` as a loop over pixels, groups, points and bilinear corners; arguments and result as there."""
    batch, height, width, _ = value.shape
    groups, points = weight.shape[3:]
    side = math.isqrt(points)
    value = value.unflatten(3, (groups, -1))
    output = torch.zeros_like(value)
    for b, y, x, g, k in torch.cartesian_prod(*map(torch.arange, (batch, height, width, groups, points))).tolist():
        column, row = k // side - side // 2, k % side - side // 2
        at_x = x + offset_scale * (column + offset[b, y, x, g, k, 0])
        at_y = y + offset_scale * (row + offset[b, y, x, g, k, 1])
        left, top = math.floor(at_x.item()), math.floor(at_y.item())
        for i, j in ((left, top), (left + 1, top), (left, top + 1), (left + 1, top + 1)):
            if 0 <= i < width and 0 <= j < height:
                share = (1 - (at_x - i).abs()) * (1 - (at_y - j).abs())
                output[b, y, x, g] += weight[b, y, x, g, k] * share * value[b, j, i, g]
    return output.flatten(3)


def dcnv3(value: Tensor, offset: Tensor, weight: Tensor, offset_scale: float = 1.0) -> Tensor:
    """Sample and sum with one 4-D `grid_sample`.

    value : (B, H, W, C), offset : (B, H, W, G, K, 2) x then y, weight : (B, H, W, G, K); K a square of an odd number,
    G divides C. Returns (B, H, W, C).
    """
    height, width = value.shape[1:3]
    groups, points = weight.shape[3:]
    # Half precision cannot distinguish the pixels of a large image.
    exact = torch.promote_types(offset.dtype, torch.float32)
    along = torch.arange(math.isqrt(points), dtype=exact, device=value.device)
    kernel = torch.cartesian_prod(along, along) - along[-1] / 2  # (K, 2): x outside, y inside
    y, x = torch.meshgrid(*(torch.arange(n, device=value.device) for n in (height, width)), indexing="ij")
    pixel = torch.stack([x, y], -1)[:, :, None, None] + 0.5  # (H, W, 1, 1, 2)
    size = torch.tensor([width, height], dtype=exact, device=value.device)
    grid = (pixel + offset_scale * (kernel + offset.to(exact))) * (2 / size) - 1  # (B, H, W, G, K, 2)

    values = value.permute(0, 3, 1, 2).unflatten(1, (groups, -1))  # (B, G, C/G, H, W)
    grid, weight = (x.permute(0, 3, 4, 1, 2, *range(5, x.ndim)).flatten(3, 4) for x in (grid, weight))
    summed = deformable_attention(values.to(exact), grid, weight.to(exact))  # (B, H*W, C)
    return summed.to(value.dtype).unflatten(1, (height, width))


class Permute(nn.Module):
    """Reorder dimensions inside an `nn.Sequential`."""

    def __init__(self, *order: int):
        super().__init__()
        self.order = order

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(self.order)


class DCNv3(nn.Module):
    """One 3x3 DCNv3 layer at stride 1: (B, H, W, C) -> (B, H, W, C); parameters named as in public checkpoints."""

    def __init__(self, channels: int, groups: int, offset_scale: float = 1.0):
        super().__init__()
        if channels % groups:
            raise InputError(f"DCNv3: {groups} groups do not divide {channels} channels")
        self.groups, self.offset_scale = groups, offset_scale
        self.dw_conv = nn.Sequential(
            nn.Conv2d(channels, channels, 3, 1, 1, groups=channels),
            nn.Sequential(Permute(0, 2, 3, 1), nn.LayerNorm(channels, eps=1e-6)),
            nn.GELU(),
        )
        self.offset = nn.Linear(channels, groups * 9 * 2)
        self.mask = nn.Linear(channels, groups * 9)
        self.input_proj = nn.Linear(channels, channels)
        self.output_proj = nn.Linear(channels, channels)
        # Initially the mean over the 3x3 neighbourhood.
        for layer in (self.offset, self.mask):
            nn.init.zeros_(layer.weight)
        for layer in (self.input_proj, self.output_proj):
            nn.init.xavier_uniform_(layer.weight)
        for layer in (self.offset, self.mask, self.input_proj, self.output_proj):
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        around = self.dw_conv(x.permute(0, 3, 1, 2))  # (B, H, W, C)
        offset = self.offset(around).unflatten(-1, (self.groups, 9, 2))
        weight = self.mask(around).unflatten(-1, (self.groups, 9)).softmax(-1)
        return self.output_proj(dcnv3(self.input_proj(x), offset, weight, self.offset_scale))
