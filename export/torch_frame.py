"""`occ_core.FramePreprocessor` on the GPU, in torch: only the scan and the image are uploaded."""

import cv2
import numpy as np
import torch
from torch import Tensor

from occ_core import Calibration, FramePreprocessor, Grid, PreprocessConfig, VoxelizerConfig
from occ_core.voxelizer import POINT_FEATURES


class TorchFramePreprocessor:
    """The tensors of `FramePreprocessor`, by name, on `device`."""

    def __init__(self, config: PreprocessConfig, device: str = "cuda"):
        self.config, self.device = config, torch.device(device)
        self._on_cpu = FramePreprocessor(config)
        self._mean = torch.tensor(config.mean, device=device)[:, None, None] * 255
        self._scale = 1 / (torch.tensor(config.std, device=device)[:, None, None] * 255)
        self._areas: dict[tuple[int, int], Tensor] = {}
        self._table: tuple[np.ndarray, Tensor] | None = None

    def __call__(self, image: np.ndarray, points: np.ndarray, calibration: Calibration) -> dict[str, Tensor]:
        """image : (H, W, 3) uint8 RGB of the calibration's size; points : (N, 4) float32, LiDAR frame, metres."""
        grid, cloud = self.config.grid, torch.from_numpy(points).to(self.device)
        features, counts, table = voxelize(cloud, grid, self.config.voxelizer)
        return {
            "image": self.image_tensor(image),
            "voxels": features,
            "voxel_counts": counts,
            "voxel_table": table[None],
            "occupancy": occupancy_grid(cloud, grid)[None],
            "lifting": self._lifting(calibration),
        }

    def image_tensor(self, image: np.ndarray) -> Tensor:
        """Resize by area, as OpenCV does it for a smaller image, and normalise: (1, 3, H, W) float32."""
        (height, width), (new_width, new_height) = image.shape[:2], self.config.image_size
        if new_width > width or new_height > height:  # rare: OpenCV interpolates then, so it does the resizing
            image = cv2.resize(image, self.config.image_size, interpolation=cv2.INTER_AREA)
            height, width = new_height, new_width
        pixels = torch.from_numpy(image).to(self.device).permute(2, 0, 1).float()
        resized = self._area(height, new_height) @ pixels @ self._area(width, new_width).T
        return ((resized.round() - self._mean) * self._scale)[None]

    def _area(self, old: int, new: int) -> Tensor:
        """(new, old) share of each old pixel in each new one, rows adding up to one."""
        if (old, new) not in self._areas:
            edges = np.arange(new + 1) * (old / new)
            low, high = edges[:-1, None], edges[1:, None]
            share = np.clip(np.minimum(high, np.arange(1, old + 1)) - np.maximum(low, np.arange(old)), 0, None)
            self._areas[old, new] = torch.from_numpy(share * (new / old)).float().to(self.device)
        return self._areas[old, new]

    def _lifting(self, calibration: Calibration) -> Tensor:
        table = self._on_cpu.lifting(calibration).coordinates
        if self._table is None or self._table[0] is not table:  # once per calibration
            self._table = table, torch.from_numpy(table)[None].to(self.device)
        return self._table[1]


def voxelize(points: Tensor, grid: Grid, config: VoxelizerConfig) -> tuple[Tensor, Tensor, Tensor]:
    """`occ_core.voxelizer.voxelize` without a step that the host must wait for; same rows, same points kept.

    points : (N, 4). Returns features (V, K, 7) float32, counts (V,) int32, table (X, Y, Z) int32.
    """
    coarse = grid.coarsen(config.factor)
    scaled, flat = _cells(points, coarse)
    number, cells = len(points), int(np.prod(coarse.shape))
    rank = torch.arange(number, device=points.device)
    # Rows in order of each voxel's first point; the last cell is for points outside the grid.
    first = torch.full((cells + 1,), number, device=points.device).scatter_reduce(0, flat, rank, "amin")
    opens = (first[flat] == rank) & (flat < cells)
    row_of_opening = torch.where(opens, opens.cumsum(0), 0)
    row = torch.zeros(cells + 1, dtype=torch.int64, device=points.device).scatter_reduce(
        0, flat, row_of_opening, "amax"
    )
    row = torch.where(row < config.max_voxels, row, 0)
    # A point's slot is its rank among those of its row.
    row_of_point = row[flat]
    order = torch.argsort(row_of_point, stable=True)
    ordered = row_of_point[order]
    slot = torch.empty_like(rank)
    slot[order] = rank - torch.searchsorted(ordered, ordered)
    kept = (row_of_point > 0) & (slot < config.max_points)

    size = coarse.voxel_size
    x, intensity = points[:, :3].double(), points[:, 3:]
    centers = torch.tensor(coarse.origin, dtype=torch.float64, device=points.device) + size * (scaled.floor() + 0.5)
    values = torch.cat([points[:, :3], intensity.where(intensity.isfinite(), 0), (x - centers).float()], 1)
    # Points that are not kept go to one slot beyond the end.
    place = torch.where(kept, row_of_point * config.max_points + slot, config.max_voxels * config.max_points)
    features = points.new_zeros(config.max_voxels * config.max_points + 1, POINT_FEATURES)
    features[place] = values
    features = features[:-1].reshape(config.max_voxels, config.max_points, POINT_FEATURES)
    counts = torch.zeros(config.max_voxels, dtype=torch.int32, device=points.device)
    counts.scatter_add_(0, row_of_point, kept.int())
    return features, counts, row[:-1].int().reshape(coarse.shape)


def occupancy_grid(points: Tensor, grid: Grid) -> Tensor:
    """`occ_core.voxelizer.occupancy_grid`: (X, Y, Z) uint8."""
    _, flat = _cells(points, grid)
    occupied = torch.zeros(int(np.prod(grid.shape)) + 1, dtype=torch.uint8, device=points.device)
    occupied[flat] = 1
    return occupied[:-1].reshape(grid.shape)


def _cells(points: Tensor, grid: Grid) -> tuple[Tensor, Tensor]:
    """Coordinates (N, 3) in voxels, float64 as on the CPU, and flat indices (N,), the number of voxels if outside."""
    shape = torch.tensor(grid.shape, device=points.device)
    origin = torch.tensor(grid.origin, dtype=torch.float64, device=points.device)
    scaled = (points[:, :3].double() - origin) / grid.voxel_size
    inside = ((scaled >= 0) & (scaled < shape)).all(1)  # NaN and infinity are not
    i, j, k = scaled.where(inside[:, None], 0).long().unbind(1)
    _, ny, nz = grid.shape
    return scaled, torch.where(inside, (i * ny + j) * nz + k, int(np.prod(grid.shape)))
