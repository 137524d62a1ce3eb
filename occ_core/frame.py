"""Frame -> tensors: the one preprocessing that training, export and the robot share."""

from dataclasses import dataclass, field

import cv2
import numpy as np

from .calibration import Calibration, CalibrationError
from .compiled import compiled
from .errors import InputError
from .grid import KITTI_GRID, Grid
from .lifting import LiftingTable, lifting_table
from .voxelizer import VoxelizerConfig, occupancy_grid, voxelize

DEPTH_STRIDE = 8
"""Pixels of the network's image that share one depth, each way."""
CLOUD_TENSORS = ("voxels", "voxel_counts", "voxel_table", "occupancy")
"""The tensors that come from the LiDAR."""
_SQUEEZED = 4 / 3
"""Largest factor between the aspect ratios of an image and of the network's image."""
_FLAT = 8
"""Of 255: an image whose colours differ by less shows nothing but noise."""
_BLOCK, _FEW = 8, 2
"""What is compared: means of so many pixels each way, which noise changes little; without the darkest and the brightest
per cent, so that a lamp or a broken pixel in a dark image does not count.
"""


@dataclass(frozen=True)
class PreprocessConfig:
    """How a network's input is made; part of the bundle.

    image_size: (width, height) of the network's image; mean, std: per channel, on [0, 1] RGB;
    lifting_factor: edge of the lifted feature grid's voxels in grid voxels.
    """

    grid: Grid = KITTI_GRID
    image_size: tuple[int, int] = (608, 184)
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    voxelizer: VoxelizerConfig = field(default_factory=VoxelizerConfig)
    lifting_factor: int = 4

    def __post_init__(self):
        self.grid.coarsen(self.lifting_factor)
        self.grid.coarsen(self.voxelizer.factor)
        if len(self.image_size) != 2 or min(self.image_size) < 1:
            raise InputError(f"image_size: expected positive (width, height), got {self.image_size!r}")
        if len(self.mean) != 3 or not np.isfinite(self.mean).all():
            raise InputError(f"mean: expected three finite numbers, got {self.mean!r}")
        if len(self.std) != 3 or not (np.isfinite(self.std).all() and min(self.std) > 0):
            raise InputError(f"std: expected three positive numbers, got {self.std!r}")

    @property
    def depth_shape(self) -> tuple[int, int]:
        """(h, w) of the network's depth map."""
        width, height = self.image_size
        return -(-height // DEPTH_STRIDE), -(-width // DEPTH_STRIDE)


class FramePreprocessor:
    """Turns one synchronised frame into the network's input tensors.

    Tensors (batch of one)
        image        (1, 3, H, W) float32, normalised RGB
        voxels       (V, K, 7) float32, voxel_counts (V,) int32, voxel_table (1, X/f, Y/f, Z/f) int32: see `Voxels`
        occupancy    (1, X, Y, Z) uint8, full grid, 1 where a point is
        lifting      (1, X/l * Y/l, Z/l, 2) float32, voxel_depth (1, X/l * Y/l, Z/l) float32: see `LiftingTable`
        depth        (1, H/8, W/8) float32, canonical metres of a depth image; 0 where unknown
    """

    def __init__(self, config: PreprocessConfig):
        self.config = config
        self._mean = np.array(config.mean, np.float32) * 255
        self._scale = 1 / (np.array(config.std, np.float32) * 255)
        self._lifting_grid = config.grid.coarsen(config.lifting_factor)
        self._table_key: bytes | None = None
        self._table: LiftingTable | None = None

    def __call__(
        self,
        image: np.ndarray | None,
        points: np.ndarray | None,
        calibration: Calibration,
        depth: np.ndarray | None = None,
    ) -> dict[str, np.ndarray]:
        """image : (H, W, 3) uint8 RGB of the calibration's size, or None: a black one, see `Calibration.without_camera`
        points : (N, 4) float32, LiDAR frame, metres, or None: the tensors of the cloud are left out
        depth : (H, W) metres, see `depth_tensor`
        """
        table = self.lifting(calibration)
        return {
            "image": self.image_tensor(image, calibration),
            **({} if points is None else self.cloud_tensors(calibration.to_grid(points))),
            "lifting": table.coordinates[None],
            "voxel_depth": table.depth[None],
            "depth": self.depth_tensor(depth, calibration),
        }

    def image_tensor(self, image: np.ndarray | None, calibration: Calibration) -> np.ndarray:
        """Resize and normalise; None is black. Raises CalibrationError where image and calibration have different
        sizes.
        """
        if image is None:
            image = np.zeros((1, 1, 3), np.uint8)
        else:
            _expect_size("image", image, calibration)
        resized = cv2.resize(image, self.config.image_size, interpolation=cv2.INTER_AREA)
        return _normalise(resized, self._mean, self._scale)[None]

    def depth_tensor(self, depth: np.ndarray | None, calibration: Calibration) -> np.ndarray:
        """The nearest depth in each cell of the network's map. Anything but a positive number counts as unknown.

        depth : (H, W) metres along the camera's axis, or None. Raises CalibrationError as `image_tensor` does.
        """
        if depth is None:
            return np.zeros((1, *self.config.depth_shape), np.float32)
        _expect_size("depth image", depth, calibration)
        metres = np.asarray(depth, np.float32) * np.float32(calibration.canonical)
        return _nearest(metres, *self.config.depth_shape)[None]

    def cloud_tensors(self, points: np.ndarray) -> dict[str, np.ndarray]:
        """The tensors that come from the cloud only; points : in the grid frame."""
        grid = self.config.grid
        voxels = voxelize(points, grid, self.config.voxelizer)
        return {
            "voxels": voxels.features,
            "voxel_counts": voxels.counts,
            "voxel_table": voxels.table[None],
            "occupancy": occupancy_grid(points, grid)[None],
        }

    def lifting(self, calibration: Calibration) -> LiftingTable:
        """The lifting table, made once per calibration."""
        if self._table is None or self._table_key != calibration.key:
            self._table, self._table_key = lifting_table(self._lifting_grid, calibration), calibration.key
        return self._table


def image_warnings(image: np.ndarray, config: PreprocessConfig) -> list[str]:
    """Why labels of an image, (H, W, 3) uint8, will be poor: one line each. The image can be used all the same."""
    warnings, (height, width) = [], image.shape[:2]
    expected = config.image_size
    ratio = (width * expected[1]) / (height * expected[0])
    if max(ratio, 1 / ratio) > _SQUEEZED:
        size = "{}x{}".format(*expected)
        warnings.append(f"{width}x{height} is squeezed to the network's {size}, another shape; labels will be worse")
    if shows_nothing(image):
        warnings.append("it shows nothing, all of it is of one colour; the labels mean nothing")
    return warnings


def shows_nothing(image: np.ndarray) -> bool:
    """Whether an image, (H, W, 3) uint8, is dark or of one colour, but for noise and a few bright spots."""
    rows, columns = (max(1, size // _BLOCK) for size in image.shape[:2])
    whole = image[: rows * _BLOCK, : columns * _BLOCK]  # cv2 is several times faster where the factor is whole
    blocks = cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA).reshape(-1, 3)
    low, high = np.percentile(blocks, (_FEW, 100 - _FEW), axis=0)
    return bool((high - low).max() < _FLAT)


def _expect_size(name: str, image: np.ndarray, calibration: Calibration) -> None:
    height, width = image.shape[:2]
    if (width, height) != tuple(calibration.image_size):
        expected = "{}x{}".format(*calibration.image_size)
        raise CalibrationError(f"{name} is {width}x{height}, the calibration is for {expected}")


@compiled
def _nearest(depth, h, w):
    height, width = depth.shape
    cells = np.zeros((h, w), np.float32)
    for v in range(height):
        for u in range(width):
            d, row, column = depth[v, u], v * h // height, u * w // width
            if 0 < d < np.inf and (cells[row, column] == 0 or d < cells[row, column]):
                cells[row, column] = d
    return cells


@compiled
def _normalise(image, mean, scale):
    height, width, _ = image.shape
    tensor = np.empty((3, height, width), np.float32)
    for c in range(3):
        for v in range(height):
            for u in range(width):
                tensor[c, v, u] = (np.float32(image[v, u, c]) - mean[c]) * scale[c]
    return tensor


def normalise_ref(image: np.ndarray, config: PreprocessConfig) -> np.ndarray:
    """(H, W, 3) uint8 -> (3, H, W) float32 in plain numpy."""
    return ((image / 255 - config.mean) / config.std).transpose(2, 0, 1).astype(np.float32)
