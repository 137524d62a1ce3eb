"""The local ground: how high it is below each column of a labelled grid."""

import numpy as np

from .class_costs import GROUND_CLASSES
from .compiled import compiled
from .grid import Grid
from .rig import GRID_HEIGHT

_BLOCK = 4  # columns a side in which the ground is averaged
_FAR = 10  # blocks
_STEP = 2.0  # voxels that a column's own ground may be away from its block's

IS_GROUND = np.zeros(256, np.bool_)
"""(256,) bool by label."""
IS_GROUND[list(GROUND_CLASSES)] = True


def ground_heights(labels: np.ndarray, grid: Grid) -> np.ndarray:
    """Height of the local ground of each column, (X, Y) float32 metres in the grid frame.

    labels : (X, Y, Z) uint8

    1. A column's own ground is the centre of the highest voxel of its lowest stack of ground voxels.
    2. The ground of a block of 4 x 4 columns is their median, then the median with the blocks around.
    3. Blocks without ground take the mean of neighbours that have one, again and again, up to _FAR blocks away; farther
       ones the mean of all. Without any ground voxel all are on the ground plane of the grid frame.
    4. A column has its own ground where that is within two voxels of its block's, otherwise its block's.
    """
    plane = (-GRID_HEIGHT - grid.origin[2]) / grid.voxel_size
    own = _own_ground(np.ascontiguousarray(labels), IS_GROUND)
    blocks = _fill(_smooth(_block_medians(own)), plane)
    return (grid.origin[2] + grid.voxel_size * _columns(own, blocks)).astype(np.float32)


@compiled
def _own_ground(labels, is_ground):
    """In voxels above the grid's bottom; NaN without ground."""
    nx, ny, nz = labels.shape
    own = np.full((nx, ny), np.nan, np.float32)
    for i in range(nx):
        for j in range(ny):
            for k in range(nz):
                if is_ground[labels[i, j, k]]:
                    while k + 1 < nz and is_ground[labels[i, j, k + 1]]:
                        k += 1
                    own[i, j] = k + 0.5
                    break
    return own


@compiled
def _median_of(values, count):
    """The lower one of two."""
    for n in range(1, count):
        value, m = values[n], n
        while m > 0 and values[m - 1] > value:
            values[m] = values[m - 1]
            m -= 1
        values[m] = value
    return values[(count - 1) // 2] if count else np.float32(np.nan)


@compiled
def _block_medians(own):
    nx, ny = own.shape
    blocks = np.empty(((nx + _BLOCK - 1) // _BLOCK, (ny + _BLOCK - 1) // _BLOCK), np.float32)
    values = np.empty(_BLOCK * _BLOCK, np.float32)
    for a in range(blocks.shape[0]):
        for b in range(blocks.shape[1]):
            count = 0
            for i in range(a * _BLOCK, min((a + 1) * _BLOCK, nx)):
                for j in range(b * _BLOCK, min((b + 1) * _BLOCK, ny)):
                    if not np.isnan(own[i, j]):
                        values[count] = own[i, j]
                        count += 1
            blocks[a, b] = _median_of(values, count)
    return blocks


@compiled
def _smooth(blocks):
    na, nb = blocks.shape
    smooth = blocks.copy()
    values = np.empty(9, np.float32)
    for a in range(na):
        for b in range(nb):
            if np.isnan(blocks[a, b]):
                continue
            count = 0
            for i in range(max(a - 1, 0), min(a + 2, na)):
                for j in range(max(b - 1, 0), min(b + 2, nb)):
                    if not np.isnan(blocks[i, j]):
                        values[count] = blocks[i, j]
                        count += 1
            smooth[a, b] = _median_of(values, count)
    return smooth


@compiled
def _fill(blocks, plane):
    na, nb = blocks.shape
    unknown = np.isnan(blocks).sum()
    if unknown == blocks.size:
        blocks[:] = plane
        return blocks
    mean = np.nanmean(blocks)
    for _ in range(_FAR):
        if not unknown:
            break
        before = blocks.copy()
        for a in range(na):
            for b in range(nb):
                if not np.isnan(before[a, b]):
                    continue
                total, count = 0.0, 0
                for i in range(max(a - 1, 0), min(a + 2, na)):
                    for j in range(max(b - 1, 0), min(b + 2, nb)):
                        if not np.isnan(before[i, j]):
                            total += before[i, j]
                            count += 1
                if count:
                    blocks[a, b] = total / count
                    unknown -= 1
    if unknown:
        for a in range(na):
            for b in range(nb):
                if np.isnan(blocks[a, b]):
                    blocks[a, b] = mean
    return blocks


@compiled
def _columns(own, blocks):
    nx, ny = own.shape
    ground = np.empty((nx, ny), np.float32)
    for i in range(nx):
        for j in range(ny):
            block = blocks[i // _BLOCK, j // _BLOCK]
            ground[i, j] = own[i, j] if abs(own[i, j] - block) <= _STEP else block  # NaN is not
    return ground


def ground_heights_ref(labels: np.ndarray, grid: Grid) -> np.ndarray:
    """`ground_heights` in plain numpy."""
    is_ground = IS_GROUND[labels]
    below = np.concatenate([np.zeros_like(is_ground[..., :1]), is_ground[..., :-1]], 2)
    lowest_stack = is_ground & (np.cumsum(is_ground & ~below, 2) == 1)
    own = np.where(is_ground.any(2), grid.shape[2] - 0.5 - np.argmax(lowest_stack[..., ::-1], 2), np.nan)

    nx, ny = (-(-n // _BLOCK) for n in own.shape)
    padded = np.full((nx * _BLOCK, ny * _BLOCK), np.nan)
    padded[: own.shape[0], : own.shape[1]] = own
    blocks = _lower_median(padded.reshape(nx, _BLOCK, ny, _BLOCK).transpose(0, 2, 1, 3).reshape(nx, ny, -1))
    blocks = np.where(np.isnan(blocks), np.nan, _lower_median(_neighbours(blocks)))
    if np.isnan(blocks).all():
        blocks[:] = (-GRID_HEIGHT - grid.origin[2]) / grid.voxel_size
    known = np.nanmean(blocks)
    for _ in range(_FAR):
        around = _neighbours(blocks)
        count = (~np.isnan(around)).sum(-1)
        mean = np.nansum(around, -1) / np.where(count, count, np.nan)
        blocks = np.where(np.isnan(blocks), mean, blocks)
    blocks = np.where(np.isnan(blocks), known, blocks)

    level = blocks.repeat(_BLOCK, 0).repeat(_BLOCK, 1)[: own.shape[0], : own.shape[1]]
    ground = np.where(np.abs(own - level) <= _STEP, own, level)
    return (grid.origin[2] + grid.voxel_size * ground).astype(np.float32)


def _lower_median(values: np.ndarray) -> np.ndarray:
    """Along the last axis, without NaN; the lower one of two."""
    count = (~np.isnan(values)).sum(-1, keepdims=True)
    ordered = np.sort(values, -1)  # NaN last
    return np.take_along_axis(ordered, np.maximum(count - 1, 0) // 2, -1)[..., 0]


def _neighbours(blocks: np.ndarray) -> np.ndarray:
    """(..., 9): each block and those around it, NaN outside."""
    padded = np.pad(blocks, 1, constant_values=np.nan)
    return np.lib.stride_tricks.sliding_window_view(padded, (3, 3)).reshape(*blocks.shape, 9)
