"""Voxel grids as maps seen from above, heights as channels: what 2-D convolutions take."""

from torch import Tensor


def heights_as_channels(grid: Tensor) -> Tensor:
    """(B, C, X, Y, Z) -> (B, Z*C, X, Y); no copy where the channels lie innermost in memory."""
    return grid.permute(0, 2, 3, 4, 1).flatten(3).permute(0, 3, 1, 2)


def grid_from_heights(x: Tensor, depth: int) -> Tensor:
    """(B, Z*C, X, Y) -> (B, C, X, Y, Z): the way back from `heights_as_channels`."""
    return x.permute(0, 2, 3, 1).unflatten(3, (depth, -1)).permute(0, 4, 1, 2, 3)
