"""Orders in which a state-space model reads the voxels (OccLE section 3.4, OccMamba's height-prioritised expansion)."""

import numpy as np


def hilbert_curve(order: int) -> np.ndarray:
    """Cells of a 2**order square along the Hilbert curve, (4**order, 2) int64. Every step goes to a neighbour."""
    cells = np.zeros((1, 2), np.int64)
    for level in range(order):
        half = 2**level
        x, y = cells[:, 0], cells[:, 1]
        # Four copies of the smaller curve; the outer two are transposed so that the ends meet.
        cells = np.concatenate(
            [
                np.stack([y, x], 1),
                np.stack([x, y + half], 1),
                np.stack([x + half, y + half], 1),
                np.stack([2 * half - 1 - y, half - 1 - x], 1),
            ]
        )
    return cells


def hilbert_order(shape: tuple[int, int, int]) -> np.ndarray:
    """Permutation of the voxels of an (X, Y, Z) array: columns along a Hilbert curve, z fastest inside a column.

    order[n] is the flat (C order) index of the n-th voxel read, int64. Grids that are not a square power of two take
    the curve of the enclosing square without the cells outside.
    """
    nx, ny, nz = shape
    columns = hilbert_curve(int(np.ceil(np.log2(max(nx, ny, 1)))))
    columns = columns[(columns[:, 0] < nx) & (columns[:, 1] < ny)]
    flat = (columns[:, :1] * ny + columns[:, 1:]) * nz + np.arange(nz)
    return flat.reshape(-1)
