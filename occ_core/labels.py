"""Voxel labels on a coarser grid."""

import numpy as np

from .compiled import compiled
from .errors import InputError
from .grid import Grid
from .taxonomy import IGNORE, NUM_CLASSES


def labels_on(target: Grid, labels: np.ndarray, grid: Grid) -> np.ndarray:
    """Labels (X, Y, Z) uint8 of one grid on another, which is the same or has voxels a whole factor as long.

    Raises InputError for any other.
    """
    factor = grid.factor_to(target)
    if factor is None:
        raise InputError(f"grid: the labels are for {grid}; expected that or a coarser form of it, got {target}")
    return labels if factor == 1 else downscale_labels(labels, factor)


def downscale_labels(labels: np.ndarray, factor: int) -> np.ndarray:
    """Labels (X, Y, Z) uint8 -> (X/s, Y/s, Z/s), the rule that VoxFormer and MonoOcc use (R1).

    A block with more than 95 % empty or ignored voxels becomes the more frequent of the two (ignored where they tie);
    any other its most frequent class among 1..19 (the smaller id where they tie).
    """
    if any(n % factor for n in labels.shape):
        raise InputError(f"labels of shape {labels.shape} cannot be downscaled by {factor}")
    return _downscale(np.ascontiguousarray(labels), factor)


@compiled
def _downscale(labels, s):
    nx, ny, nz = labels.shape[0] // s, labels.shape[1] // s, labels.shape[2] // s
    coarse = np.empty((nx, ny, nz), np.uint8)
    votes = np.zeros(256, np.int32)
    for i in range(nx):
        for j in range(ny):
            for k in range(nz):
                votes[:] = 0
                for a in range(s):
                    for b in range(s):
                        for c in range(s):
                            votes[labels[i * s + a, j * s + b, k * s + c]] += 1
                if 20 * (votes[0] + votes[IGNORE]) > 19 * s * s * s:
                    coarse[i, j, k] = 0 if votes[0] > votes[IGNORE] else IGNORE
                else:
                    coarse[i, j, k] = 1 + np.argmax(votes[1:NUM_CLASSES])
    return coarse


def downscale_labels_ref(labels: np.ndarray, factor: int) -> np.ndarray:
    """`downscale_labels` in plain numpy."""
    nx, ny, nz = (n // factor for n in labels.shape)
    blocks = labels.reshape(nx, factor, ny, factor, nz, factor).transpose(0, 2, 4, 1, 3, 5).reshape(nx, ny, nz, -1)
    votes = np.stack([(blocks == c).sum(-1) for c in range(1, NUM_CLASSES)], -1)
    empty, ignored = (blocks == 0).sum(-1), (blocks == IGNORE).sum(-1)
    sparse = 20 * (empty + ignored) > 19 * factor**3
    return np.where(sparse, np.where(empty > ignored, 0, IGNORE), 1 + votes.argmax(-1)).astype(np.uint8)
