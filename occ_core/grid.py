"""The voxel grid that all parts share (SemanticKITTI's scene box by default)."""

from dataclasses import dataclass

import numpy as np

from .errors import InputError


@dataclass(frozen=True)
class Grid:
    """An axis-aligned voxel grid in the grid frame (x forward, y left, z up, metres; rig.py).

    Arrays over the grid have shape (X, Y, Z) in C order: x slowest, z fastest.
    """

    shape: tuple[int, int, int] = (256, 256, 32)
    voxel_size: float = 0.2
    origin: tuple[float, float, float] = (0.0, -25.6, -2.0)

    def __post_init__(self):
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise InputError(f"grid.shape: expected three positive integers, got {self.shape!r}")
        if len(self.origin) != 3 or not np.all(np.isfinite(self.origin)):
            raise InputError(f"grid.origin: expected three finite metres, got {self.origin!r}")
        if not 0 < self.voxel_size < np.inf:
            raise InputError(f"grid.voxel_size: expected a positive length in metres, got {self.voxel_size!r}")

    def coarsen(self, factor: int) -> "Grid":
        """The same box with voxels `factor` times as long."""
        if factor < 1 or any(n % factor for n in self.shape):
            raise InputError(f"grid {self.shape} cannot be coarsened by {factor}")
        x, y, z = self.shape
        return Grid((x // factor, y // factor, z // factor), self.voxel_size * factor, self.origin)

    def factor_to(self, coarse: "Grid") -> int | None:
        """The factor by which this grid is coarsened to the other one; None where it cannot be."""
        factor = max(round(coarse.voxel_size / self.voxel_size), 1)
        same_box = np.allclose(coarse.origin, self.origin) and np.isclose(coarse.voxel_size, factor * self.voxel_size)
        return (
            factor if same_box and all(n == factor * m for n, m in zip(self.shape, coarse.shape, strict=True)) else None
        )

    @property
    def T_grid_index(self) -> np.ndarray:
        """(4, 4) voxel indices -> their centres, metres in the grid frame."""
        T = np.diag([self.voxel_size] * 3 + [1.0])
        T[:3, 3] = np.array(self.origin) + self.voxel_size / 2
        return T

    def centers(self) -> np.ndarray:
        """Voxel centres, (X, Y, Z, 3) float32, metres in the grid frame."""
        axes = [o + self.voxel_size * (np.arange(n) + 0.5) for o, n in zip(self.origin, self.shape, strict=True)]
        return np.stack(np.meshgrid(*axes, indexing="ij"), -1).astype(np.float32)

    def index_of(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Voxel indices of points.

        Parameters
        ----------
        points : (N, >=3) metres in the grid frame; NaN and infinity count as outside.

        Returns
        -------
        indices : (M, 3) int32 of the points inside, inside : (N,) bool
        """
        scaled = (np.asarray(points, np.float64)[:, :3] - self.origin) / self.voxel_size
        with np.errstate(invalid="ignore"):
            inside = np.all((scaled >= 0) & (scaled < self.shape), axis=1)
        return np.floor(scaled[inside]).astype(np.int32), inside


KITTI_GRID = Grid()
