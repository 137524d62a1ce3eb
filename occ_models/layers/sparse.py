"""Sparse 3-D convolutions in dense form: a convolution and a mask (Graham & van der Maaten 2017, submanifold).

Trained with a sparse library or in this form, exported as Conv, Mul and MaxPool, which every runtime has.
"""

from itertools import product

import torch.nn.functional as F
from torch import Tensor, nn


class MaskedConv3d(nn.Module):
    """Convolution, batch normalisation and ReLU at the active sites of a grid; zero elsewhere.

    Stride 1 is submanifold: the active sites stay as they are. With a larger stride a site is active where its kernel
    meets an active one, the maximum of the mask over it. Normalisation and ReLU come before the mask, because they turn
    the zeros of empty space into other values. Batch statistics are those of the active sites.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1):
        super().__init__()
        if stride == 1 and kernel % 2 == 0:
            raise ValueError(f"MaskedConv3d: a submanifold kernel has a centre, {kernel} is even")
        self.kernel, self.stride, self.padding = kernel, stride, kernel // 2 if kernel % 2 else 0
        self.conv = nn.Conv3d(inputs, outputs, kernel, stride, self.padding, bias=False)
        self.norm = nn.BatchNorm3d(outputs)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """x (B, C, X, Y, Z), zero outside mask (B, 1, X, Y, Z) of 0 and 1 -> the same pair after the layer."""
        if self.stride > 1:
            mask = F.max_pool3d(mask, self.kernel, self.stride, self.padding)
        x = self.conv(x)
        if not self.training:
            return self.norm(x).relu() * mask, mask
        active = mask[:, 0] != 0
        return scatter_sites(active, self.normalise(x.permute(0, 2, 3, 4, 1)[active])), mask

    def normalise(self, features: Tensor) -> Tensor:
        """Batch normalisation and ReLU of the features (M, C) of active sites."""
        return self.norm(features.T[None, :, :, None, None]).relu()[0, :, :, 0, 0].T


def scatter_sites(active: Tensor, features: Tensor) -> Tensor:
    """Features (M, C) onto the active sites of a grid (B, X, Y, Z) bool, in its order: (B, C, X, Y, Z)."""
    grid = features.new_zeros(*active.shape, features.shape[1])
    grid[active] = features
    return grid.permute(0, 4, 1, 2, 3)


def sparse_conv3d_ref(x: Tensor, mask: Tensor, weight: Tensor, stride: int, padding: int) -> tuple[Tensor, Tensor]:
    """The convolution of `MaskedConv3d` as sparse libraries define it: over a hash table of the active sites.

    x (C, X, Y, Z), mask (X, Y, Z) bool, weight (O, C, K, K, K) -> (O, X', Y', Z'), zero where inactive, and its mask.
    """
    table = {tuple(site): x[(slice(None), *site)] for site in mask.nonzero().tolist()}
    offsets = list(product(range(weight.shape[2]), repeat=3))
    shape = [(n + 2 * padding - weight.shape[2]) // stride + 1 for n in mask.shape]
    if stride == 1:
        active = set(table)
    else:
        reached = (
            [(n + padding - k) / stride for n, k in zip(site, offset, strict=True)]
            for site in table
            for offset in offsets
        )
        active = {
            tuple(map(int, o))
            for o in reached
            if all(n == int(n) and 0 <= n < size for n, size in zip(o, shape, strict=True))
        }
    result, result_mask = x.new_zeros(weight.shape[0], *shape), mask.new_zeros(shape)
    for site in active:
        for offset in offsets:
            neighbour = tuple(n * stride - padding + k for n, k in zip(site, offset, strict=True))
            if neighbour in table:
                result[(slice(None), *site)] += weight[(slice(None), slice(None), *offset)] @ table[neighbour]
        result_mask[site] = True
    return result, result_mask
